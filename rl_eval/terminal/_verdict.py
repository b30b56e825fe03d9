"""The table of criteria, and the sentences below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table

from rl_eval.formatting import COMPARISON_SIGNS, decision_text, interval_ends, number
from rl_eval.terminal._console import cell, console_for, labelled_line, new_table

# The standard colours follow the palette of the terminal, light or dark. The word is clear without its colour.
DECISION_STYLES = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "ERROR": "bold red",
    "INCONCLUSIVE": "bold yellow",
    "NEEDS_RUNS": "bold yellow",
}
COUNT_TEXTS = (
    ("FAIL", "fails", "fail"),
    ("ERROR", "could not be judged", "could not be judged"),
    ("INCONCLUSIVE", "is inconclusive", "are inconclusive"),
    ("NEEDS_RUNS", "needs more runs", "need more runs"),
)
# Left out one after the other until the table fits: the sentences below it have these too.
_OPTIONAL = ("metric", "units", "threshold")
_FOLDED_NAME = 24  # characters of a name that must fit in one line; the rest of it may be folded


class _CriteriaTable:
    """Built when it is printed, since symbols and columns depend on the stream."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]):
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        columns = ["suite", "criterion", "metric", "estimate", "interval", "threshold", "units", "decision"]
        if not any(row.get("interval") for row in self._rows):
            columns.remove("interval")
        for name in _OPTIONAL:
            measured = self._table(options, columns, longest_name=_FOLDED_NAME)
            if Measurement.get(console, options.update(max_width=10_000), measured).maximum <= options.max_width:
                break
            columns.remove(name)
        yield self._table(options, columns)

    def _table(self, options: ConsoleOptions, columns: Sequence[str], longest_name: int | None = None) -> Table:
        table = new_table()
        for name in columns:
            if name in ("suite", "criterion", "metric"):
                table.add_column(name, overflow="fold")
            else:
                table.add_column(name, justify="left" if name == "decision" else "right", no_wrap=True)
        for row in self._rows:
            texts, decision = _texts(row), str(row["decision"])
            for name in ("suite", "criterion", "metric"):
                texts[name] = texts[name][:longest_name]
            styles = {"decision": DECISION_STYLES.get(decision, "bold")}
            table.add_row(*(cell(texts[name], options, styles.get(name, "")) for name in columns))
        return table


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Column -> text."""
    estimate, threshold = row.get("estimate"), row.get("threshold")
    sign = COMPARISON_SIGNS.get(str(row.get("direction")), "")
    return {
        "suite": f"{row['suite']}{_part_note(row)}",
        "criterion": str(row["criterion"]),
        "metric": str(row.get("metric", "")),
        "estimate": number(estimate, distinct_from=threshold),
        "interval": _interval(row.get("interval")),
        "threshold": f"{sign} {number(threshold, distinct_from=estimate)}".strip(),
        "units": _units(row.get("units"), row.get("units_max")),
        "decision": decision_text(str(row["decision"])),
    }


def _part_note(row: Mapping[str, Any]) -> str:
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
    """One row per criterion: names, estimate, interval and decision; threshold, units and metric if there is room.

    Args:
        verdict_rows: mappings with `suite`, `criterion`, `metric`, `estimate`, `direction` (`at_least`,
            `at_most`, `better_than`), `threshold`, `units`, `decision`, `detail`, and `interval` (two numbers),
            `units_max` and `part` (default: `test`) where there are any; numbers may be None.
    """
    return _CriteriaTable(list(verdict_rows))


def print_verdict(
    verdict_rows: Sequence[Mapping[str, Any]], *, stream: IO[str] | None = None, console: Console | None = None
) -> None:
    """Print the table, a sentence for each criterion that needs one, the commands that decide the rest, and a count."""
    console = console or console_for(stream)
    rows = list(verdict_rows)
    if not rows:
        console.print("no criteria were judged")
        return
    console.print(criteria_table(rows))
    console.print()
    print_sentences(rows, console)
    commands: dict[str, list[str]] = {}
    for row in rows:
        if row["decision"] == "NEEDS_RUNS":
            commands.setdefault(str(row.get("detail") or ""), []).append(f"{row['suite']}/{row['criterion']}")
    for command, names in commands.items():
        criteria = ", ".join(names) + (", decided by:" if command else "")
        style = DECISION_STYLES["NEEDS_RUNS"]
        console.print(labelled_line("NEEDS RUNS", criteria, console.options, style), soft_wrap=True)
        if command:
            # On its own line and never wrapped, so that it can be copied.
            console.print(labelled_line(" ", command, console.options, ""), soft_wrap=True)
    console.print(_count(rows), soft_wrap=True)


def print_sentences(verdict_rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print a line for each criterion that does not pass, and for those that pass by evidence: how much it took."""
    for row in verdict_rows:
        decision = str(row["decision"])
        passed_by_evidence = row.get("by") == "evidence" and row.get("detail")
        if decision == "NEEDS_RUNS" or (decision == "PASS" and not passed_by_evidence):
            continue
        name = f"{row['suite']}/{row['criterion']}{_part_note(row)}"
        sentence = name + (f": {row['detail']}" if row.get("detail") else "")
        line = labelled_line(decision_text(decision), sentence, console.options, DECISION_STYLES.get(decision, "bold"))
        console.print(line, soft_wrap=True)


def _count(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(str(row["decision"]) for row in rows)
    texts = [
        f"{counts[decision]} {one if counts[decision] == 1 else many}"
        for decision, one, many in COUNT_TEXTS
        if counts[decision]
    ]
    passing = f"{counts['PASS']} of {len(rows)} criteria {'passes' if counts['PASS'] == 1 else 'pass'}"
    passing += " on validation" if any(map(_part_note, rows)) else ""
    return passing + (f"; {', '.join(texts)}" if texts else "")
