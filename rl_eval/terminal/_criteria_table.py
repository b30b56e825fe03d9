"""The table of a suite's criteria: one row each, with what was decided, when, and on how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table

from rl_eval.formatting import COMPARISON_SIGNS, decision_text, interval_ends, number
from rl_eval.terminal._console import cell, new_table

# The standard colours follow the palette of the terminal, light or dark. The word is clear without its colour.
DECISION_STYLES = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "ERROR": "bold red",
    "INCONCLUSIVE": "bold yellow",
    "NEEDS_RUNS": "bold yellow",
    "NOT_CHECKED": "bold",
}
_COLUMNS = ("criterion", "metric", "worst run", "estimate", "interval", "bar", "played", "decision")
_FOLDED = ("criterion", "metric", "worst run")
# Left out one after the other until the table fits; `unit` is the word after the number of `played`.
_OPTIONAL = ("metric", "unit", "worst run", "bar", "interval")
_FOLDED_NAME = 24  # characters of a name that must fit in one line; the rest of it may be folded


class _CriteriaTable:
    """Built when it is printed, since symbols and columns depend on the stream."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]):
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        columns = [*_COLUMNS, "unit"]
        texts = [_texts(row) for row in self._rows]
        for name in ("interval", "worst run"):
            if not any(text[name] for text in texts):
                columns.remove(name)
        for name in _OPTIONAL:
            measured = self._table(options, columns, longest_name=_FOLDED_NAME)
            if Measurement.get(console, options.update(max_width=10_000), measured).maximum <= options.max_width:
                break
            if name in columns:
                columns.remove(name)
        yield self._table(options, columns)

    def _table(self, options: ConsoleOptions, columns: Sequence[str], longest_name: int | None = None) -> Table:
        table = new_table()
        shown = [name for name in columns if name != "unit"]
        for name in shown:
            if name in _FOLDED:
                table.add_column(name, overflow="fold")
            else:
                table.add_column(name, justify="left" if name == "decision" else "right", no_wrap=True)
        for row in self._rows:
            texts, decision = _texts(row), str(row["decision"])
            if "unit" in columns:
                texts["played"] = f"{texts['played']} {texts['unit']}".strip()
            for name in _FOLDED:
                texts[name] = texts[name][:longest_name]
            styles = {"decision": DECISION_STYLES.get(decision, "bold")}
            table.add_row(*(cell(texts[name], options, styles.get(name, "")) for name in shown))
        return table


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Column -> text."""
    estimate, threshold, units = row.get("estimate"), row.get("threshold"), row.get("units")
    sign = COMPARISON_SIGNS.get(str(row.get("direction")), "")
    is_one_of_many = row.get("run") and "the worst of " in str(row.get("detail"))
    after = row.get("decided_at")
    return {
        "criterion": f"{row['criterion']}{part_note(row)}",
        "metric": str(row.get("metric", "")),
        "worst run": PurePath(str(row["run"])).name if is_one_of_many else "",
        "estimate": number(estimate, distinct_from=threshold),
        "interval": _interval(row.get("interval")),
        "bar": f"{sign} {number(threshold, distinct_from=estimate)}".strip(),
        "played": _units(units, row.get("units_max")),
        "unit": f"{row['unit']}{'' if units == 1 else 's'}" if units is not None and row.get("unit") else "",
        "decision": decision_text(str(row["decision"])) + ("" if after is None else f" after {after:,}"),
    }


def part_note(row: Mapping[str, Any]) -> str:
    """What to add to a name where the criterion was not played on the test set."""
    part = str(row.get("part") or "test")
    return "" if part == "test" else f" ({part})"


def _interval(interval: Sequence[float | None] | None) -> str:
    """`0.81..0.95`."""
    if not interval:
        return ""
    low, high = interval_ends(interval)
    return low if low == high else f"{low}..{high}"


def _units(units: int | None, most: int | None) -> str:
    """`57/400` where not all units were used."""
    if units is None or most is None or units == most:
        return number(units)
    return f"{units:,}/{most:,}"


def criteria_table(verdict_rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One row per criterion: name, estimate, interval, bar, how much was played, and the decision.

    A narrow stream leaves out the metric, the unit, the worst run, the bar and the interval, in this order.

    Args:
        verdict_rows: mappings with `criterion`, `metric`, `estimate`, `direction` (`at_least`, `at_most`,
            `better_than`, `less_than`), `threshold`, `units`, `decision`, `detail`, and `interval` (two numbers),
            `units_max`, `unit`, `decided_at`, `run` and `part` (default: `test`) where there are any; numbers may be
            None.
    """
    return _CriteriaTable(list(verdict_rows))
