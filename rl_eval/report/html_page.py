"""One self-contained HTML page: rendering its template, writing the file, and numbers and errors as text for it.

A page extends `base.html`, which has the style, both colour schemes, the landmarks and a content security policy that
forbids loading anything and running scripts. Every value is escaped; only `charts` returns markup.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from rl_eval import __version__, formatting
from rl_eval.errors import InputError
from rl_eval.formatting import COMPARISON_SIGNS, brief, decision_text, escape_controls, times
from rl_eval.run import write_text

MAX_BYTES = 3_000_000


def render(template: str, /, **values: Any) -> str:
    """A page from a template of this package, without control characters. Every page needs a `title`."""
    page = environment().get_template(template).render(version=__version__, **values)
    return escape_controls(page, keep="\n\t")


@functools.cache
def environment() -> jinja2.Environment:
    """The Jinja environment of the templates, with autoescape and the filters below."""
    loader = jinja2.PackageLoader("rl_eval.report", "templates")
    templates = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    templates.filters |= {"number": number, "count": count, "percent": percent, "duration": duration, "brief": brief}
    templates.filters |= {
        "times": times,
        "decision": decision_text,
        "sign": lambda direction: COMPARISON_SIGNS.get(direction, ""),
    }
    return templates


def write(path: Path, html: str) -> None:
    """Write a page, atomically.

    Raises:
        InputError: the page is too large, or cannot be written.
    """
    size = len(html.encode())
    if size > MAX_BYTES:
        raise InputError(f"{path} would be {size:,} bytes, more than the {MAX_BYTES:,} of a page: name fewer runs")
    try:
        write_text(path, html)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): name another file with --out") from error


def error_sentence(what: str, error: Exception) -> str:
    """A sentence on what could not be shown; only an InputError is already a sentence."""
    if isinstance(error, InputError):
        return f"{what}: {error}"
    return f"{what}: {type(error).__name__}: {brief(' '.join(str(error).split()), 300)}"


def number(value: Any, digits: int = 4, distinct_from: float | None = None) -> str:
    """As `formatting.number`, with a minus sign; a dash if it is not a finite number."""
    return _typographic(formatting.number(value, digits, distinct_from)) if _is_number(value) else "–"


def count(value: Any) -> str:
    """`40,000`; a dash if it is not a number."""
    return _typographic(f"{value:,.0f}") if _is_number(value) else "–"


def percent(share: Any, digits: int = 1) -> str:
    """As `formatting.percent`; a dash if it is not a finite number."""
    return formatting.percent(share, digits) if _is_number(share) else "–"


def duration(seconds: Any) -> str:
    """As `formatting.duration`; a dash if it is not a number."""
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


def flat(values: Mapping[str, Any], prefix: str = "", max_rows: int = 500) -> list[tuple[str, str]]:
    """A nested mapping as rows of dotted name and value as text."""
    rows: list[tuple[str, str]] = []
    stack: list[tuple[str, Any]] = [(prefix, values)]
    while stack and len(rows) < max_rows:
        name, value = stack.pop()
        if isinstance(value, Mapping) and value:
            children = [(f"{name}.{key}" if name else str(key), child) for key, child in value.items()]
            stack += reversed(children)
        else:
            rows.append((brief(name, 200), _plain(value)))
    return rows
