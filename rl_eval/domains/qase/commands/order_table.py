"""The ordered list on the terminal: a table of the first cases, and what the list consists of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from rich.console import Console, ConsoleOptions
from rich.table import Table

from rl_eval.domains.qase.commands.next_cycle import VERDICT_NAMES, CycleOrder, NextCycle
from rl_eval.domains.qase.formats.load import ImportedProject
from rl_eval.domains.qase.model.project import Project, suite_path
from rl_eval.formatting import number, percent, short_duration
from rl_eval.terminal import cell, new_table

_MAX_TEXT_WIDTH = 80  # characters of a title or a path in the table


def print_table(
    console: Console, project: Project, cycle: NextCycle, order: CycleOrder, show: int, budget: str | None
) -> None:
    """Print the first cases of an order; `show` 0 prints all."""
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


def result_lines(
    imported: ImportedProject, cycle: NextCycle, order: CycleOrder, budget: str | None, out: Path | None
) -> list[tuple[str, str]]:
    """What the list consists of: a word and a sentence each."""
    count, failed = len(cycle.case), cycle.failures > 0
    skipped = int(cycle.skipped.sum())
    last = (
        f"; {skipped:,} of them ran without a verdict every time, such as skipped: these come last" if skipped else ""
    )
    lines = [
        ("cases", f"{count:,}{left_out_text(cycle)}"),
        (
            "history",
            f"{int((cycle.runs > 0).sum()):,} have an earlier verdict, {int(failed.sum()):,} of them failed at "
            f"least once; {int((cycle.runs == 0).sum()):,} have none{last}",
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
    return [*lines, ("written", str(out))] if out is not None else lines


def left_out_text(cycle: NextCycle) -> str:
    """How many cases are left out and why, as the end of a sentence; empty if there are none."""
    reasons = ", ".join(f"{count:,} {why}" for why, count in cycle.left_out.items() if count)
    return f"; left out: {reasons}" if reasons else ""


def _short(text: str, *, tail: bool = False) -> str:
    if len(text) <= _MAX_TEXT_WIDTH:
        return text
    return f"…{text[1 - _MAX_TEXT_WIDTH :]}" if tail else f"{text[: _MAX_TEXT_WIDTH - 1]}…"
