"""`Numbers` and `shown`: what testers in browsers see and cause, in the arrays of `Exploration`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rl_eval.domains.webtest.browser.choice import offered
from rl_eval.domains.webtest.browser.reading import Found
from rl_eval.domains.webtest.exploration import BACK, Caused, Exploration, Shown
from rl_eval.domains.webtest.observation import CANDIDATE_FIXED, PAGE_FIXED, C, P, candidate_fixed, page_fixed
from rl_eval.domains.webtest.page import BACK as BACK_ACTION
from rl_eval.domains.webtest.page import START as START_ACTION
from rl_eval.domains.webtest.page import VALUE_KINDS, ActionResult, Candidate, Element, Page

Legal = Callable[[Element], bool]
MOST_ACTIONS, MOST_SITES = 8192, 1024
LARGEST = 100.0  # of an observation
_CAUSED = 16  # failures of one action that are counted


class Numbers(dict[str, int]):
    """Numbers of keys in the order of first use; a key after the last number gets the last one."""

    def __init__(self, most: int, known: Sequence[str] = ()):
        super().__init__((key, number) for number, key in enumerate(known))
        self._most = most

    def __missing__(self, key: str) -> int:
        number = self[key] = min(len(self), self._most - 1)
        return number


class Episode:
    """One tester's way through one application: numbers of what it met, and the page it sees.

    Attributes:
        options: the candidates of the page.
    """

    def __init__(self, max_actions: int):
        self.states = Numbers(max_actions + 2)
        self.actions = Numbers(MOST_ACTIONS, (BACK_ACTION.key, START_ACTION.key))
        self.sites = Numbers(MOST_SITES)
        self.page: Page
        self.options: list[Candidate] = []
        self.touched: dict[str, str] = {}

    def see(self, page: Page, found: Sequence[Found], limit: int, memory: Exploration, copy: int, legal: Legal) -> None:
        """Take in a page."""
        self.page = page
        self.touched = {item.element.key: item.raw["touched"] for item in found if item.raw["touched"]}
        self.options = offered(page, limit, lambda key: int(memory.tries[copy, self.actions[key]]), legal)


def memory_of(copies: int, max_actions: int) -> Exploration:
    """The memory of some testers."""
    return Exploration(copies, states=max_actions + 2, actions=MOST_ACTIONS, sites=MOST_SITES, max_actions=max_actions)


def shown(episodes: Sequence[Episode], limit: int, legal: Legal) -> Shown:
    """The pages that testers see.

    Args:
        legal: whether an element may be used.
    """
    count = len(episodes)
    actions, is_legal = np.full((count, limit), -1, np.int64), np.zeros((count, limit), bool)
    holds, filled = np.zeros((count, limit), bool), np.zeros((count, len(VALUE_KINDS)), np.int64)
    for row, episode in enumerate(episodes):
        for place, candidate in enumerate(episode.options):
            actions[row, place] = episode.actions[candidate.key]
            is_legal[row, place] = legal(candidate.element)
            holds[row, place] = episode.touched.get(candidate.element.key) == candidate.value_kind is not None
        for kind in episode.touched.values():
            filled[row, VALUE_KINDS.index(kind)] += kind != "valid"
    state = np.array([episode.states[episode.page.state] for episode in episodes], np.int64)
    return Shown(state=state, actions=actions, legal=is_legal, holds=holds, filled=filled)


def caused(episodes: Sequence[Episode], done: Sequence[Candidate | None], results: Sequence[ActionResult]) -> Caused:
    """What the actions of testers caused; a tester that did nothing has None."""
    count = len(episodes)
    sites, seeded = np.full((count, _CAUSED), -1, np.int64), np.full((count, _CAUSED), -1, np.int64)
    severity, action = np.zeros((count, _CAUSED), np.float32), np.zeros(count, np.int64)
    for row, (episode, candidate, result) in enumerate(zip(episodes, done, results, strict=True)):
        action[row] = BACK if candidate is None else episode.actions[candidate.key]
        for place, failure in enumerate(result.failures[:_CAUSED]):
            sites[row, place] = episode.sites[f"{failure.kind} {failure.site}"]
            severity[row, place] = failure.severity
            seeded[row, place] = -1 if failure.seeded is None else failure.seeded
    return Caused(
        action=action, sites=sites, severity=severity, seeded=seeded,
        refused=np.array([result.refused for result in results]),
        timed_out=np.array([result.timed_out for result in results]),
        errors_shown=np.array([result.page.shows_errors for result in results]),
        seconds=np.array([result.seconds for result in results]),
        traffic=np.array([result.traffic for result in results]),
    )  # fmt: skip


def observations(episodes: Sequence[Episode], limit: int, memory: Exploration, seen: Shown) -> np.ndarray:
    """What an agent sees, float32 `[N, P + K · C]`."""
    rows = np.zeros((len(episodes), P + limit * C), np.float32)
    candidates = rows[:, P:].reshape(len(episodes), limit, C)
    for row, episode in enumerate(episodes):
        rows[row, : len(PAGE_FIXED)] = page_fixed(episode.page)
        for place, candidate in enumerate(episode.options):
            candidates[row, place, : len(CANDIDATE_FIXED)] = candidate_fixed(candidate)
    rows[:, len(PAGE_FIXED) : P] = memory.page_columns(seen)
    candidates[..., len(CANDIDATE_FIXED) :] = memory.candidate_columns(seen)
    candidates[seen.actions < 0] = 0.0
    return np.clip(rows, -LARGEST, LARGEST)
