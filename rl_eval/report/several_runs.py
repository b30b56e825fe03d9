"""The page on several runs, such as a sweep: their verdicts, and curves with bands over seeds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from rl_eval.cost import cost_text, recorded_cost, total
from rl_eval.diagnostics import SEVERITIES, Finding
from rl_eval.errors import InputError
from rl_eval.formatting import COMPARISON_SIGNS, brief
from rl_eval.gates.validation_ranking import best_on_validation
from rl_eval.gates.verdict import CriterionVerdict
from rl_eval.report import charts, criterion_rows, curves, one_run, verdicts
from rl_eval.report.findings import findings_of
from rl_eval.report.html_page import flat, number, render
from rl_eval.report.judged_run import JudgedRun, read_judged_run
from rl_eval.report.verdicts import Headline
from rl_eval.run import (
    INCIDENTAL_HARDWARE,
    INCIDENTAL_KEYS,
    SEVERITY,
    deciding_settings,
    validation_score,
    worst_decision,
)

MAX_RUNS = 64
# Keys that may differ between the runs of one group.
_KEYS_OF_ONE_RUN = ("seed", *INCIDENTAL_KEYS, *(f"hardware.{key}" for key in INCIDENTAL_HARDWARE))


def runs_page(paths: Sequence[Path], name: str, folder: Path, *, trust: bool = False) -> str:
    """The HTML of several runs.

    Args:
        name: of the sweep, or of the common folder.
        folder: where the page will be written; reports below it are linked.
        trust: whether an environment that a run names may import a module.

    Raises:
        InputError: there are too many runs, or none can be read.
    """
    if len(paths) > MAX_RUNS:
        raise InputError(f"{len(paths)} runs are more than the {MAX_RUNS} of one page: name fewer")
    runs, missing = [], []
    for path in paths:
        try:
            run = read_judged_run(path)
        except InputError as error:
            missing.append(str(error))
            continue
        runs.append(run)
        missing += [f"{path.name}: {sentence}" for sentence in run.missing]
    if not runs:
        raise InputError(missing[0])
    groups = grouped(runs)
    curve_groups = [
        curves.Group(label, [run.curves for run in members if run.curves], colour)
        for colour, (label, members) in enumerate(groups[: charts.COLOURS], 1)
    ]
    curve_groups = [group for group in curve_groups if group.runs]
    if len(groups) > charts.COLOURS:
        missing.append(f"curves are drawn of the first {charts.COLOURS} of {len(groups)} groups")
    bars = one_run.bars(runs[0])
    findings = _findings(runs, missing, trust)
    best = _best(runs)
    values: dict[str, Any] = {
        "headline": headline(runs),
        "facts": [
            name,
            f"{len(runs)} runs",
            f"{len(groups)} group{'s' if len(groups) > 1 else ''} of equal settings",
            f"cost: {cost_text(total(recorded_cost(run).total for run in runs))}",
        ],
        "missing": missing,
        "runs": [_row(run, label, folder, best) for label, members in groups for run in members],
        "with_groups": len(groups) > 1,
        "criteria": _side_by_side(runs),
        "group_legend": _legend(curve_groups),
        "learning": curves.learning(curve_groups, bars, one_run.validation_metric(runs[0])),
        "optimisation": curves.optimisation(curve_groups),
        "rewards": curves.rewards(curve_groups),
        "differing": differences(runs),
        "config": flat({key: value for key, value in runs[0].config.items() if key != "seed"}),
        "findings": findings,
    }
    contents = [("runs", "Runs")]
    contents += [("criteria", "Criteria")] if values["criteria"] else []
    contents += [("learning", "Learning")] if values["learning"] else []
    contents += [("findings", "Findings"), ("settings", "Settings")]
    envs = dict.fromkeys(map(one_run.environment_name, runs))
    return render("runs.html", title=f"{len(runs)} runs on {', '.join(envs)}", contents=contents, **values)


def _best(runs: Sequence[JudgedRun]) -> tuple[Path, str] | None:
    """The best of several runs on validation, and its score; None if they cannot be compared."""
    finished = [run for run in runs if run.finished]
    best = best_on_validation([[run] for run in finished]) if len(finished) > 1 else None
    return None if best is None else (finished[best.index].path, str(best))


def _legend(groups: Sequence[curves.Group]) -> Markup:
    return charts.legend([(group.label, group.colour) for group in groups]) if len(groups) > 1 else Markup()


def headline(runs: Sequence[JudgedRun]) -> Headline:
    """The worst run decides, as in a gate."""
    decisions = [
        "DAMAGED"
        if run.damaged_verdict
        else worst_decision(row.decision for suite in run.suites for row in suite.criteria)
        for run in runs
    ]
    order = (*SEVERITY[:3], "DAMAGED", "NONE", "NEEDS_RUNS", "PASS", "NOT_CHECKED")
    decision = next((name for name in order if name in decisions), "NONE")
    counts, total = Counter(decisions), len(decisions)
    passing = counts["PASS"] + counts["NEEDS_RUNS"]
    words = (
        ("FAIL", "fail"),
        ("INCONCLUSIVE", "undecided"),
        ("ERROR", "not fully judged"),
        ("DAMAGED", "with a damaged verdict"),
        ("NONE", "not judged"),
    )
    if passing == total:
        sentence = f"All {total} runs pass" + (", as far as single runs can show." if counts["NEEDS_RUNS"] else ".")
    else:
        parts = [f"{passing} pass", *(f"{counts[key]} {word}" for key, word in words if counts[key])]
        sentence = f"Of {total} runs, {', '.join(parts)}."
    more = []
    rows = [row for run in runs for suite in run.suites for row in suite.criteria]
    waiting = dict.fromkeys(row.criterion for row in rows if row.decision == "NEEDS_RUNS")
    if waiting:
        more.append(f"pytest decides the criteria over several runs: {', '.join(waiting)}.")
    if (best := _best(runs)) is not None:
        more.append(f"The best on validation is {brief(best[0].resolve().name, 120)}: {best[1]}.")
    word = "PASS so far" if decision == "NEEDS_RUNS" else verdicts.WORDS.get(decision, decision)
    validation = sum(verdicts.on_validation(run.suites) for run in runs)
    if validation == total:
        more.append(verdicts.NOT_ON_TEST_SET)
    elif validation:
        more.append(f"{validation} of {total} runs were judged on validation episodes, not on the test set.")
    return Headline(decision, verdicts.with_part(word, validation > 0), sentence, tuple(more))


def _decision(run: JudgedRun) -> str:
    if run.damaged_verdict:
        return "DAMAGED"
    return worst_decision(row.decision for suite in run.suites for row in suite.criteria)


def grouped(runs: Sequence[JudgedRun]) -> list[tuple[str, list[JudgedRun]]]:
    """Groups of runs that differ only in their seed, each with a label."""
    groups: dict[str, list[JudgedRun]] = {}
    for run in runs:
        deciding = {key: value for key, value in deciding_settings(run.config).items() if key != "seed"}
        groups.setdefault(json.dumps(flat(deciding), sort_keys=True), []).append(run)
    members = list(groups.values())
    differing = [row for row in differences([group[0] for group in members]) if row[0] not in _KEYS_OF_ONE_RUN]
    labels = []
    for index, group in enumerate(members):
        label = ", ".join(f"{key}={brief(values[index], 40)}" for key, values in differing[:4])
        labels.append(label or brief(group[0].path.name, 80))
    return list(zip(labels, members, strict=True))


def differences(runs: Sequence[JudgedRun]) -> list[tuple[str, list[str]]]:
    """The settings that differ between runs, with the value of each run; `–` if it has none."""
    configs = [dict(flat(run.config)) for run in runs]
    names = dict.fromkeys(name for config in configs for name in config)
    rows = [(name, [config.get(name, "–") for config in configs]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1 and name not in ("name", "resume")][:60]


def _row(run: JudgedRun, label: str, folder: Path, best: tuple[Path, str] | None) -> dict[str, Any]:
    info, path = run.info, run.path
    criteria = [row for suite in run.suites for row in suite.criteria]
    results = info.get("results")
    mean = results.get("mean") if isinstance(results, dict) else None
    page = path.resolve() / "report.html"
    inside = page.is_relative_to(folder.resolve()) and page.is_file()
    return {
        "name": brief(path.resolve().name, 120),
        "href": quote(page.relative_to(folder.resolve()).as_posix()) if inside else None,
        "best": best is not None and best[0] == path,
        "group": label,
        "seed": brief(run.config.get("seed"), 30),
        "status": info["status"],
        "decision": worst_decision(row.decision for row in criteria),
        "passing": _passing(run),
        "mean": number(mean),
        "score": number(validation_score(run)),
        "wall_s": info.get("wall_s"),
    }


def _passing(run: JudgedRun) -> str:
    checked = [row for suite in run.suites for row in suite.criteria if row.decision != "NOT_CHECKED"]
    if not checked:
        return ""
    text = f"{sum(row.decision == 'PASS' for row in checked)} of {len(checked)}"
    return verdicts.with_part(text, verdicts.on_validation(run.suites))


def _findings(runs: Sequence[JudgedRun], missing: list[str], trust: bool) -> list[tuple[str, Finding]]:
    """Warnings and problems, each finding once, with the runs that have it."""
    by_name: dict[str, tuple[Finding, list[str]]] = {}
    for run in runs:
        for finding in findings_of(run, missing, trust=trust) or ():
            if finding.severity != "note":
                by_name.setdefault(finding.name, (finding, []))[1].append(brief(run.path.resolve().name, 60))
    order = sorted(by_name.values(), key=lambda entry: (SEVERITIES.index(entry[0].severity), -len(entry[1])))
    return [(_run_names(names, len(runs)), finding) for finding, names in order]


def _run_names(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        return f"all {total} runs, with the figures of {names[0]}"
    return names[0] if len(names) == 1 else f"{len(names)} of {total} runs, with the figures of {names[0]}"


def _side_by_side(runs: Sequence[JudgedRun]) -> list[dict[str, Any]]:
    """Criteria with a number, each for all runs on one axis."""
    by_criterion: dict[tuple[str, str], list[tuple[str, CriterionVerdict]]] = {}
    for run in runs:
        for suite in run.suites:
            for verdict in suite.criteria:
                if verdict.threshold is not None and verdict.estimate is not None:
                    name = brief(run.path.resolve().name, 60)
                    criterion = verdicts.with_part(verdict.criterion, suite.part == "validation")
                    by_criterion.setdefault((verdict.suite, criterion), []).append((name, verdict))
    return [
        {
            "suite": suite,
            "name": criterion,
            "requirement": _requirement(rows[0][1]),
            "rows": [
                {
                    "run": name,
                    "decision": verdict.decision,
                    "estimate": number(verdict.estimate, 4, verdict.threshold),
                    "drawing": criterion_rows.drawing(verdict, _range(rows), small=True),
                }
                for name, verdict in rows
            ],
        }
        for (suite, criterion), rows in by_criterion.items()
        if any(verdict.interval or verdict.estimate != verdict.threshold for _, verdict in rows)
    ]


def _requirement(verdict: CriterionVerdict) -> str:
    return f"{verdict.metric} {COMPARISON_SIGNS.get(verdict.direction, '')} {number(verdict.threshold)}"


def _range(rows: Sequence[tuple[str, CriterionVerdict]]) -> tuple[float, float] | None:
    values = [value for _, row in rows for value in (row.estimate, row.threshold, *(row.interval or ()))]
    finite = [value for value in values if value is not None and abs(value) < float("inf")]
    return (min(finite), max(finite)) if finite else None
