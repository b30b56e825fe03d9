"""What each column of a table is: a number, a category, a time, an address, or nothing that a policy should see."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from rl_eval.domains.threat.columns.addresses import looks_like_addresses
from rl_eval.domains.threat.columns.identifiers import identifier_reason
from rl_eval.domains.threat.columns.numbers import are_noted_numbers, is_filled, is_missing, plain_numbers
from rl_eval.domains.threat.columns.times import day_comes_first, is_ambiguous, looks_like_times
from rl_eval.domains.threat.fitted_preprocessing import FittedPreprocessing, LeftOut, TypedColumn
from rl_eval.domains.threat.flow_table import Reading
from rl_eval.domains.threat.formats.eve import ALERT, says_what_alert_says
from rl_eval.domains.threat.formats.sheet import Sheet
from rl_eval.errors import InputError

# A column with a smaller share of numbers is a category; with a larger one, other cells are errors.
NUMERIC_SHARE = 0.5
# Of the filled cells that are times or addresses; the others are then missing, or of another class.
TYPED_SHARE = 0.9


@dataclass(frozen=True)
class Choices:
    """What a person, or an earlier reading, says about columns.

    Attributes:
        categorical, times: columns that are read so, no matter what their cells look like.
        missing_allowed: whether texts that mean an empty cell, such as NA, are read as empty.
        label: of the flows; it is not a feature.
        earlier: a preprocessing that was fitted before; its columns are read as they were then.
    """

    categorical: Collection[str] = ()
    times: Collection[str] = ()
    missing_allowed: bool = False
    label: str | None = None
    earlier: FittedPreprocessing | None = field(default=None, repr=False)


def read_columns(sheet: Sheet, features: Sequence[str], choices: Choices, events: Sequence[str] = ()) -> Reading:
    """What each of the columns is.

    Args:
        features: the columns that may be features, in their order.
        events: of EVE, the types of events that are rows.

    Raises:
        InputError: nothing is left, or a field would have the name of a column.
    """
    kinds, left_out = dict[str, str](), list[LeftOut]()
    before = _earlier_kinds(choices.earlier)
    reasons = {} if choices.earlier is None else {entry.column: entry.reason for entry in choices.earlier.left_out}
    copies = _copies(sheet)
    for name in features:
        reason = reasons.get(name) or copies.get(name)
        kind = before.get(name)
        if reason is None and kind is None:
            reason = _left_out_reason(sheet, name, choices, is_eve=bool(events))
            kind = _kind(sheet, name, choices) if reason is None else None
            if kind == "category" and name not in choices.categorical and sheet.frame[name].dtype == pl.String:
                reason = identifier_reason(name, sheet.frame[name])
        if kind is None or reason is not None:
            left_out.append(LeftOut(column=name, reason=reason or ""))
        else:
            kinds[name] = kind
    if not kinds:
        what = "no columns except the label" if not left_out else "no columns that are features"
        raise InputError(f"{sheet.path} has {what}: at least one feature is needed")
    typed = tuple(_typed(sheet, kinds, choices.earlier))
    for derived in (name for column in typed for name in (*column.numbers, *column.categories)):
        if derived in sheet.frame.columns:
            raise InputError(
                f"{sheet.path} has a column {derived!r}, which is what a part of another column is called: rename it"
            )
    return Reading(
        tuple(kinds), frozenset(name for name, kind in kinds.items() if kind == "number"), typed, tuple(left_out),
        tuple(events),
    )  # fmt: skip


def _earlier_kinds(fitted: FittedPreprocessing | None) -> dict[str, str]:
    """Column -> what it was in an earlier reading."""
    if fitted is None:
        return {}
    derived = {name for column in fitted.typed for name in (*column.numbers, *column.categories)}
    kinds = {field.name: "number" for field in fitted.numeric if field.name not in derived}
    kinds |= {field.name: "category" for field in fitted.categorical if field.name not in derived}
    return kinds | {column.column: "time" if column.kind == "elapsed" else column.kind for column in fitted.typed}


def _copies(sheet: Sheet) -> dict[str, str]:
    """Columns with a repeated name, or without one -> why they are not features, where they add nothing."""
    reasons = dict[str, str]()
    for name, columns in sheet.layout.renamed.items():
        if not name:
            reasons |= dict.fromkeys(columns, "a column without a name")
            continue
        first = sheet.frame[columns[0]]
        reasons |= {other: f"a copy of {name}" for other in columns[1:] if sheet.frame[other].equals(first)}
    return reasons


def _left_out_reason(sheet: Sheet, name: str, choices: Choices, *, is_eve: bool) -> str | None:
    series, layout = sheet.frame[name], sheet.layout
    if name in choices.categorical or name in choices.times:
        return None
    if name in layout.identifiers:
        return "an identifier"
    if is_eve and choices.label == ALERT and says_what_alert_says(name):
        return "it follows from the alert"
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object, pl.Time):
        return f"it holds {series.dtype}"
    if series.null_count() == len(series) or (series.dtype == pl.String and not is_filled(series).any()):
        return "it is empty"
    return None


def _kind(sheet: Sheet, name: str, choices: Choices) -> str:
    """`number`, `category`, `time` or `address`."""
    series = sheet.frame[name]
    if name in choices.times:
        return "time"
    if name in choices.categorical:
        return "category"
    if name in sheet.layout.declared:
        return sheet.layout.declared[name]
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Duration):
        return "number"
    if series.dtype != pl.String:
        return "category"
    if _looks_numeric(sheet, name, choices):
        return "number"
    if looks_like_addresses(series, TYPED_SHARE):
        return "address"
    return "time" if looks_like_times(series, TYPED_SHARE) else "category"


def _looks_numeric(sheet: Sheet, name: str, choices: Choices) -> bool:
    """Whether most filled cells of a text column are numbers, or all are that do not mean an empty cell."""
    series, decimal = sheet.frame[name], sheet.layout.decimal
    plain = len(series) - plain_numbers(series, decimal).null_count()
    filled = len(series) if plain == len(series) else int(is_filled(series).sum())
    if plain >= NUMERIC_SHARE * filled > 0:
        return True
    present = series.filter(~is_missing(series))
    if not len(present):
        return False
    noted = are_noted_numbers(present, decimal)
    numbers = plain_numbers(present, decimal).is_not_null() | noted
    if choices.missing_allowed:
        return bool(numbers.sum() >= NUMERIC_SHARE * len(present))
    return bool(numbers.all() and noted.any())


def _typed(sheet: Sheet, kinds: dict[str, str], fitted: FittedPreprocessing | None) -> Iterator[TypedColumn]:
    """The columns that are times or addresses; times after the first are seconds since it."""
    before = {} if fitted is None else {column.column: column for column in fitted.typed}
    first: str | None = next((c.column for c in before.values() if c.kind == "time"), None)
    for name, kind in kinds.items():
        if name in before:
            yield before[name]
        elif kind == "address":
            yield TypedColumn(column=name, kind="address")
        elif kind == "time" and first is None:
            series, first = sheet.frame[name], name
            texts = series.dtype == pl.String
            yield TypedColumn(
                column=name,
                kind="time",
                day_first=day_comes_first(series) if texts else None,
                weekday=not (texts and is_ambiguous(series)),
            )
        elif kind == "time":
            series = sheet.frame[name]
            day_first = day_comes_first(series) if series.dtype == pl.String else None
            yield TypedColumn(column=name, kind="elapsed", since=first, day_first=day_first)
