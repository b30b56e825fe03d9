"""What is in each column of a file, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rl_eval.domains.threat.columns.addresses import NONE, address_classes
from rl_eval.domains.threat.columns.numbers import parse_numbers
from rl_eval.domains.threat.columns.times import MISSING, parse_times
from rl_eval.domains.threat.commands.proposal import Proposal
from rl_eval.domains.threat.csv_data import category_column
from rl_eval.domains.threat.fitted_preprocessing import TypedColumn
from rl_eval.domains.threat.formats.sheet import Sheet
from rl_eval.formatting import brief, number, percent, quantity

MOST_VALUES = 3


@dataclass(frozen=True)
class ColumnRow:
    """One column.

    Attributes:
        read_as: what it is.
        missing: share of the cells, 0 to 1.
        content: what is in it, or why it is left out.
    """

    name: str
    read_as: str
    missing: float
    content: str


def column_rows(proposal: Proposal, silent: Mapping[str, str]) -> list[ColumnRow]:
    """The columns in the order of the file.

    Args:
        silent: columns that no observation shows -> why.
    """
    sheet, config, reading = proposal.sheet, proposal.config, proposal.reading
    typed = {column.column: column for column in reading.typed}
    reasons = {entry.column: entry.reason for entry in reading.left_out} | dict(silent)
    rows = []
    for name in sheet.frame.columns:
        if name == config.label:
            rows.append(_label(proposal))
        elif name == category_column(sheet, config):
            content = _levels(sheet.text(name).to_list())
            rows.append(ColumnRow(name, "type of attack", _empty(sheet, name), content))
        elif name in reasons:
            rows.append(ColumnRow(name, "left out", _empty(sheet, name), reasons[name]))
        elif name in typed:
            rows.append(_typed(sheet, typed[name]))
        elif name in reading.numbers:
            rows.append(_number(sheet, name))
        elif name in reading.columns:
            rows.append(ColumnRow(name, "category", _empty(sheet, name), _levels(sheet.text(name).to_list())))
        else:
            rows.append(ColumnRow(name, "left out", _empty(sheet, name), "env.ignore"))
    return rows


def _label(proposal: Proposal) -> ColumnRow:
    words = {0: "benign", 1: "threat", None: "unknown"}
    parts = [
        f"{brief(value, 40) or 'empty'} {count:,} ({words[of_class]})"
        for value, (count, of_class) in [*proposal.labels.items()][: 3 * MOST_VALUES]
    ]
    more = len(proposal.labels) - len(parts)
    text = ", ".join(parts) + (f" and {more} more" if more > 0 else "")
    assert proposal.config.label is not None
    return ColumnRow(proposal.config.label, "label", _empty(proposal.sheet, proposal.config.label), text)


def _number(sheet: Sheet, name: str) -> ColumnRow:
    values, _ = parse_numbers(sheet.frame[name], sheet.layout.decimal)
    finite, infinite = values[np.isfinite(values)], int(np.isinf(values).sum())
    text = "no finite number"
    if len(finite):
        least, middle, most = (number(float(value)) for value in np.quantile(finite, [0, 0.5, 1], method="nearest"))
        text = f"{least} to {most}, median {middle}"
    text += f"; {infinite:,} infinite" if infinite else ""
    return ColumnRow(name, "number", float(np.isnan(values).mean()), text)


def _typed(sheet: Sheet, column: TypedColumn) -> ColumnRow:
    name = column.column
    if column.kind == "address":
        classes, _ = address_classes(sheet.frame[name])
        missing = sum(value == NONE for value in classes) / len(classes)
        return ColumnRow(name, "class of address", missing, _levels(classes))
    times = parse_times(sheet.frame[name], column.day_first)
    there = times[times != MISSING]
    text = "no time"
    if len(there):
        first, last = (str(np.datetime64(int(time), "us").astype("M8[s]")) for time in (there.min(), there.max()))
        text = f"{first} to {last}"
    if column.kind == "elapsed":
        return ColumnRow(name, f"seconds since {column.since}", float((times == MISSING).mean()), text)
    if not column.weekday:
        text += ", day and month cannot be distinguished"
    read_as = "hour and weekday" if column.weekday else "hour"
    return ColumnRow(name, read_as, float((times == MISSING).mean()), text)


def _levels(texts: list[str]) -> str:
    values, counts = np.unique(np.array(texts, str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    shown = [f"{brief(str(values[i]), 40) or 'empty'} {percent(counts[i] / len(texts))}" for i in order]
    return f"{quantity(len(values), 'value')}: {', '.join(shown)}{', …' if len(values) > len(order) else ''}"


def _empty(sheet: Sheet, name: str) -> float:
    if sheet.frame[name].dtype.is_nested():
        return sheet.frame[name].null_count() / len(sheet)
    return int((sheet.text(name) == "").sum()) / len(sheet)
