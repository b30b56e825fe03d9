"""The page on several runs, such as a sweep: every verdict, and curves with bands over seeds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rl_eval.diagnostics import SEVERITIES, Finding
from rl_eval.errors import InputError
from rl_eval.formatting import COMPARISON_SIGNS, brief
from rl_eval.gates.verdict import CriterionVerdict
from rl_eval.report import charts, curves, one_run, verdicts
from rl_eval.report.findings import findings_of
from rl_eval.report.page import flat, number, render
from rl_eval.report.reading import Told, read
from rl_eval.report.verdicts import Headline

MOST_RUNS = 64
# What may differ between runs of one group.
_SEED_ASIDE = ("seed", "name", "tracker", "resume")


def runs_page(paths: Sequence[Path], name: str, beside: Path, *, trust: bool = False) -> str:
    """The HTML of several runs.

    Args:
        name: of the sweep, or whatever they have in common.
        beside: the folder that the page will lie in; reports below it are linked.
        trust: whether an environment that a run names may import a module.

    Raises:
        InputError: too many runs, or none can be read.
    """
    if len(paths) > MOST_RUNS:
        raise InputError(f"{len(paths)} runs are more than the {MOST_RUNS} of one page: name fewer")
    told, missing = [], []
    for path in paths:
        try:
            told.append(read(path))
        except InputError as error:
            missing.append(str(error))
            continue
        missing += [f"{path.name}: {sentence}" for sentence in told[-1].missing]
    if not told:
        raise InputError(missing[0])
    groups = grouped(told)
    lines = [
        curves.Group(label, [each.metrics for each in members if each.metrics], colour)
        for colour, (label, members) in enumerate(groups[: charts.COLOURS], 1)
    ]
    lines = [group for group in lines if group.runs]
    if len(groups) > charts.COLOURS:
        missing.append(f"curves are drawn of the first {charts.COLOURS} of {len(groups)} groups")
    common = one_run.bars(told[0])
    found = _findings(told, missing, trust)
    values: dict[str, Any] = {
        "headline": headline(told),
        "facts": [name, f"{len(told)} runs", f"{len(groups)} group{'s' if len(groups) > 1 else ''} of equal settings"],
        "missing": missing,
        "runs": [_row(each, label, beside) for label, members in groups for each in members],
        "with_groups": len(groups) > 1,
        "criteria": _side_by_side(told),
        "group_legend": charts.legend([(group.label, group.colour) for group in lines]) if len(lines) > 1 else "",
        "learning": curves.learning(lines, common, one_run.validation_metric(told[0])),
        "optimisation": curves.optimisation(lines),
        "rewards": curves.rewards(lines),
        "differing": differences(told),
        "config": flat({key: value for key, value in told[0].run.config.items() if key != "seed"}),
        "findings": found,
    }
    contents = [("runs", "Runs")]
    contents += [("criteria", "Criteria")] if values["criteria"] else []
    contents += [("learning", "Learning")] if values["learning"] else []
    contents += [("findings", "Findings"), ("settings", "Settings")]
    envs = dict.fromkeys(map(one_run.environment_name, told))
    return render("runs.html", title=f"{len(told)} runs on {', '.join(envs)}", contents=contents, **values)


def headline(told: Sequence[Told]) -> Headline:
    """The worst run decides, as it does in a gate."""
    each = [verdicts.worst(c.decision for suite in one.suites for c in suite.criteria) for one in told]
    decision = next((word for word in (*verdicts.SEVERITY[:3], "NONE", "NEEDS_RUNS", "PASS") if word in each), "NONE")
    counts, many = Counter(each), len(each)
    passing = counts["PASS"] + counts["NEEDS_RUNS"]
    words = (("FAIL", "fail"), ("INCONCLUSIVE", "undecided"), ("ERROR", "not wholly judged"), ("NONE", "not judged"))
    if passing == many:
        sentence = f"All {many} runs pass" + (", as far as each can show alone." if counts["NEEDS_RUNS"] else ".")
    else:
        said = [f"{passing} pass", *(f"{counts[key]} {word}" for key, word in words if counts[key])]
        sentence = f"Of {many} runs, {', '.join(said)}."
    more = []
    judged = [criterion for one in told for suite in one.suites for criterion in suite.criteria]
    waiting = dict.fromkeys(criterion.criterion for criterion in judged if criterion.decision == "NEEDS_RUNS")
    if waiting:
        more.append(f"Criteria over several runs are decided by pytest: {', '.join(waiting)}.")
    word = "PASS so far" if decision == "NEEDS_RUNS" else verdicts.WORDS.get(decision, decision)
    return Headline(decision, word, sentence, tuple(more))


def grouped(told: Sequence[Told]) -> list[tuple[str, list[Told]]]:
    """Runs that are equal but for their seed, with a label that tells the groups apart."""
    groups: dict[str, list[Told]] = {}
    for each in told:
        deciding = {key: value for key, value in each.run.config.items() if key not in _SEED_ASIDE}
        groups.setdefault(json.dumps(flat(deciding), sort_keys=True), []).append(each)
    members = list(groups.values())
    differing = [row for row in differences([group[0] for group in members]) if row[0] not in _SEED_ASIDE]
    labels = []
    for index, group in enumerate(members):
        said = ", ".join(f"{key}={brief(values[index], 40)}" for key, values in differing[:4])
        labels.append(said or brief(group[0].run.path.name, 80))
    return list(zip(labels, members, strict=True))


def differences(told: Sequence[Told]) -> list[tuple[str, list[str]]]:
    """The settings in which runs differ, with the value of each run; `–` where it has none."""
    each = [dict(flat(one.run.config)) for one in told]
    names = dict.fromkeys(name for values in each for name in values)
    rows = [(name, [values.get(name, "–") for values in each]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1 and name not in ("name", "resume")][:60]


def _row(told: Told, label: str, beside: Path) -> dict[str, Any]:
    info, path = told.run.info, told.run.path
    criteria = [each for suite in told.suites for each in suite.criteria]
    results = info.get("results")
    mean = results.get("mean") if isinstance(results, dict) else None
    page = path.resolve() / "report.html"
    inside = page.is_relative_to(beside.resolve()) and page.is_file()
    return {
        "name": brief(path.resolve().name, 120),
        "href": quote(page.relative_to(beside.resolve()).as_posix()) if inside else None,
        "group": label,
        "seed": brief(told.run.config.get("seed"), 30),
        "status": info["status"],
        "decision": verdicts.worst(each.decision for each in criteria),
        "passing": f"{sum(each.decision == 'PASS' for each in criteria)} of {len(criteria)}" if criteria else "",
        "mean": number(mean),
        "score": number(info.get("validation_score")),
        "wall_s": info.get("wall_s"),
    }


def _findings(told: Sequence[Told], missing: list[str], trust: bool) -> list[tuple[str, Finding]]:
    """What the diagnostics find worse than a note, each finding once, with the runs that have it."""
    found: dict[str, tuple[Finding, list[str]]] = {}
    for each in told:
        for finding in findings_of(each, missing, trust=trust) or ():
            if finding.severity != "note":
                found.setdefault(finding.name, (finding, []))[1].append(brief(each.run.path.resolve().name, 60))
    order = sorted(found.values(), key=lambda each: (SEVERITIES.index(each[0].severity), -len(each[1])))
    return [(_who(runs, len(told)), finding) for finding, runs in order]


def _who(runs: Sequence[str], many: int) -> str:
    names = runs[0] if len(runs) == 1 else f"{len(runs)} of {many} runs, the figures are those of {runs[0]}"
    return names if len(runs) < many else f"all {many} runs, the figures are those of {runs[0]}"


def _side_by_side(told: Sequence[Told]) -> list[dict[str, Any]]:
    """Criteria with a number, each over all runs on one axis."""
    found: dict[tuple[str, str], list[tuple[str, CriterionVerdict]]] = {}
    for each in told:
        for suite in each.suites:
            for verdict in suite.criteria:
                if verdict.threshold is not None and verdict.estimate is not None:
                    name = brief(each.run.path.resolve().name, 60)
                    found.setdefault((verdict.suite, verdict.criterion), []).append((name, verdict))
    return [
        {
            "suite": suite,
            "name": name,
            "asked": _asked(rows[0][1]),
            "rows": [
                {
                    "run": run,
                    "decision": verdict.decision,
                    "estimate": number(verdict.estimate, 4, verdict.threshold),
                    "drawing": verdicts.drawn(verdict, _range(rows), small=True),
                }
                for run, verdict in rows
            ],
        }
        for (suite, name), rows in found.items()
        if any(verdict.interval or verdict.estimate != verdict.threshold for _, verdict in rows)
    ]


def _asked(verdict: CriterionVerdict) -> str:
    return f"{verdict.metric} {COMPARISON_SIGNS.get(verdict.direction, '')} {number(verdict.threshold)}"


def _range(rows: Sequence[tuple[str, CriterionVerdict]]) -> tuple[float, float] | None:
    known = [v for _, each in rows for v in (each.estimate, each.threshold, *(each.interval or ())) if v is not None]
    finite = [v for v in known if abs(v) < float("inf")]
    return (min(finite), max(finite)) if finite else None
