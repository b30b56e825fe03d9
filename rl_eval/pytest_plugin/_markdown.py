"""The verdicts of a session as Markdown: a table for each suite, and a sentence for what does not pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rl_eval.formatting import COMPARISON_SIGNS, brief, decision_text, display_text, interval_ends, number
from rl_eval.pytest_plugin._summary import SuiteReports, suites_of

_SIGNS = {"PASS": "✅", "NOT_CHECKED": "➖"}
_OTHER_SIGN = "❌"
_COLUMNS = ("criterion", "metric", "estimate", "interval", "bar", "played", "decision")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")


def session_markdown(reporter: Any) -> str:
    """Every suite of the session; empty if there is none."""
    suites, _ = suites_of(reporter)
    return "".join(f"{line}\n" for name, suite in suites.items() for line in _suite(name, suite))


def _suite(name: str, suite: SuiteReports) -> Iterator[str]:
    rows = [row for _, row in sorted(suite.rows, key=lambda row: row[0])]
    decisions = {row["decision"] for row in rows} - {"NOT_CHECKED"}
    passes = decisions == {"PASS"} and suite.not_judged is None
    yield f"### {_SIGNS['PASS'] if passes else _OTHER_SIGN} {_text(name)}"
    yield ""
    if suite.not_judged is not None:
        yield f"Not judged: {_text(suite.not_judged)}"
        yield ""
        return
    yield f"| {' | '.join(_COLUMNS)} |"
    yield f"|{'|'.join(['---'] * len(_COLUMNS))}|"
    for row in rows:
        yield f"| {' | '.join(_cells(row))} |"
    yield ""
    for row in rows:
        if row["decision"] != "PASS":
            yield f"- **{_text(row['criterion'])}**: {_text(row['detail'])}"
    for label, text in suite.facts:
        yield f"- {_text(label)}: {_text(text)}"
    yield ""


def _cells(row: Mapping[str, Any]) -> list[str]:
    estimate, threshold = row.get("estimate"), row.get("threshold")
    interval = row.get("interval")
    bar = "" if threshold is None else number(threshold, distinct_from=estimate)
    played = (
        f"{row['units']:,} {row['unit']}{'' if row['units'] == 1 else 's'}"
        if row["direction"] and row.get("units")
        else ""
    )
    after = "" if row.get("decided_at") is None else f" after {row['decided_at']:,}"
    decision = row["decision"]
    return [
        _text(row["criterion"]),
        _text(row["metric"]) if row["direction"] else "",
        "" if estimate is None else number(estimate, distinct_from=threshold),
        "" if interval is None else " to ".join(interval_ends(interval)),
        f"{COMPARISON_SIGNS.get(row['direction'], '')} {bar}".strip().replace("<", "&lt;").replace(">", "&gt;"),
        played,
        f"{_SIGNS.get(decision, _OTHER_SIGN)} {decision_text(decision)}{after}",
    ]


def _text(value: Any) -> str:
    """Text that means nothing to Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", brief(display_text(str(value)))).replace("\\<", "&lt;").replace("\\>", "&gt;")
