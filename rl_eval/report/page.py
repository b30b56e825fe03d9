"""From values to one self-contained HTML page: the templates, and how numbers and words are written in them.

A page extends `base.html`, which brings the style, both colour schemes, the landmarks and a content security policy
under which nothing is loaded and no script runs. Every value is escaped; markup comes from `charts` alone.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval import __version__, formatting
from rl_eval.errors import InputError
from rl_eval.formatting import COMPARISON_SIGNS, brief, decision_text

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_BYTES = 3_000_000


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
    made.filters |= {"decision": decision_text, "sign": lambda direction: COMPARISON_SIGNS.get(direction, "")}
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


def number(value: Any, digits: int = 4, distinct_from: float | None = None) -> str:
    """As `formatting.number`, with a minus sign; a dash where there is no finite number."""
    return _typographic(formatting.number(value, digits, distinct_from)) if _is_number(value) else "–"


def count(value: Any) -> str:
    """`40,000`; a dash where there is none."""
    return _typographic(f"{value:,.0f}") if _is_number(value) else "–"


def percent(share: Any, digits: int = 1) -> str:
    """As `formatting.percent`; a dash where there is no finite number."""
    return formatting.percent(share, digits) if _is_number(share) else "–"


def duration(seconds: Any) -> str:
    """As `formatting.duration`; a dash where there is none."""
    return formatting.duration(seconds) if _is_number(seconds) and 0 <= seconds < 1e9 else "–"


def compact(value: float) -> str:
    """As `formatting.compact`, with a minus sign."""
    return _typographic(formatting.compact(value))


def _typographic(text: str) -> str:
    return text.replace("-", "−")


def _is_number(value: Any) -> bool:
    # an int may be larger than any float
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    return f"{value:.10g}" if isinstance(value, float) else brief(value)


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
