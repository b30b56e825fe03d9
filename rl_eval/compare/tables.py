"""A comparison as tables on the terminal: settings, scores, differences and learning curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table

from rl_eval.compare.comparison import Comparison
from rl_eval.compare.permutation import MeanDifference
from rl_eval.compare.run_evidence import BoundedDifference, PairWins
from rl_eval.cost import energy_text, money_text
from rl_eval.evidence import Interval
from rl_eval.formatting import number
from rl_eval.terminal import cell, console_for, labelled_line, new_table

# Colours are for claims about the mean.
OUTCOME_STYLES = {
    "WORSE": "bold red",
    "LOSES": "bold",
    "UNDECIDED": "bold yellow",
    "WINS": "bold",
    "BETTER": "bold green",
}
MAX_SETTINGS = 40  # rows; --json has all of them
CURVE_POINTS = 5
# Columns that a narrow terminal leaves out, in this order.
OPTIONAL_COLUMNS = ("p better", "lowest", "highest", "95 %", "p worse", "mean")


def print_comparison(result: Comparison, *, gate: bool = False, console: Console | None = None) -> None:
    """Print every table, then a sentence for each candidate."""
    console = console or console_for()
    for title, table in _tables(result):
        console.print(cell(title, console.options, "bold"))
        console.print(table)
        console.print()
    for index, comparison in enumerate(result.comparisons):
        style = OUTCOME_STYLES[comparison.decision]
        line = labelled_line(comparison.decision, result.sentence(index), console.options, style)
        console.print(line, soft_wrap=True)
    for note in result.notes:
        console.print(cell(f"note: {note}", console.options, "dim"), soft_wrap=True)
    if gate:
        console.print(labelled_line("gate:", gate_sentence(result), console.options, "bold"), soft_wrap=True)


def gate_sentence(result: Comparison) -> str:
    """The meaning of the exit status."""
    candidate, last = result.groups[-1].label, result.comparisons[-1]
    if result.closes_gate:
        shown = {"WORSE": "is worse in the mean", "LOSES": "loses more often than it wins"}
        what = shown.get(last.decision, "is worse over the episodes, with these policies")
        return f"closed, because {candidate} {what} (at most {100 * result.alpha:g} % by chance)"
    shown = {"BETTER": "is better in the mean", "WINS": "wins more often than it loses"}
    reason = shown.get(last.decision, "is not shown to be worse; that does not prove that it is as good")
    return f"open, because {candidate} {reason}"


class _FittedTable:
    """A table that leaves out optional columns where the terminal is narrow. Numbers are never broken.

    Args:
        head: names of the columns.
        rows: cells.
        text_columns: how many of the first columns hold text; the others hold numbers.
    """

    def __init__(self, head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int) -> None:
        self._head, self._rows, self._text_columns = head, rows, text_columns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        columns = list(range(len(self._head)))
        unlimited = options.update(max_width=10_000)
        for name in OPTIONAL_COLUMNS:
            if Measurement.get(console, unlimited, self._table(columns, unlimited)).maximum <= options.max_width:
                break
            columns = [column for column in columns if self._head[column] != name]
        yield self._table(columns, options)
        left_out = [name for column, name in enumerate(self._head) if column not in columns]
        if left_out:
            yield cell(f"not shown at this width: {', '.join(left_out)}", options, "dim")

    def _table(self, columns: Sequence[int], options: ConsoleOptions) -> Table:
        table = new_table()
        for column in columns:
            text = column < self._text_columns
            justify: Literal["left", "right"] = "left" if text else "right"
            table.add_column(cell(self._head[column], options), justify=justify, overflow="fold", no_wrap=not text)
        for row in self._rows:
            table.add_row(*(cell(row[column], options) for column in columns))
        return table


def _tables(result: Comparison) -> Iterator[tuple[str, _FittedTable]]:
    labels = [group.label for group in result.groups]
    if result.differing:
        settings = [(key, *values) for key, values in result.differing.items()]
        more = f", {len(settings) - MAX_SETTINGS} more in --json" if len(settings) > MAX_SETTINGS else ""
        yield (
            f"settings that differ{more}",
            _FittedTable(("key", *labels), settings[:MAX_SETTINGS], len(labels) + 1),
        )
    yield _score_title(result), _score_table(result)
    if evidence := _evidence_rows(result):
        level = f"{100 - 200 * result.alpha:g} %"
        head = ("candidate", "of", "over", "estimate", level, "p worse", "p better")
        yield "candidate against baseline", _FittedTable(head, evidence, 3)
    if result.verdicts:
        passes = [(name, *counts) for name, counts in result.verdicts.items()]
        yield "runs that pass", _FittedTable(("criterion", *labels), passes, 1)
    if result.cost is not None:
        yield _cost_title(result), _cost_table(result, labels)
    for column, curves in result.curves.items():
        first, last = max(curve.steps[0] for curve in curves), min(curve.steps[-1] for curve in curves)
        if first < last:
            steps = np.linspace(first, last, CURVE_POINTS)
            values = [[number(float(v), 3) for v in np.interp(steps, curve.steps, curve.mean)] for curve in curves]
            rows = [(label, *row) for label, row in zip(labels, values, strict=True)]
            table = _FittedTable(("", *(f"{step:,.0f}" for step in steps)), rows, 1)
            yield f"{column} over env steps, mean over runs", table


def _cost_title(result: Comparison) -> str:
    assert result.cost is not None
    metric = result.task.metric
    sign = ">=" if metric.better == "higher" else "<="
    return (
        f"cost to reach {metric.name} {sign} {number(result.cost.bar)} on validation, median of the runs that reached "
        "it"
    )


def _cost_table(result: Comparison, labels: Sequence[str]) -> _FittedTable:
    assert result.cost is not None
    rows = []
    for label, group in zip(labels, result.cost.groups, strict=True):
        cost = group.cost
        cells = ("-",) * 4
        if cost is not None:
            cells = (number(group.env_steps), number(cost.machine_s), energy_text(cost), money_text(cost))
        rows.append((label, f"{len(group.reached)}/{group.runs}", *cells))
    return _FittedTable(("group", "runs", "env steps", "machine-seconds", "energy", "money"), rows, 1)


def _score_title(result: Comparison) -> str:
    metric, env = result.task.metric, result.task.env_name
    part = f" of the {result.part} part" if result.part else ""
    episodes = "recorded final results" if result.episodes is None else f"{result.episodes:,} episodes{part} each"
    return f"{metric.name} on {env} ({metric.better} is better), {episodes}"


def _score_table(result: Comparison) -> _FittedTable:
    rows = []
    for index, (group, scores, iqm) in enumerate(zip(result.groups, result.scores, result.iqms, strict=True)):
        values = scores.values
        mean, lowest, highest = (number(float(value)) for value in (values.mean(), values.min(), values.max()))
        role = "baseline" if not index and result.comparisons else ""
        rows.append((group.label, role, f"{len(values)}", mean, *_estimate(iqm), lowest, highest))
    return _FittedTable(("group", "", "runs", "mean", "IQM", "95 %", "lowest", "highest"), rows, 2)


def _evidence_rows(result: Comparison) -> list[tuple[str, ...]]:
    rows = []
    for group, comparison in zip(result.groups[1:], result.comparisons, strict=True):
        wins, mean, episodes = comparison.wins, comparison.mean, comparison.over_episodes
        if wins.wins + wins.losses and comparison.about == "training":
            pairs = f"{wins.wins + wins.losses + wins.ties} pairs{' of one seed' if comparison.same_seeds else ''}"
            rows.append((group.label, "higher score", pairs, *_evidence(wins.share, wins, result)))
        if mean is not None:
            runs = f"{len(group.runs)} and {len(result.groups[0].runs)} runs"
            rows.append((group.label, "mean over runs", runs, *_evidence(mean.estimate, mean, result)))
        if episodes is not None:
            claim = "these policies"
            units = f"{episodes.count:,} episodes"
            rows.append((group.label, claim, units, *_evidence(episodes.estimate, episodes, result)))
    return rows


def _estimate(interval: Interval | None) -> tuple[str, str]:
    if interval is None:
        return "-", ""
    return number(float(interval.estimate)), _range(float(interval.low), float(interval.high))


def _evidence(
    estimate: float, evidence: PairWins | BoundedDifference | MeanDifference, result: Comparison
) -> tuple[str, ...]:
    worse, better = evidence.p_below, evidence.p_above
    if not result.higher_is_better:
        worse, better = better, worse
    return number(estimate, 3), _range(evidence.low, evidence.high), number(worse, 2), number(better, 2)


def _range(low: float, high: float) -> str:
    ends = ["?" if math.isinf(end) else number(end, 3) for end in (low, high)]
    return f"{ends[0]}..{ends[1]}"
