"""Search, filters and order of a list of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rl_eval.run import SEVERITY
from rl_eval.run_index._entry import Entry

# From the best to the worst.
_RANKS = {decision: rank for rank, decision in enumerate(("PASS", "NEEDS_RUNS", "INCONCLUSIVE", "NONE", "NOT_CHECKED"))}
_RANKS |= {decision: len(_RANKS) + SEVERITY[::-1].index(decision) for decision in ("FAIL", "ERROR")}

SORT_KEYS: dict[str, Callable[[Entry], Any]] = {
    "started": lambda entry: entry.started or None,
    "name": lambda entry: entry.path,
    "env": lambda entry: entry.env or None,
    "agent": lambda entry: entry.agent or None,
    "seed": lambda entry: entry.seed,
    "steps": lambda entry: entry.env_steps,
    "time": lambda entry: entry.machine_s,
    "score": lambda entry: entry.score,
    "verdict": lambda entry: -_RANKS[entry.decision],
}
DESCENDING = ("started", "steps", "time", "score", "verdict")  # the largest first, unless it is reversed


@dataclass(frozen=True)
class Query:
    """Which entries, and their order.

    Attributes:
        text: words that must all be in the path, status, environment, agent, metric or a suite; upper case is lower.
        env, agent, suite, status: exact names; None: any.
        decision: PASS, FAIL and so on, of the suite if one is named; NONE: not judged.
        sort: a key of `SORT_KEYS`; entries without a value come last.
    """

    text: str = ""
    env: str | None = None
    agent: str | None = None
    decision: str | None = None
    suite: str | None = None
    status: str | None = None
    sort: str = "started"
    reverse: bool = False


def select(entries: Iterable[Entry], query: Query) -> list[Entry]:
    """The entries that a query asks for, in its order."""
    words = query.text.lower().split()
    chosen = [entry for entry in entries if _matches(entry, query, words)]
    key = SORT_KEYS[query.sort]
    known = [entry for entry in chosen if key(entry) is not None]
    known.sort(key=key, reverse=(query.sort in DESCENDING) != query.reverse)
    return known + [entry for entry in chosen if key(entry) is None]


def _matches(entry: Entry, query: Query, words: Sequence[str]) -> bool:
    suites = [suite for suite in entry.suites if query.suite in (None, suite.suite)]
    if query.suite is not None and not suites:
        return False
    if query.decision is not None:
        decisions = {suite.decision for suite in suites} if query.suite is not None else {entry.decision}
        if query.decision not in decisions:
            return False
    exact = ((query.env, entry.env), (query.agent, entry.agent), (query.status, entry.status))
    if any(wanted is not None and wanted != value for wanted, value in exact):
        return False
    if not words:
        return True
    text = " ".join([entry.path, entry.status, entry.env, entry.agent, entry.metric or "", f"seed={entry.seed}"])
    text = f"{text} {' '.join(suite.suite for suite in entry.suites)}".lower()
    return all(word in text for word in words)


def ranked(entries: Iterable[Entry], suite: str, *, higher: bool = True) -> list[Entry]:
    """Finished runs, the best first: by what a suite decided on them, then by their score on validation.

    PASS is before NEEDS_RUNS, INCONCLUSIVE, no verdict, FAIL and ERROR. Of equal runs the newest comes first.

    Args:
        higher: whether a higher score is better.
    """

    def key(entry: Entry) -> tuple[int, float, str]:
        decisions = [result.decision for result in entry.suites if result.suite == suite]
        rank = _RANKS[decisions[0] if decisions else "NONE"]
        score = float("-inf") if entry.score is None else entry.score if higher else -entry.score
        return -rank, score, entry.started

    return sorted((entry for entry in entries if entry.status == "finished"), key=key, reverse=True)
