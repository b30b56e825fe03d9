"""Which actions of a page are offered where it has more than an agent can see: those that were tried least."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rl_eval.domains.webtest.page import VALUES_OF, Candidate, Element, Page, candidates


def offered(page: Page, limit: int, tries: Callable[[str], int], legal: Callable[[Element], bool]) -> list[Candidate]:
    """The actions of a page, at most `limit`, in the order of the document; the browser's own are the last two.

    Illegal ones are offered only where there is room, and elements that repeat after others.

    Args:
        tries: how often the action of a key was tried.
        legal: whether an element may be used.
    """
    whole = sum(len(VALUES_OF.get(element.role, (None,))) for element in page.elements) + 2
    if whole <= limit:
        return list(candidates(page, limit))
    rank = {
        element.key: (not legal(element), _least(element, tries), element.place in ("navigation", "footer"), index)
        for index, element in enumerate(page.elements)
    }
    chosen = sorted(page.elements, key=lambda element: rank[element.key])[: limit - 2]
    keys = {element.key for element in chosen}
    return list(candidates(replace(page, elements=tuple(e for e in page.elements if e.key in keys)), limit))


def _least(element: Element, tries: Callable[[str], int]) -> int:
    """How often the action on an element that was tried least was tried."""
    return min(tries(Candidate(element, kind).key) for kind in VALUES_OF.get(element.role, (None,)))
