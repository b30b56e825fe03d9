"""`rl-eval qase prioritise`: order the cases of the next cycle by an agent or a baseline; print them and write CSV."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from rich.console import Console, ConsoleOptions
from rich.table import Table

from rl_eval.domains.qase.commands.choose_policy import Choice, choose_policy
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
from rl_eval.run import read_run, write_text
from rl_eval.terminal import cell, console_for, labelled_line, new_table

_BATCH_SIZE = 1024  # cases per call of the policy
_MAX_TEXT_WIDTH = 80  # characters of a title or a path in the table


def prioritise_cases(
    path: str | None, results: str | None, *, budget: str | None, policy: str | None, show: int, out: Path, trust: bool
) -> None:
    """Order the cases of the next cycle, print the first of them, and write all of them as CSV.

    Args:
        path: the export; None: `QASE_DATA_PATH`.
        results: path of further results; None: only `path` is read.
        budget: a time such as `20m`; None: all cases fit.
        policy: the policy that orders; None: see `choose_policy`.
        show: number of cases to print; 0: all.
        out: the CSV file.
        trust: whether code from elsewhere may run.

    Raises:
        InputError: an invalid budget, or a budget without any known duration; no cases; a policy that does not fit or
            needs verdicts of the next cycle; a file that cannot be read or written.
    """
    budget_ms = _budget(budget)
    source = data_path(path)
    _refuse_overwriting(out, source, results)
    imported = load(source, results)
    if imported.project is None:
        raise InputError(f"{source} has results but no cases: give the export, and these as --results")
    cycle = next_cycle(imported.project, imported.log if imported.log is not None else empty_log(imported.project))
    if not len(cycle.case):
        raise InputError(f"{source} has no case to order{_left_out_text(cycle)}: export the whole project")
    if budget is not None and np.isnan(cycle.expected_ms).any():
        raise InputError(
            f"--budget {budget} needs durations, and no result has one: give results with "
            "durations as --results, or leave out --budget"
        )
    config = Config(data="qase", path=source, results=results)
    choice = choose_policy(config, trust) if policy is None else Choice(policy, "named with --policy")
    case_scores = _scores(choice.spec, cycle, config, trust)
    order = order_cases(cycle.expected_ms, case_scores, budget_ms)
    try:
        write_text(out, to_csv(imported.project, cycle, order))
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}): name another file with --out") from error
    console = console_for()
    for head, text in _policy_lines(choice.spec, choice.why):
        console.print(labelled_line(f"{head:<11}", text, console.options, "bold"), soft_wrap=True)
    console.print()
    _print_table(console, imported.project, cycle, order, show, budget)
    console.print()
    for head, text in _result_lines(imported, cycle, order, budget, out):
        console.print(labelled_line(f"{head:<11}", text, console.options, "bold"), soft_wrap=True)


def _budget(budget: str | None) -> float:
    if budget is None:
        return math.inf
    try:
        return milliseconds(budget)
    except ValueError as error:
        raise InputError(f"--budget {short_repr(budget)} is not a time: {error}") from error


def _refuse_overwriting(out: Path, *inputs: str | None) -> None:
    if any(path is not None and Path(path).resolve() == out.resolve() for path in inputs):
        raise InputError(f"--out {out} would overwrite an input file: give another file")


class _Candidates(dict[str, np.ndarray]):
    """The columns of cases that a policy may read before they run; access to any other is an error."""

    def __init__(self, spec: str, **columns: np.ndarray):
        super().__init__(**columns)
        self._spec = spec

    def __missing__(self, key: str) -> np.ndarray:
        raise InputError(
            f"policy {self._spec} orders by the {key} of each case, which is unknown before it runs: give another one"
        )


def _scores(spec: str, cycle: NextCycle, config: Config, trust: bool) -> np.ndarray:
    """The score of each case, `[K]`; the highest runs first."""
    space = Box(-np.inf, np.inf, (len(FEATURES),), np.float32)
    policy: Policy = load_policy(spec, Spaces("qase", space, Discrete(LEVELS)), config, trust=trust)
    batches = []
    for begin in range(0, len(cycle.case), _BATCH_SIZE):
        obs = cycle.features[begin : begin + _BATCH_SIZE]
        candidates = _Candidates(spec, position=np.arange(begin, begin + len(obs)))
        batches.append(scores(policy, obs, policy.act(obs, greedy=True), True, candidates))
    result = np.concatenate(batches)
    if not np.isfinite(result).all():
        raise InputError(f"policy {spec} gives a case a score that is not finite: give another with --policy")
    return result


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
    console: Console, project: Project, cycle: NextCycle, order: CycleOrder, show: int, budget: str | None
) -> None:
    options = console.options
    table: Table = new_table()
    for name in ("rank", "id"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("title", "suite"):
        table.add_column(name, min_width=8)
    for name in ("score", "last", "failed", "expected", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    count = len(order.order)
    printed = min(count, show or count)
    for rank, index in enumerate(order.order[:printed].tolist()):
        if rank == order.within:
            _add_budget_line(table, budget, options)
        case = project.cases[cycle.case[index]]
        expected, runs = cycle.expected_ms[index], int(cycle.runs[index])
        row = (
            rank + 1,
            case.id,
            _short(case.title),
            _short(" / ".join(suite_path(project, case)), tail=True),
            number(float(order.scores[rank])),
            VERDICT_NAMES[int(cycle.last_verdict[index])] or "-",
            percent(cycle.failures[index] / runs, 0) if runs else "-",
            "~" * bool(cycle.guessed[index] and not math.isnan(expected)) + short_duration(expected),
            short_duration(order.total_ms[rank]),
        )
        table.add_row(*(cell(value, options, "" if rank < order.within else "dim") for value in row))
    if order.within == printed < count:
        _add_budget_line(table, budget, options)
    console.print(table)
    if printed < count:
        rest = cell(f"and {count - printed:,} more: --show 0 prints all, and the CSV has them", options)
        console.print(rest, soft_wrap=True)


def _add_budget_line(table: Table, budget: str | None, options: ConsoleOptions) -> None:
    table.add_row("", "", cell(f"-- {budget} end here --", options, "bold yellow"))


def _result_lines(
    imported: ImportedProject, cycle: NextCycle, order: CycleOrder, budget: str | None, out: Path
) -> list[tuple[str, str]]:
    count, failed = len(cycle.case), cycle.failures > 0
    lines = [
        ("cases", f"{count:,}{_left_out_text(cycle)}"),
        (
            "history",
            f"{int((cycle.runs > 0).sum()):,} have an earlier verdict, {int(failed.sum()):,} of them failed at "
            f"least once; {int((cycle.runs == 0).sum()):,} have none",
        ),
    ]
    if imported.joined is not None and imported.joined.unjoined:
        unjoined = sum(entry.results for entry in imported.joined.unjoined)
        total = unjoined + sum(imported.joined.counts.values())
        lines.append(
            ("not joined", f"{unjoined:,} of {total:,} results match no case: `rl-eval qase inspect` says why")
        )
    if budget is not None:
        spent = float(order.total_ms[order.within - 1]) if order.within else 0.0
        text = f"{order.within:,} of {count:,} cases fit in {budget} and take {short_duration(spent)}"
        if order.within < count:
            text += f"; all would take {short_duration(float(order.total_ms[-1]))}"
            if failed.any():
                within = int(failed[order.order[: order.within]].sum())
                text += f"; {within:,} of the {int(failed.sum()):,} that failed before are among them"
        lines.append(("budget", text))
    guessed = int(cycle.guessed.sum())
    if guessed and not np.isnan(cycle.expected_ms).any():
        typical = short_duration(float(cycle.expected_ms[cycle.guessed][0]))
        lines.append(("times", f"{guessed:,} of {count:,} are guessed (~): the median of the known times, {typical}"))
    return [*lines, ("written", str(out))]


def _left_out_text(cycle: NextCycle) -> str:
    reasons = ", ".join(f"{count:,} {why}" for why, count in cycle.left_out.items() if count)
    return f"; left out: {reasons}" if reasons else ""


def _short(text: str, *, tail: bool = False) -> str:
    if len(text) <= _MAX_TEXT_WIDTH:
        return text
    return f"…{text[1 - _MAX_TEXT_WIDTH :]}" if tail else f"{text[: _MAX_TEXT_WIDTH - 1]}…"
