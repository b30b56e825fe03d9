"""The table of `rl-eval list`: one row per run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table

from rl_eval.formatting import compact, duration, number
from rl_eval.override_text import shell_word
from rl_eval.run_index import Entry, verdict_text
from rl_eval.terminal import DECISION_STYLES, cell, console_for, new_table

_RIGHT = ("seed", "steps", "time", "score")
_OPTIONAL = ("seed", "time", "agent", "env", "steps")  # left out one after the other until the table fits


class _RunTable:
    """Built when it is printed, since the columns depend on the stream."""

    def __init__(self, entries: Sequence[Entry], outputs: Path):
        self._entries, self._outputs = entries, outputs

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        columns = ["run", "env", "agent", "seed", "steps", "time", "score", "verdict"]
        wide = options.update(max_width=10_000)
        for name in _OPTIONAL:
            if Measurement.get(console, wide, self._table(options, columns)).maximum <= options.max_width:
                break
            columns.remove(name)
        yield self._table(options, columns)

    def _table(self, options: ConsoleOptions, columns: Sequence[str]) -> Table:
        table = new_table()
        for name in columns:
            table.add_column(name, justify="right" if name in _RIGHT else "left", overflow="fold")
        for entry in self._entries:
            texts = _texts(entry, self._outputs)
            style = DECISION_STYLES.get(entry.decision, "")
            table.add_row(*(cell(texts[name], options, style if name == "verdict" else "") for name in columns))
        return table


def _texts(entry: Entry, outputs: Path) -> dict[str, str]:
    return {
        "run": shell_word(outputs / entry.path),  # can be pasted behind another command
        "env": entry.env,
        "agent": entry.agent,
        "seed": "" if entry.seed is None else str(entry.seed),
        "steps": "" if entry.env_steps is None else compact(entry.env_steps),
        "time": "" if entry.machine_s is None else duration(entry.machine_s),
        "score": "" if entry.score is None else number(entry.score),
        "verdict": verdict_text(entry, outputs),
    }


def print_runs(entries: Sequence[Entry], outputs: Path) -> None:
    """Print a table of runs below a folder; a narrow terminal leaves out columns."""
    console_for().print(_RunTable(entries, outputs))
