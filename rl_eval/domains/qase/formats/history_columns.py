"""Read the columns of a history CSV: times, verdicts, earlier verdicts, durations and cycles.

Each function takes a column of stripped text and returns a value for each row, null where the text has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, PASS
from rl_eval.domains.qase.model.results import FAILED_STATUSES, KNOWN_STATUSES, PASSED_STATUSES

if TYPE_CHECKING:
    import polars as pl

VERDICTS = {
    **dict.fromkeys(KNOWN_STATUSES, NO_VERDICT),
    **dict.fromkeys(("0", "0.0", *PASSED_STATUSES, "pass", "success", "ok"), PASS),
    **dict.fromkeys(("1", "1.0", *FAILED_STATUSES, "fail", "failure", "error"), FAIL),
}
_TIME = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,](\d{1,9}))?(?: ?(Z|[+-]\d{2}:?\d{2}))?)?$"  # ISO 8601
_LATEST_S = 1e11  # numbers above it are milliseconds
_LIST = r"^\[\s*(?:[01]\s*(?:,\s*[01]\s*)*)?\]$"


def read_times(column: pl.Series) -> pl.Series:
    """Seconds since 1970 as float64: of ISO 8601 times, with or without a zone (else UTC), or of numbers (s or ms).

    NaN where the text is empty.
    """
    import polars as pl

    part = column.str.extract_groups(_TIME).struct.unnest()
    date, minute, second, fraction, zone = (part[name] for name in part.columns)
    seconds = (
        (date + " " + minute.fill_null("00:00") + second.fill_null(":00"))
        .str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
        .dt.epoch("s")
        .cast(pl.Float64)
    )
    digits = zone.str.replace_all("[^0-9]", "")
    offset = digits.str.slice(0, 2).cast(pl.Float64, strict=False) * 3600
    offset += digits.str.slice(2, 2).cast(pl.Float64, strict=False) * 60
    sign = pl.select(pl.when(zone.str.starts_with("-")).then(-1.0).otherwise(1.0)).to_series()
    seconds = seconds + ("0." + fraction).cast(pl.Float64).fill_null(0.0) - (sign * offset).fill_null(0.0)
    number = column.cast(pl.Float64, strict=False)
    return pl.select(
        pl.when(column == "")
        .then(float("nan"))
        .when(number.is_finite() & (number >= 0))
        .then(pl.when(number > _LATEST_S).then(number / 1000).otherwise(number))
        .otherwise(seconds)
    ).to_series()


def read_verdicts(column: pl.Series) -> pl.Series:
    """Verdicts as int8: 1 failed, 0 passed, -1 neither; of 0 and 1, or of words such as `FAILED`."""
    import polars as pl

    return column.str.to_lowercase().replace_strict(VERDICTS, default=None, return_dtype=pl.Int8)


def read_earlier_verdicts(column: pl.Series) -> pl.Series:
    """Lists such as `[0, 1]` or `['passed', 'failed']` as text of digits, `01`."""
    import polars as pl

    lists = column.replace("", "[]")
    if not lists.str.contains(_LIST).all():
        lists = lists.str.to_lowercase().str.replace_all(r"['\"]", "")
        for word, verdict in VERDICTS.items():
            if verdict != NO_VERDICT:
                lists = lists.str.replace_all(rf"\b{word}\b", str(verdict))
    digits = lists.str.replace_all(r"[^01]", "")
    return pl.select(pl.when(lists.str.contains(_LIST)).then(digits)).to_series()


def read_durations(column: pl.Series) -> pl.Series:
    """Milliseconds as float64, finite and not negative."""
    import polars as pl

    duration = column.cast(pl.Float64, strict=False)
    return pl.select(pl.when(duration.is_finite() & (duration >= 0)).then(duration)).to_series()


def order_cycles(column: pl.Series, started: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, str | None]:
    """The names of the cycles in order of time, the index of each row's cycle, and what is unusual about the order.

    Whole numbers order cycles. Other names are ordered by the earliest start in each cycle, or as they first appear if
    a cycle has none.

    Args:
        started: `[R]` seconds since 1970, NaN if unknown.
    """
    import polars as pl

    numbers = column.cast(pl.Int64, strict=False)
    if not numbers.has_nulls():
        cycles, index = np.unique(numbers.to_numpy(), return_inverse=True)
        return tuple(map(str, cycles.tolist())), index, None
    names = column.unique(maintain_order=True)
    index = column.replace_strict(names, pl.Series(range(len(names))), return_dtype=pl.Int64).to_numpy()
    first = np.full(len(names), np.inf)
    np.fmin.at(first, index, started)
    timed = bool(np.isfinite(first).all())
    order = np.argsort(first, kind="stable") if timed else np.arange(len(names))
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    how = "by the earliest LastRun of each" if timed else "as they first appear, since a cycle has no LastRun"
    return tuple(names[i] for i in order.tolist()), rank[index], f"cycles are not whole numbers: ordered {how}"
