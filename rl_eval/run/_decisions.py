"""Decisions of criteria in the order of how bad they are."""

from __future__ import annotations

from collections.abc import Iterable

SEVERITY = ("ERROR", "FAIL", "INCONCLUSIVE", "NEEDS_RUNS", "PASS", "NOT_CHECKED")


def worst_decision(decisions: Iterable[str]) -> str:
    """The worst decision; NONE if there is none."""
    present = set(decisions)
    return next((decision for decision in SEVERITY if decision in present), "NONE")
