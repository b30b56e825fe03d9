"""The table of all runs, with search, filters and order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from rl_eval.formatting import decision_text
from rl_eval.run import SEVERITY
from rl_eval.run_index import SORT_KEYS, Entry, Query, select
from rl_eval.view.rendering import render
from rl_eval.view.runs import Runs

PAGE_ROWS = 100
MAX_TEXT = 200  # characters of a search
MAX_CHOICES = 200  # of a filter
_DECISIONS = ("PASS", "FAIL", "INCONCLUSIVE", "ERROR", "NEEDS_RUNS", "NONE")
_COLUMNS = (
    ("name", "Run"), ("env", "Environment"), ("agent", "Agent"), ("seed", "Seed"), ("steps", "Steps"), ("time", "Time"),
    ("score", "Score"), ("verdict", "Verdict"), ("started", "Started"),
)  # fmt: skip
_NUMBERS = ("seed", "steps", "time", "score")


def page(runs: Runs, parameters: Mapping[str, str]) -> str:
    """The page for the parameters of an address; those that it does not know count as not given."""
    listing = runs.listing()
    given = {name: parameters.get(name, "")[:MAX_TEXT].strip() for name in ("q", "env", "agent", "suite")}
    given["verdict"] = _one_of(parameters.get("verdict"), (*SEVERITY, "NONE"))
    given["status"] = _one_of(parameters.get("status"), ("running", "finished", "failed", "interrupted", "over_budget"))
    given["sort"] = _one_of(parameters.get("sort"), SORT_KEYS) or "started"
    given["reverse"] = "1" if parameters.get("reverse") == "1" else ""
    query = Query(
        given["q"], given["env"] or None, given["agent"] or None, given["verdict"] or None, given["suite"] or None,
        given["status"] or None, given["sort"], bool(given["reverse"]),
    )  # fmt: skip
    found = select(listing.entries, query)
    pages = max(1, -(-len(found) // PAGE_ROWS))
    text = parameters.get("page", "")
    number = min(max(int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1, 1), pages)
    return render(
        "table.html",
        title="Runs",
        here="/",
        rows=found[(number - 1) * PAGE_ROWS : number * PAGE_ROWS],
        found=len(found),
        total=len(listing.entries),
        first=(number - 1) * PAGE_ROWS + 1,
        notes=listing.notes,
        outputs=runs.outputs,
        given=given,
        filters=_filters(listing.entries),
        columns=[_column(name, label, given) for name, label in _COLUMNS],
        pages=[("Previous", _address(given, number - 1))] * (number > 1)
        + [("Next", _address(given, number + 1))] * (number < pages),
        page=number,
        page_count=pages,
        running=any(entry.status == "running" for entry in listing.entries),
    )


def _filters(entries: Iterable[Entry]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Name, label, and values with their texts of each filter."""
    names: dict[str, set[str]] = {"env": set(), "agent": set(), "suite": set(), "status": set()}
    for entry in entries:
        names["env"].add(entry.env)
        names["agent"].add(entry.agent)
        names["status"].add(entry.status)
        names["suite"].update(suite.suite for suite in entry.suites)
    choices = {key: [(name, name) for name in sorted(found - {""})][:MAX_CHOICES] for key, found in names.items()}
    choices["status"] = [(name, name.replace("_", " ")) for name, _ in choices["status"]]
    choices["verdict"] = [(decision, decision_text(decision)) for decision in _DECISIONS]
    labels = {"env": "Environment", "agent": "Agent", "verdict": "Verdict", "suite": "Suite", "status": "Status"}
    return [(key, label, choices[key]) for key, label in labels.items()]


def _column(name: str, label: str, given: Mapping[str, str]) -> dict[str, str]:
    """A header: its link sorts by it, or turns the order round where the table is sorted by it already."""
    is_sorted = given["sort"] == name
    reverse = "1" if is_sorted and not given["reverse"] else ""
    order = ""
    if is_sorted:
        falling = (name in ("started", "steps", "time", "score", "verdict")) != bool(given["reverse"])
        order = "descending" if falling else "ascending"
    address = _address({**given, "sort": name, "reverse": reverse}, 1)
    return {"name": name, "label": label, "order": order, "address": address, "kind": "num" if name in _NUMBERS else ""}


def _address(given: Mapping[str, str], number: int) -> str:
    values = {name: value for name, value in given.items() if value and (name, value) != ("sort", "started")}
    return "/?" + urlencode({**values, **({"page": number} if number > 1 else {})})


def _one_of(value: str | None, allowed: Iterable[str]) -> str:
    return value if value is not None and value in allowed else ""
