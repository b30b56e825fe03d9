"""The closing table of criteria."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType

from rl_eval.terminal._console import apart, cell, console_for, headed, new_table, number

# The standard colours follow the person's palette, so they survive light and dark; the word stands alone.
STYLES = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "ERROR": "bold red",
    "INCONCLUSIVE": "bold yellow",
    "NEEDS_RUNS": "bold yellow",
}
SIGNS = {"at_least": "≥", "at_most": "≤", "better_than": ">", "less_than": "<"}
COUNTED = (
    ("FAIL", "fails", "fail"),
    ("ERROR", "could not be judged", "could not be judged"),
    ("INCONCLUSIVE", "is inconclusive", "are inconclusive"),
    ("NEEDS_RUNS", "needs more runs", "need more runs"),
)
METRIC_FROM_WIDTH = 100  # columns; below, the metric's name is left to the report


def word(decision: str) -> str:
    """The decision as a person reads it."""
    return decision.replace("_", " ")


class _Criteria:
    """Knows the stream only when it is printed: symbols and columns depend on it."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]):
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        with_metric = options.max_width >= METRIC_FROM_WIDTH
        table = new_table()
        for name in ("suite", "criterion", *(["metric"] if with_metric else [])):
            table.add_column(name, overflow="fold")
        for name in ("estimate", "threshold", "units"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("decision", no_wrap=True)
        for row in self._rows:
            decision = str(row["decision"])
            estimate, threshold = apart(row.get("estimate"), row.get("threshold"))
            sign = SIGNS.get(str(row.get("direction")), "")
            names = [row["suite"], row["criterion"], *([row.get("metric", "")] if with_metric else [])]
            numbers = [estimate, f"{sign} {threshold}".strip(), number(row.get("units"))]
            table.add_row(
                *(cell(value, options) for value in (*names, *numbers)),
                cell(word(decision), options, STYLES.get(decision, "bold")),
            )
        yield table


def criteria_table(verdict_rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One row a criterion: names, estimate, threshold, units, decision; the metric too, where there is room.

    Args:
        verdict_rows: each with `suite`, `criterion`, `metric`, `estimate`, `direction` (`at_least`,
            `at_most`, `better_than`), `threshold`, `units`, `decision`, `detail`; numbers may be None.
    """
    return _Criteria(list(verdict_rows))


def print_verdict(
    verdict_rows: Sequence[Mapping[str, Any]], *, stream: IO[str] | None = None, console: Console | None = None
) -> None:
    """The table, a line for each criterion that does not pass, the commands that decide the rest, and the count."""
    console = console or console_for(stream)
    rows = list(verdict_rows)
    if not rows:
        console.print("no criteria were judged")
        return
    console.print(criteria_table(rows))
    console.print()
    for row in rows:
        decision = str(row["decision"])
        if decision not in ("PASS", "NEEDS_RUNS"):
            because = f"{row['suite']}/{row['criterion']}" + (f": {row['detail']}" if row.get("detail") else "")
            line = headed(word(decision), because, console.options, STYLES.get(decision, "bold"))
            console.print(line, soft_wrap=True)
    commands: dict[str, list[str]] = {}
    for row in rows:
        if row["decision"] == "NEEDS_RUNS":
            commands.setdefault(str(row.get("detail") or ""), []).append(f"{row['suite']}/{row['criterion']}")
    for command, names in commands.items():
        which = ", ".join(names) + (", decided by:" if command else "")
        console.print(headed("NEEDS RUNS", which, console.options, STYLES["NEEDS_RUNS"]), soft_wrap=True)
        if command:
            # On a line of its own and never wrapped, to be copied.
            console.print(headed(" ", command, console.options, ""), soft_wrap=True)
    console.print(_count(rows), soft_wrap=True)


def _count(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(str(row["decision"]) for row in rows)
    said = [
        f"{counts[decision]} {one if counts[decision] == 1 else many}"
        for decision, one, many in COUNTED
        if counts[decision]
    ]
    passing = f"{counts['PASS']} of {len(rows)} criteria {'passes' if counts['PASS'] == 1 else 'pass'}"
    return passing + (f"; {', '.join(said)}" if said else "")
