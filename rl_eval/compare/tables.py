"""A comparison on the terminal: what differs, what was reached, who is better, and how they learned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table

from rl_eval.compare.comparison import Comparison
from rl_eval.compare.permutation import Difference
from rl_eval.evidence import Interval
from rl_eval.formatting import number
from rl_eval.terminal import cell, console_for, headed, new_table

STYLES = {"WORSE": "bold red", "BETTER": "bold green", "UNDECIDED": "bold yellow"}
MOST_ROWS = 40  # of settings that differ; --json has them all
POINTS = 5  # of a learning curve
# What a narrow terminal can do without, first to go first.
OPTIONAL = ("p better", "P(better run)", "lowest", "highest", "95 %", "p worse", "mean")


def print_comparison(comparison: Comparison, *, gate: bool = False, console: Console | None = None) -> None:
    """Every table, then a sentence for each candidate."""
    console = console or console_for()
    for title, table in _tables(comparison):
        console.print(cell(title, console.options, "bold"))
        console.print(_Table(*table))
        console.print()
    for which, versus in enumerate(comparison.against):
        line = headed(versus.decision, comparison.sentence(which), console.options, STYLES[versus.decision])
        console.print(line, soft_wrap=True)
    for note in comparison.notes:
        console.print(cell(f"note: {note}", console.options, "dim"), soft_wrap=True)
    if gate:
        console.print(headed("gate:", gate_sentence(comparison), console.options, "bold"), soft_wrap=True)


def gate_sentence(comparison: Comparison) -> str:
    """What the exit status says."""
    candidate, versus = comparison.groups[-1].label, comparison.against[-1]
    if versus.decision == "WORSE":
        return f"closed, since {candidate} is worse with evidence (at most {100 * comparison.alpha:g} % by chance)"
    why = (
        "is better with evidence"
        if versus.decision == "BETTER"
        else "is not shown to be worse, which is no proof that it is as good"
    )
    return f"open, since {candidate} {why}"


Rows = tuple[Sequence[str], Sequence[Sequence[str]], int]


class _Table:
    """Headings, rows, and how many of the first columns are words; numbers never break."""

    def __init__(self, head: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> None:
        self._head, self._rows, self._words = head, rows, words

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        shown = list(range(len(self._head)))
        wide = options.update(max_width=10_000)
        for name in OPTIONAL:
            if Measurement.get(console, wide, self._table(shown, wide)).maximum <= options.max_width:
                break
            shown = [at for at in shown if self._head[at] != name]
        yield self._table(shown, options)
        left_out = [name for at, name in enumerate(self._head) if at not in shown]
        if left_out:
            yield cell(f"not shown at this width: {', '.join(left_out)}", options, "dim")

    def _table(self, shown: Sequence[int], options: ConsoleOptions) -> Table:
        table = new_table()
        for at in shown:
            words = at < self._words
            table.add_column(
                cell(self._head[at], options), justify="left" if words else "right", overflow="fold", no_wrap=not words
            )
        for row in self._rows:
            table.add_row(*(cell(row[at], options) for at in shown))
        return table


def _tables(comparison: Comparison) -> Iterator[tuple[str, Rows]]:
    labels = [group.label for group in comparison.groups]
    if comparison.differing:
        rows = [(key, *values) for key, values in comparison.differing.items()]
        left = f", {len(rows) - MOST_ROWS} more in --json" if len(rows) > MOST_ROWS else ""
        yield f"what differs{left}", (("key", *labels), rows[:MOST_ROWS], len(labels) + 1)
    yield _title(comparison), _scores(comparison)
    if comparison.against:
        yield "candidate minus baseline", _differences(comparison)
    if comparison.verdicts:
        rows = [(name, *passing) for name, passing in comparison.verdicts.items()]
        yield "runs that pass", (("criterion", *labels), rows, 1)
    for name, curves in comparison.curves.items():
        first, last = max(curve.steps[0] for curve in curves), min(curve.steps[-1] for curve in curves)
        if first < last:
            steps = np.linspace(first, last, POINTS)
            values = [[number(float(v), 3) for v in np.interp(steps, curve.steps, curve.mean)] for curve in curves]
            rows = [(label, *each) for label, each in zip(labels, values, strict=True)]
            yield f"{name} over env steps, mean over runs", (("", *(f"{step:,.0f}" for step in steps)), rows, 1)


def _title(comparison: Comparison) -> str:
    metric, env = comparison.task.metric, comparison.task.env.name
    played = "final results on record" if comparison.episodes is None else f"{comparison.episodes:,} episodes each"
    return f"{metric.name} on {env} ({metric.better} is better), {played}"


def _scores(comparison: Comparison) -> Rows:
    rows = []
    for at, (group, scores, iqm) in enumerate(zip(comparison.groups, comparison.scores, comparison.iqms, strict=True)):
        values = scores.values
        ends = [number(float(value)) for value in (values.mean(), values.min(), values.max())]
        mark = "baseline" if not at and comparison.against else ""
        runs = f"{len(values)}"
        rows.append((group.label, mark, runs, ends[0], *_estimate(iqm), *ends[1:]))
    return ("group", "", "runs", "mean", "IQM", "95 %", "lowest", "highest"), rows, 2


def _differences(comparison: Comparison) -> Rows:
    rows = []
    for group, versus in zip(comparison.groups[1:], comparison.against, strict=True):
        chance = "{} ({})".format(*_estimate(versus.improvement))
        shown = [("runs", versus.over_runs), ("seeds", versus.over_seeds), ("episodes", versus.over_episodes)]
        for basis, found in shown:
            if found is not None:
                units = f"{found.counts[0]:,} {'pairs of one seed' if basis == 'seeds' else basis}"
                if basis == "runs":
                    units = f"{found.counts[0]} and {found.counts[1]} runs"
                decides = "decides" if basis == versus.basis else ""
                rows.append((group.label, units, decides, *_difference(found, comparison.higher), chance))
    level = f"{100 - 200 * comparison.alpha:g} %"
    return ("candidate", "over", "", "difference", level, "p worse", "p better", "P(better run)"), rows, 3


def _estimate(found: Interval | None) -> tuple[str, str]:
    if found is None:
        return "-", ""
    return number(float(found.estimate)), _ends(float(found.low), float(found.high))


def _difference(found: Difference, higher: bool) -> tuple[str, ...]:
    worse, better = (found.p_below, found.p_above) if higher else (found.p_above, found.p_below)
    return number(found.estimate, 3), _ends(found.low, found.high), number(worse, 2), number(better, 2)


def _ends(low: float, high: float) -> str:
    shown = ["?" if math.isinf(end) else number(end, 3) for end in (low, high)]
    return f"{shown[0]}..{shown[1]}"
