"""`rl-eval qase prioritise`: which cases of a project to run first, by an agent or a baseline; printed and as CSV."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from rich.console import Console, ConsoleOptions
from rich.table import Table

from rl_eval.domains.qase.commands.next_cycle import (
    VERDICT_NAMES,
    CycleOrder,
    NextCycle,
    empty_log,
    next_cycle,
    order_cases,
    to_csv,
)
from rl_eval.domains.qase.config import LEVELS, Config, milliseconds
from rl_eval.domains.qase.environment.features import FEATURES
from rl_eval.domains.qase.environment_variables import data_path
from rl_eval.domains.qase.formats.load import ImportedProject, load
from rl_eval.domains.qase.model.project import Project, short_repr, suite_path
from rl_eval.errors import InputError
from rl_eval.formatting import number, percent, short_duration
from rl_eval.policy import Policy, Spaces, names_policy, scores
from rl_eval.policy import load as load_policy
from rl_eval.run import find_runs, read_run, write_text
from rl_eval.terminal import cell, console_for, labelled_line, new_table

OUTPUTS = Path("outputs")
FALLBACK = "baseline:failure_rate"
_BATCH_SIZE = 1024  # cases that a policy is shown at once
_MAX_TEXT_WIDTH = 80  # characters of a title or a path in the table


def prioritise_cases(
    path: str | None, results: str | None, *, budget: str | None, policy: str | None, show: int, out: Path, trust: bool
) -> None:
    """Order the cases of the next cycle, print the first of them, and write all of them as CSV.

    Args:
        path: the export; None: `QASE_DATA_PATH`.
        results: where results lie, where not at `path`; None: nothing else is known.
        budget: a time such as `20m`; None: all cases fit.
        policy: what orders; None: the newest finished run of env=qase, else sorting by failure rate.
        show: how many cases are printed; 0: all.
        out: the CSV file.
        trust: whether the person allowed code from elsewhere to run.

    Raises:
        InputError: a budget that is no time, or that nothing can be compared with; no cases; a policy that does not
            fit, or knows what nobody can know beforehand; a file that cannot be read or written.
    """
    budget_ms = _budget(budget)
    place = data_path(path)
    _refuse_overwriting(out, place, results)
    found = load(place, results)
    if found.project is None:
        raise InputError(f"{place} holds results and no cases: give the export, and these as --results")
    coming = next_cycle(found.project, found.log if found.log is not None else empty_log(found.project))
    if not len(coming.case):
        raise InputError(f"{place} holds no case to order{_left_out_text(coming)}: export the whole project")
    if budget is not None and np.isnan(coming.expected_ms).any():
        raise InputError(
            f"--budget {budget} cannot be kept, since no result says how long a case takes: give results with "
            "durations as --results, or leave --budget out"
        )
    spec, why = _choose_policy(policy)
    asked = _scores(spec, coming, Config(data="qase", path=place, results=results), trust)
    ordered = order_cases(coming.expected_ms, asked, budget_ms)
    try:
        write_text(out, to_csv(found.project, coming, ordered))
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}): name another file with --out") from error
    console = console_for()
    for head, text in _policy_lines(spec, why):
        console.print(labelled_line(f"{head:<11}", text, console.options, "bold"), soft_wrap=True)
    console.print()
    _print_table(console, found.project, coming, ordered, show, budget)
    console.print()
    for head, text in _result_lines(found, coming, ordered, budget, out):
        console.print(labelled_line(f"{head:<11}", text, console.options, "bold"), soft_wrap=True)


def _budget(budget: str | None) -> float:
    if budget is None:
        return math.inf
    try:
        return milliseconds(budget)
    except ValueError as error:
        raise InputError(f"--budget {short_repr(budget)} is no time: {error}") from error


def _refuse_overwriting(out: Path, *inputs: str | None) -> None:
    if any(given is not None and Path(given).resolve() == out.resolve() for given in inputs):
        raise InputError(f"--out {out} would overwrite what is read: name another file")


def _choose_policy(policy: str | None) -> tuple[str, str]:
    """What orders the cases, and why that."""
    if policy is not None:
        return policy, "named with --policy"
    runs = [run for run in find_runs(OUTPUTS) if run.finished and run.config["env"].get("name") == "qase"]
    if runs:
        return str(runs[-1].path), f"the newest finished run of env=qase below {OUTPUTS}/"
    return FALLBACK, f"as there is no finished run of env=qase below {OUTPUTS}/"


class _Candidates(dict[str, np.ndarray]):
    """What may be known of cases that have not run; a policy that asks for more is refused."""

    def __init__(self, spec: str, **known: np.ndarray):
        super().__init__(**known)
        self._spec = spec

    def __missing__(self, key: str) -> np.ndarray:
        raise InputError(
            f"policy {self._spec} orders by the {key} of each case, which nobody knows before it runs: name another"
        )


def _scores(spec: str, coming: NextCycle, config: Config, trust: bool) -> np.ndarray:
    """How early each case is to run, `[K]`."""
    space = Box(-np.inf, np.inf, (len(FEATURES),), np.float32)
    policy: Policy = load_policy(spec, Spaces("qase", space, Discrete(LEVELS)), config, trust=trust)
    told = []
    for begin in range(0, len(coming.case), _BATCH_SIZE):
        obs = coming.features[begin : begin + _BATCH_SIZE]
        known = _Candidates(spec, position=np.arange(begin, begin + len(obs)))
        told.append(scores(policy, obs, policy.act(obs, greedy=True), True, known))
    found = np.concatenate(told)
    if not np.isfinite(found).all():
        raise InputError(f"policy {spec} gives some case a score that is no number: name another with --policy")
    return found


def _policy_lines(spec: str, why: str) -> list[tuple[str, str]]:
    lines = [("policy", f"{spec}, {why}")]
    if not names_policy(spec):
        env: dict[str, Any] = read_run(spec).config["env"]
        if env.get("mode") == "live":
            lines.append(("trained on", "cases that it ran itself (env.mode=live)"))
        elif env.get("data") == "synthetic":
            lines.append(("trained on", f"the embedded project, not on this one: {_TRAIN}"))
        else:
            lines.append(("trained on", short_repr(env.get("path") or "QASE_DATA_PATH", 200)[1:-1]))
    return lines


_TRAIN = "`python train.py env=qase env.data=qase env.path=EXPORT env.results=RESULTS` learns from yours"


def _print_table(
    console: Console, project: Project, coming: NextCycle, ordered: CycleOrder, show: int, budget: str | None
) -> None:
    options = console.options
    table: Table = new_table()
    for name in ("rank", "id"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("title", "suite"):
        table.add_column(name, min_width=8)
    for name in ("score", "last", "failed", "expected", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    count = len(ordered.order)
    printed = min(count, show or count)
    for rank, at in enumerate(ordered.order[:printed].tolist()):
        if rank == ordered.within:
            _add_budget_line(table, budget, options)
        case = project.cases[coming.case[at]]
        expected, runs = coming.expected_ms[at], int(coming.runs[at])
        row = (
            rank + 1,
            case.id,
            _short(case.title),
            _short(" / ".join(suite_path(project, case)), tail=True),
            number(float(ordered.scores[rank])),
            VERDICT_NAMES[int(coming.last_verdict[at])] or "-",
            percent(coming.failures[at] / runs, 0) if runs else "-",
            "~" * bool(coming.guessed[at] and not math.isnan(expected)) + short_duration(expected),
            short_duration(ordered.total_ms[rank]),
        )
        table.add_row(*(cell(value, options, "" if rank < ordered.within else "dim") for value in row))
    if ordered.within == printed < count:
        _add_budget_line(table, budget, options)
    console.print(table)
    if printed < count:
        console.print(f"and {count - printed:,} more: --show 0 prints all, and the CSV has them", soft_wrap=True)


def _add_budget_line(table: Table, budget: str | None, options: ConsoleOptions) -> None:
    table.add_row("", "", cell(f"-- {budget} end here --", options, "bold yellow"))


def _result_lines(
    found: ImportedProject, coming: NextCycle, ordered: CycleOrder, budget: str | None, out: Path
) -> list[tuple[str, str]]:
    count, failed = len(coming.case), coming.failures > 0
    lines = [
        ("cases", f"{count:,}{_left_out_text(coming)}"),
        (
            "history",
            f"{int((coming.runs > 0).sum()):,} came to a verdict before, {int(failed.sum()):,} of them failed at "
            f"least once; {int((coming.runs == 0).sum()):,} never did",
        ),
    ]
    if found.joined is not None and found.joined.unjoined:
        unjoined = sum(entry.results for entry in found.joined.unjoined)
        total = unjoined + sum(found.joined.counts.values())
        lines.append(
            ("not joined", f"{unjoined:,} of {total:,} results are of no case here: `rl-eval qase inspect` says why")
        )
    if budget is not None:
        spent = float(ordered.total_ms[ordered.within - 1]) if ordered.within else 0.0
        text = f"{ordered.within:,} of {count:,} cases fit in {budget} and take {short_duration(spent)}"
        if ordered.within < count:
            text += f"; all would take {short_duration(float(ordered.total_ms[-1]))}"
            if failed.any():
                within = int(failed[ordered.order[: ordered.within]].sum())
                text += f"; {within:,} of the {int(failed.sum()):,} that failed before are among them"
        lines.append(("budget", text))
    guessed = int(coming.guessed.sum())
    if guessed and not np.isnan(coming.expected_ms).any():
        typical = short_duration(float(coming.expected_ms[coming.guessed][0]))
        lines.append(("times", f"{guessed:,} of {count:,} are guessed (~): the median of those known, {typical}"))
    return [*lines, ("written", str(out))]


def _left_out_text(coming: NextCycle) -> str:
    told = ", ".join(f"{count:,} {why}" for why, count in coming.left_out.items() if count)
    return f"; left out: {told}" if told else ""


def _short(text: str, *, tail: bool = False) -> str:
    if len(text) <= _MAX_TEXT_WIDTH:
        return text
    return f"…{text[1 - _MAX_TEXT_WIDTH :]}" if tail else f"{text[: _MAX_TEXT_WIDTH - 1]}…"
