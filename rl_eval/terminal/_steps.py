"""The steps of one episode as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rl_eval.formatting import brief, number
from rl_eval.terminal._console import cell, console_for, new_table

MAX_COLUMNS = 8


def print_steps(rows: Sequence[Mapping[str, Any]], most: int) -> None:
    """Print the first and the last steps, `most` in all, with the number of those between.

    Args:
        rows: one mapping per step, with the same keys; the first keys become columns.
    """
    if not rows:
        return
    console, table = console_for(), new_table()
    names = list(rows[0])[:MAX_COLUMNS]
    for name in names:
        is_number = isinstance(rows[0][name], bool | int | float)
        table.add_column(cell(name, console.options), justify="right" if is_number else "left", overflow="fold")
    first = len(rows) if len(rows) <= most else (most + 1) // 2
    last = 0 if len(rows) <= most else most - first
    for row in rows[:first]:
        table.add_row(*(cell(value_text(row[name]), console.options) for name in names))
    if first < len(rows):
        between = f"… {len(rows) - first - last:,} more"
        table.add_row(*(cell(between if name == "action" else "…", console.options) for name in names))
    for row in rows[len(rows) - last :] if last else ():
        table.add_row(*(cell(value_text(row[name]), console.options) for name in names))
    console.print(table)


def value_text(value: Any) -> str:
    """A fact or an action as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, int | float) else brief(value, 60)
