"""From values to one self-contained HTML page: the templates, and how numbers and words are written in them.

A page extends `base.html`, which brings the style, both colour schemes, the landmarks and a content security policy
under which nothing is loaded and no script runs. Every value is escaped; markup comes from `charts` alone.
"""

from __future__ import annotations

import functools
import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval import __version__
from rl_eval.errors import InputError

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_BYTES = 3_000_000
LONGEST_TEXT = 600  # characters of one value from a file
# A few lines of YAML can stand for a list of millions, since parts of it may be named and repeated.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 4, 20, 20
_SHORT.maxstring = _SHORT.maxother = LONGEST_TEXT
DECISIONS = {"NEEDS_RUNS": "NEEDS RUNS", "NONE": "NOT JUDGED"}
SIGNS = {"at_least": "≥", "at_most": "≤", "better_than": ">", "less_than": "<"}


def render(template: str, /, **values: Any) -> str:
    """A page from a template of this package; every page needs a `title`."""
    return environment().get_template(template).render(version=__version__, **values)


@functools.cache
def environment() -> Environment:
    """Where templates come from, with autoescape, and with the filters below."""
    import jinja2

    templates = jinja2.PackageLoader("rl_eval.report", "templates")
    made = jinja2.Environment(
        loader=templates, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    made.filters |= {"number": number, "count": count, "percent": percent, "duration": duration, "brief": brief}
    made.filters |= {"decision": decision, "sign": lambda direction: SIGNS.get(direction, "")}
    return made


def write(path: Path, html: str) -> None:
    """Write a page, atomically.

    Raises:
        InputError: it is too large, or cannot be written.
    """
    from rl_eval.run import write_text

    size = len(html.encode())
    if size > MAX_BYTES:
        raise InputError(f"{path} would be {size:,} bytes, more than the {MAX_BYTES:,} of a page: name fewer runs")
    try:
        write_text(path, html)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): name another file with --out") from error


def number(value: Any, digits: int = 4, beside: float | None = None) -> str:
    """`1,234.5`, `−0.0312`, `1.2e−7`; a dash where there is no finite number.

    Args:
        digits: that are significant.
        beside: as many digits as it takes to tell the value from this one.
    """
    if not _is_number(value):
        return "–"
    while beside is not None and digits < 17 and value != beside and f"{value:.{digits}g}" == f"{beside:.{digits}g}":
        digits += 1
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(power)}"
    else:
        decimals = digits - 1 - (math.floor(math.log10(size)) if size else 0)
        text = f"{value:,.{max(0, min(decimals, 17))}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−")


def count(value: Any) -> str:
    """`40,000`; a dash where there is none."""
    return f"{value:,.0f}".replace("-", "−") if _is_number(value) else "–"


def percent(share: Any, digits: int = 1) -> str:
    """`43.1 %`; a dash where there is none."""
    return f"{100 * share:.{digits}f} %" if _is_number(share) else "–"


def duration(seconds: Any) -> str:
    """`4.8 s`, `3 min 20 s`, `2 h 5 min`; a dash where there is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def brief(value: Any, longest: int = LONGEST_TEXT) -> str:
    """A value from a file as text of a bounded length."""
    text = value if isinstance(value, str) else _SHORT.repr(value)
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text):,} characters)"


def _is_number(value: Any) -> bool:
    # an int may be larger than any float
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    return f"{value:.10g}" if isinstance(value, float) else brief(value)


def decision(word: str) -> str:
    """A decision as a person reads it."""
    return DECISIONS.get(word, word)


def flat(values: Mapping[str, Any], prefix: str = "", most: int = 500) -> list[tuple[str, str]]:
    """A nested mapping as dotted names with their values as text, at most so many."""
    rows: list[tuple[str, str]] = []
    open_ = [(prefix, values)]
    while open_ and len(rows) < most:
        name, value = open_.pop()
        if isinstance(value, Mapping) and value:
            inner = [(f"{name}.{key}" if name else str(key), each) for key, each in value.items()]
            open_ += reversed(inner)
        else:
            rows.append((brief(name, 200), _plain(value)))
    return rows
