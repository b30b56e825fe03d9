"""`Figure`: a chart or table that a domain adds to the page on a run, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        note: smaller text after it.
        share: from 0 to 1, shown as a bar with its percentage instead of the text.
        is_block: whether the text is long and shown with its line breaks; else its first 80 characters are shown.
    """

    text: str = ""
    note: str = ""
    share: float | None = None
    is_block: bool = False


@dataclass(frozen=True)
class Figure:
    """A chart or a table with its title; text is escaped, charts come from `rl_eval.report.charts`.

    Attributes:
        caption: what it shows, in a sentence.
        chart, legend: markup of `charts`; empty for a table.
        header: of the table's columns; empty for a chart.
        rows: of the table; the first cell names the row.
        numeric: whether the columns after the first are numbers, which are right-aligned.
        remark: a sentence below the table.
    """

    title: str
    caption: str
    chart: Markup = Markup()  # noqa: RUF009 - immutable
    legend: Markup = Markup()  # noqa: RUF009
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = field(default=(), repr=False)
    numeric: bool = True
    remark: str = ""

    @property
    def is_wide(self) -> bool:
        """Whether it is a table that needs the width of the page: of many columns, or with long texts."""
        return len(self.header) > 3 or any(cell.is_block for row in self.rows for cell in row)
