"""Cells that are times: ISO 8601, dates with points, slashes or names of months, and seconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from rl_eval.domains.threat.columns.numbers import is_filled

_CLOCK = r"(?:[T ,:]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
_REST = r"\s*(?P<half>[AaPp])?(?:[Mm])?\s*(?P<offset>Z|[+-]\d{2}:?\d{2})?$"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR_FIRST = r"^(?P<year>\d{4})[-/.](?P<a>\d{1,2})[-/.](?P<b>\d{1,2})" + _CLOCK + _REST
_YEAR_LAST = r"^(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<year>\d{4})" + _CLOCK + _REST
_NAMED_MONTH = r"^(?P<a>\d{1,2})[-/. ](?P<name>[A-Za-z]{3})[a-z]*[-/. ](?P<year>\d{4})" + _CLOCK + _REST
_DATE_WITH_POINTS = r"^\d{1,2}\.\d{1,2}\.\d{4}"
_PATTERNS = (_YEAR_FIRST, _YEAR_LAST, _NAMED_MONTH)
_US_PER_SECOND = 1_000_000
# An epoch above these is in milliseconds, microseconds or nanoseconds: seconds reach the first in the year 5138.
_FINER_UNITS = (1e11, 1e14, 1e17)
SAMPLE = 1_000
MISSING = np.iinfo(np.int64).min


def looks_like_times(series: pl.Series, least: float) -> bool:
    """Whether at least this share of the filled cells of a text column are times."""
    filled = series.filter(is_filled(series))
    sample = filled[:: max(1, len(filled) // SAMPLE)]
    if not len(sample) or _matching(sample)[1] < least * len(sample):
        return False
    return bool((parse_times(filled, None) != MISSING).mean() >= least)


def day_comes_first(series: pl.Series) -> bool | None:
    """Whether dates such as 07/08/2026 begin with the day; None where that makes no difference or is not known."""
    text = series.str.strip_chars()
    pattern, _ = _matching(text)
    if pattern != _YEAR_LAST:
        return None
    if text.str.contains(_DATE_WITH_POINTS).any():  # 31.12.2026, as no country writes that begins with the month
        return True
    above = [bool((text.str.extract(pattern, group).cast(pl.Int64, strict=False) > 12).any()) for group in (1, 2)]
    return above[0] if above[0] != above[1] else None


def is_ambiguous(series: pl.Series) -> bool:
    """Whether dates may begin with the day or with the month."""
    return _matching(series.str.strip_chars())[0] == _YEAR_LAST and day_comes_first(series) is None


def parse_times(series: pl.Series, day_first: bool | None) -> np.ndarray:
    """Microseconds since 1970 in UTC, int64 `[R]`; `MISSING` where a cell is not a time.

    Args:
        series: text, numbers (seconds since 1970, or a finer unit), or of a type for dates and times.
        day_first: whether 07/08/2026 is in August; None: as though it was.
    """
    if series.dtype.is_temporal():
        return series.cast(pl.Datetime("us")).dt.timestamp("us").fill_null(MISSING).to_numpy()
    if series.dtype != pl.String:
        return _of_epoch(series.cast(pl.Float64).fill_null(np.nan).to_numpy())
    text = series.str.strip_chars()
    pattern, matching = _matching(text)
    numbers = text.cast(pl.Float64, strict=False)
    if len(numbers) - numbers.null_count() > matching:
        return _of_epoch(numbers.fill_null(np.nan).to_numpy())
    if not matching:
        return np.full(len(series), MISSING)
    return _of_parts(text.str.extract_groups(pattern).struct.unnest(), pattern, day_first is not False)


def _matching(text: pl.Series) -> tuple[str, int]:
    """The pattern that most cells match, and how many do."""
    counts = {pattern: int(text.str.contains(pattern).sum() or 0) for pattern in _PATTERNS}
    best = max(counts, key=lambda pattern: counts[pattern])
    return best, counts[best]


def _of_epoch(numbers: np.ndarray) -> np.ndarray:
    """Seconds since 1970 as microseconds; the largest number tells the unit."""
    finite = np.isfinite(numbers) & (np.abs(numbers) < 1e21)
    largest = float(np.abs(numbers[finite]).max(initial=0.0))
    factor = 1_000.0 ** -sum(largest > bound for bound in _FINER_UNITS) * _US_PER_SECOND
    times = np.full(len(numbers), MISSING)
    times[finite] = np.rint(numbers[finite] * factor).astype(np.int64)
    return times


def _of_parts(parts: pl.DataFrame, pattern: str, day_first: bool) -> np.ndarray:
    """Times of the groups of a pattern, one row per cell."""

    def numbers(name: str) -> np.ndarray:
        return parts[name].cast(pl.Int64, strict=False).fill_null(0).to_numpy()

    first = numbers("a")
    if pattern == _NAMED_MONTH:
        index: Mapping[str, int] = {name: number for number, name in enumerate(_MONTHS, 1)}
        month = parts["name"].str.to_lowercase().replace_strict(index, default=0, return_dtype=pl.Int64)
        day, months = first, month.fill_null(0).to_numpy()
    elif pattern == _YEAR_FIRST or not day_first:
        day, months = numbers("b"), first
    else:
        day, months = first, numbers("b")
    year, hour, minute, second = (numbers(name) for name in ("year", "hour", "minute", "second"))
    half = parts["half"].str.to_lowercase().fill_null("").to_numpy()
    valid = parts["year"].is_not_null().to_numpy() & (months >= 1) & (months <= 12) & (day >= 1)
    valid &= (hour <= np.where(half == "", 23, 12)) & (minute <= 59) & (second <= 60)
    begins = (year - 1970).astype("M8[Y]").astype("M8[M]") + (np.clip(months, 1, 12) - 1)
    date = begins.astype("M8[D]") + (day - 1)
    valid &= date.astype("M8[M]") == begins
    hour = np.where(half == "p", hour % 12 + 12, np.where(half == "a", hour % 12, hour))
    micros = parts["fraction"].str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64, strict=False).fill_null(0).to_numpy()
    seconds = date.astype(np.int64) * 86_400 + hour * 3_600 + minute * 60 + second - _offset_seconds(parts["offset"])
    return np.where(valid, seconds * _US_PER_SECOND + micros, MISSING)


def _offset_seconds(offset: pl.Series) -> np.ndarray:
    """Seconds of offsets from UTC such as +02:00, `[R]`; 0 where there is none."""
    if offset.null_count() == len(offset):
        return np.zeros(len(offset), np.int64)
    digits = offset.str.replace(":", "").str.replace("Z", "+0000").fill_null("+0000")
    hours, minutes = (digits.str.slice(start, 2).cast(pl.Int64).to_numpy() for start in (1, 3))
    sign = np.where(digits.str.starts_with("-").to_numpy(), -1, 1)
    return sign * (hours * 3_600 + minutes * 60)


def hour_and_weekday(times: np.ndarray) -> Mapping[str, np.ndarray]:
    """The hour of the day and the day of the week in UTC as points on a circle, so that 23 and 0 are neighbours.

    Returns:
        name -> `[R]` float64; NaN where there is no time.
    """
    hours = np.floor_divide(times, 3_600 * _US_PER_SECOND)
    weekdays = (np.floor_divide(hours, 24) + 3) % 7  # 1970 began on a Thursday
    angles = {"hour": (hours % 24) / 24.0, "weekday": weekdays / 7.0}
    fields = {
        f"{name}_{function.__name__}": np.round(function(2.0 * np.pi * angle), 12)
        for name, angle in angles.items()
        for function in (np.sin, np.cos)
    }
    return {name: np.where(times == MISSING, np.nan, values) for name, values in fields.items()}


def seconds_between(times: np.ndarray, since: np.ndarray) -> np.ndarray:
    """Seconds from one time to another, float64 `[R]`; NaN where one of them is missing."""
    elapsed = (times - since) / _US_PER_SECOND
    return np.where((times == MISSING) | (since == MISSING), np.nan, elapsed)
