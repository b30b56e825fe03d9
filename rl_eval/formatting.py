"""How values are written for people: numbers, shares, durations, signs and decisions, as plain text.

Pages write the same text with a minus sign in place of the hyphen, and a dash where a file holds no number
(`report.html_page`).
"""

from __future__ import annotations

import math
import re
import reprlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAX_TEXT_LENGTH = 600  # characters of one value from a file
# A few lines of YAML can mean a list of millions, since parts of it may be named and repeated.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 4, 20, 20
_SHORT.maxstring = _SHORT.maxother = MAX_TEXT_LENGTH

# direction of a criterion -> how it compares the value with the threshold
COMPARISON_SIGNS = {"at_least": "≥", "at_most": "≤", "better_than": ">", "less_than": "<"}
_FORMULA_SIGNS = tuple("=+-@")
_DECISION_TEXTS = {"NEEDS_RUNS": "NEEDS RUNS", "NOT_CHECKED": "NOT CHECKED", "NONE": "NOT JUDGED"}


def number(value: Any, digits: int = 4, distinct_from: float | None = None) -> str:
    """`12,345`, `187.3`, `0.0003`, `1.2e-7`, `nan`; `-` for None.

    Args:
        digits: significant digits; integer digits are never rounded away below 10¹⁵.
        distinct_from: use as many digits as it takes to see that the value differs from this one.
    """
    if value is None:
        return "-"
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value)
    except OverflowError:
        return "inf" if value > 0 else "-inf"
    if not math.isfinite(value):
        return str(value)
    if distinct_from is not None and value != distinct_from:
        while digits < 17 and f"{value:.{digits}g}" == f"{distinct_from:.{digits}g}":
            digits += 1
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{_without_zeros(mantissa)}e{int(exponent)}"
    decimals = digits - 1 - (math.floor(math.log10(size)) if size else 0)
    text = _without_zeros(f"{value:,.{max(0, min(decimals, 17))}f}")
    return "0" if text == "-0" else text


def interval_ends(interval: Sequence[float | None]) -> tuple[str, str]:
    """The lower and the upper end of an interval; None is an end that is infinite."""
    low, high = interval
    return "-∞" if low is None else number(low, 3), "∞" if high is None else number(high, 3)


def quantity(count: int, unit: str) -> str:
    """`1 episode`, `12,345 episodes`."""
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def times(factor: float | None) -> str:
    """`1.15 times `, before what is multiplied; empty if nothing multiplies it."""
    return "" if factor is None else f"{number(factor)} times "


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def short_path(path: Path | str) -> Path:
    """A path as a person types it: relative to the current directory where it is inside, without links and `..`."""
    absolute, current = Path(path).resolve(), Path.cwd().resolve()
    return absolute.relative_to(current) if absolute.is_relative_to(current) else absolute


def compact(value: float) -> str:
    """A number of up to three digits with its unit: `250k`, `1.5M`, `-200`, `0.05`."""
    rounded = abs(float(f"{value:.3g}"))
    for size, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if size <= rounded < 1e12:
            return number(value / unit, 3) + letter
    return number(value, 3)


def percent(share: float, digits: int = 1) -> str:
    """`43.1 %`."""
    return f"{100 * share:.{digits}f} %"


def duration(seconds: float) -> str:
    """`4.8 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def short_duration(ms: float) -> str:
    """Milliseconds as `345ms`, `12.3s`, `3m 20s`, `1h 05m`, for tables; `-` for NaN."""
    if math.isnan(ms):
        return "-"
    if round(ms) < 1000:
        return f"{ms:.0f}ms"
    if round(ms / 1000, 1) < 60:
        return f"{ms / 1000:.1f}s"
    seconds = round(ms / 1000)
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02d}s"
    minutes = round(ms / 60_000)
    return f"{minutes // 60:,}h {minutes % 60:02d}m"


def clock(seconds: float) -> str:
    """The time of a stopwatch: `0:08`, `12:34`, `1:02:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


# What acts on a terminal or changes the order of text: control characters, line separators, marks and overrides of
# direction, and halves of surrogate pairs, which no stream can encode.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str, keep: str = "") -> str:
    """Text where control characters and overrides of direction are written out: `\\u001b`, `\\u202e`.

    Args:
        keep: characters that stay, such as line ends.
    """
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub(lambda match: match[0] if match[0] in keep else f"\\u{ord(match[0]):04x}", text)


_CREDENTIALS = re.compile(r"//([^:@/?#]+:)?.*@", re.DOTALL)  # a password may hold any character
_QUERY_VALUE = re.compile(r"([^=&;#]*=)?[^&;#]+")
_URL_IN_TEXT = re.compile(r"\b(?:https?|rediss?)://[^\s'\"`<>]*[^\s'\"`<>:;,.)]", re.IGNORECASE)


def mask_url(text: str) -> str:
    """A URL without its password and the values of its query and fragment: `https://user:***@host/?token=***`."""
    text = _CREDENTIALS.sub(lambda match: f"//{match[1] or ''}***@", text)
    address = re.split("[?#]", text, maxsplit=1)[0]
    mark, query = text[len(address) : len(address) + 1], text[len(address) + 1 :]
    return address + mark + _QUERY_VALUE.sub(lambda match: f"{match[1] or ''}***", query)


def mask_urls(text: str) -> str:
    """Text with `mask_url` on each http, https or Redis URL in it."""
    return _URL_IN_TEXT.sub(lambda match: mask_url(match[0]), text) if "//" in text else text


def display_text(text: str, keep: str = "") -> str:
    """Text from anywhere that may be shown to anyone: without control characters and without secrets in URLs.

    Args:
        keep: control characters that stay, such as line ends.
    """
    return escape_controls(mask_urls(text), keep)


def decision_text(decision: str) -> str:
    """A decision as people read it, such as `NEEDS RUNS`."""
    return _DECISION_TEXTS.get(decision, decision)


def brief(value: Any, longest: int = MAX_TEXT_LENGTH) -> str:
    """A value from a file as text of a bounded length."""
    text = value if isinstance(value, str) else _SHORT.repr(value)
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text):,} characters)"


def whole_words(text: str, longest: int) -> str:
    """The beginning of a sentence, cut between two words; a word that is longer than that is cut."""
    if len(text) <= longest:
        return text
    start = text[: longest - 1]
    return f"{start.rsplit(' ', 1)[0] if ' ' in start else start[:-1]} …"


def spreadsheet_text(text: str) -> str:
    """Text that no spreadsheet reads as a formula: an apostrophe is put before a text that begins like one.

    Blanks and invisible characters before it do not count, and full-width signs do, since some programs drop the ones
    and convert the others. Control characters other than line ends and tabs are written out. OWASP, *CSV Injection*.
    """
    first = next((letter for letter in text if letter.isprintable() and not letter.isspace()), "")
    is_formula = text.startswith(("\t", "\r", "\n")) or unicodedata.normalize("NFKC", first).startswith(_FORMULA_SIGNS)
    return ("'" if is_formula else "") + escape_controls(text, keep="\n\t")
