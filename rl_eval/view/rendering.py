"""Pages of the view as HTML: their templates, their style, and the headers of every answer."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import jinja2

from rl_eval import __version__
from rl_eval.formatting import compact, escape_controls
from rl_eval.report.html_page import environment as report_environment
from rl_eval.run_index import verdict_text
from rl_eval.view.runs import run_id

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# A report.html may be anyone's: it is shown without scripts, forms, and the rights of this page.
REPORT_HEADERS = {
    **HEADERS,
    "content-security-policy": (
        "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
}
NAVIGATION = (("/", "Runs"), ("/suites", "Suites"), ("/ledger", "Ledger"))


@functools.cache
def _environment() -> jinja2.Environment:
    of_report = report_environment()
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader("rl_eval.view", "templates"), of_report.loader])  # type: ignore[list-item]
    templates = of_report.overlay(loader=loader)
    templates.filters = {
        **of_report.filters,
        "run_id": run_id,
        "verdict": verdict_text,
        "compact": compact,
        "when": lambda text: str(text)[:16].replace("T", " "),
    }
    return templates


def render(template: str, /, **values: Any) -> str:
    """A page, without control characters. Every page needs a `title` and a `here`, the address of its section."""
    page = _environment().get_template(template).render(version=__version__, navigation=NAVIGATION, **values)
    return escape_controls(page, keep="\n\t")


@functools.cache
def style() -> str:
    """The style sheet: that of reports, and what only these pages have."""
    of_report = resources.files("rl_eval.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    return of_report + resources.files("rl_eval.view").joinpath("static/view.css").read_text(encoding="utf-8")


@functools.cache
def script() -> str:
    """The one script."""
    return resources.files("rl_eval.view").joinpath("static/view.js").read_text(encoding="utf-8")
