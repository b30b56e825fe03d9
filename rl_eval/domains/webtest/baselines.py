"""Baselines that read only observations, so they test a simulated application and one in a browser."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rl_eval.domains.webtest.config import Config
from rl_eval.domains.webtest.exploration import ACTION_SCALE, STATE_SCALE
from rl_eval.domains.webtest.observation import (
    CANDIDATE_COLUMNS,
    PAGE_COLUMNS,
    candidate_rows,
    legal_of,
    without_turns,
)
from rl_eval.domains.webtest.page import VALUE_KINDS, VALUES_OF
from rl_eval.domains.webtest.pretrained import Pretrained

_STATE = PAGE_COLUMNS.index("state_number")
_FILLED = slice(PAGE_COLUMNS.index(f"filled_{VALUE_KINDS[0]}"), PAGE_COLUMNS.index(f"filled_{VALUE_KINDS[-1]}") + 1)
_NUMBER, _UNTRIED, _TARGET = (CANDIDATE_COLUMNS.index(name) for name in ("number", "untried", "target_number"))
_ROLE = {name: CANDIDATE_COLUMNS.index(f"role_{name}") for name in ("link", "button", "submit", "browser")}
_FIELDS = [CANDIDATE_COLUMNS.index(f"role_{role}") for role in VALUES_OF]
_FRAME = [CANDIDATE_COLUMNS.index(f"place_{place}") for place in ("header", "navigation", "footer")]


def _first(episode_start: np.ndarray | None, count: int) -> np.ndarray:
    """Which observations begin an episode, bool `[N]`; without `episode_start` all do."""
    return np.ones(count, bool) if episode_start is None else episode_start


class RandomPolicy:
    """A uniform draw among the legal candidates."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """`[N]` candidates."""
        obs = without_turns(obs)
        legal = legal_of(obs, mask)
        return np.where(legal, self._rng.random(legal.shape), -1.0).argmax(axis=1)


class _Map:
    """What one tester knows of an application: candidates of each state, and where they led.

    Attributes:
        untried: state -> places of its candidates that were not tried when it was seen last, in their order.
        leads: state -> {target: place of a candidate}.
    """

    def __init__(self) -> None:
        self.untried: dict[int, list[int]] = {}
        self.leads: dict[int, dict[int, int]] = {}

    def see(self, state: int, rows: np.ndarray, legal: np.ndarray) -> None:
        """Take in the candidates of the page shown, `[K, C]` and `[K]`."""
        browser = rows[:, _ROLE["browser"]] > 0
        self.untried[state] = np.flatnonzero(legal & (rows[:, _UNTRIED] > 0) & ~browser).tolist()
        targets = np.rint(rows[:, _TARGET] * STATE_SCALE).astype(int)
        known = np.flatnonzero(legal & (targets >= 0))
        self.leads[state] = {int(targets[place]): int(place) for place in known[::-1]}

    def first_step(self, state: int, goal: int) -> int | None:
        """The candidate that begins the shortest known way from a state to another; None if there is none."""
        reached = {state: -1}
        queue = deque([state])
        while queue:
            here = queue.popleft()
            if here == goal:
                return reached[here]
            for target, place in self.leads.get(here, {}).items():
                if target not in reached:
                    reached[target] = place if here == state else reached[here]
                    queue.append(target)
        return None


class Systematic:
    """Tries the candidates of one state after the other, in the order of the document.

    Breadth first: those of the state that was met first among those with untried candidates. Depth first: those of the
    state that was met last. It goes there on the shortest way that it knows.
    """

    def __init__(self, *, depth_first: bool):
        self._depth_first = depth_first
        self._maps: dict[int, _Map] = {}

    def act(
        self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None, episode_start: np.ndarray | None = None
    ) -> np.ndarray:
        """`[N]` candidates."""
        obs = without_turns(obs)
        rows, legal, first = candidate_rows(obs), legal_of(obs, mask), _first(episode_start, len(obs))
        states = np.rint(obs[:, _STATE] * STATE_SCALE).astype(int)
        actions = np.zeros(len(obs), np.int64)
        for copy, state in enumerate(states.tolist()):
            if first[copy] or copy not in self._maps:
                self._maps[copy] = _Map()
            actions[copy] = self._choose(self._maps[copy], state, rows[copy], legal[copy])
        return actions

    def _choose(self, known: _Map, state: int, rows: np.ndarray, legal: np.ndarray) -> int:
        known.see(state, rows, legal)
        open_states = sorted((one for one, places in known.untried.items() if places), reverse=self._depth_first)
        for goal in open_states:
            if goal == state:
                return known.untried[state][0]
            step = known.first_step(state, goal)
            if step is not None:
                return step
        return int(np.flatnonzero(legal)[-1])  # the start page


class Novelty:
    """Curiosity: Q-learning in a table whose reward is 1 / √(visits of the transition), without learning before.

    After Zheng et al., *Automatic web testing using curiosity-driven reinforcement learning* (WebExplor, ICSE 2021):
    values start high, and actions are drawn with Gumbel noise.
    """

    discount, rate, first_value, temperature = 0.3, 1.0, 2.0, 0.05  # the best of six on validation applications

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._tables: dict[int, dict[tuple[int, int], float]] = {}
        self._counts: dict[int, dict[tuple[int, int, int], int]] = {}
        self._last: dict[int, tuple[int, int]] = {}

    def act(
        self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None, episode_start: np.ndarray | None = None
    ) -> np.ndarray:
        """`[N]` candidates."""
        obs = without_turns(obs)
        rows, legal, first = candidate_rows(obs), legal_of(obs, mask), _first(episode_start, len(obs))
        states = np.rint(obs[:, _STATE] * STATE_SCALE).astype(int)
        numbers = np.rint(rows[..., _NUMBER] * ACTION_SCALE).astype(int)
        actions = np.zeros(len(obs), np.int64)
        for copy, state in enumerate(states.tolist()):
            if first[copy] or copy not in self._tables:
                self._tables[copy], self._counts[copy] = {}, {}
                self._last.pop(copy, None)
            table, options = self._tables[copy], np.flatnonzero(legal[copy])
            values = np.array([table.get((state, int(numbers[copy, place])), self.first_value) for place in options])
            if copy in self._last:
                self._learn(copy, state, float(values.max()))
            noisy = values / self.temperature + self._rng.gumbel(size=len(values))
            actions[copy] = options[noisy.argmax()]
            self._last[copy] = state, int(numbers[copy, actions[copy]])
        return actions

    def _learn(self, copy: int, state: int, best: float) -> None:
        last, table, counts = self._last[copy], self._tables[copy], self._counts[copy]
        transition = (*last, state)
        counts[transition] = counts.get(transition, 0) + 1
        value = table.get(last, self.first_value)
        reward = counts[transition] ** -0.5
        table[last] = value + self.rate * (reward + self.discount * best - value)


# Kinds of candidates in the order that a fixed policy prefers, where they are untried.
Order = Sequence[str]
ORDERS: tuple[Order, ...] = (
    ("fill", "submit", "main", "button", "frame"),
    ("submit", "fill", "main", "button", "frame"),
    ("submit", "main", "fill", "button", "frame"),
    ("main", "frame", "submit", "fill", "button"),
    ("button", "main", "submit", "fill", "frame"),
    ("frame", "main", "submit", "fill", "button"),
)


class FixedOrder:
    """Prefers untried candidates by their kind, in one order for all applications, and sends each form it has filled.

    Where nothing on the page is untried, it follows the candidate that leads to the page with most untried ones.
    """

    def __init__(self, order: Order):
        self._rank = {kind: len(order) - index for index, kind in enumerate(order)}

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """`[N]` candidates."""
        obs = without_turns(obs)
        rows, legal = candidate_rows(obs), legal_of(obs, mask)
        is_frame = rows[..., _FRAME].max(axis=2) > 0
        kinds: dict[str, np.ndarray] = {
            "fill": rows[..., _FIELDS].max(axis=2) > 0,
            "submit": rows[..., _ROLE["submit"]] > 0,
            "main": (rows[..., _ROLE["link"]] > 0) & ~is_frame,
            "button": rows[..., _ROLE["button"]] > 0,
            "frame": (rows[..., _ROLE["link"]] > 0) & is_frame,
        }
        ranks = np.array([self._rank[kind] for kind in kinds], np.float64)
        score = np.stack(list(kinds.values()), axis=2).astype(np.float64) @ ranks * (rows[..., _UNTRIED] > 0)
        has_filled = obs[:, _FILLED].max(axis=1, keepdims=True) > 0
        score = np.where(np.logical_and(kinds["submit"], has_filled), 100.0, score)
        score = np.where(score > 0, score, rows[..., _TARGET + 2])  # untried candidates where it led to
        places = np.arange(rows.shape[1])
        score = score - places / 1000.0
        return np.where(legal, score, -np.inf).argmax(axis=1)


def best_order(config: Config, builds: int = 48) -> Order:
    """The order that finds most defects in training applications, with the usual share of them on.

    At a small `env.defect_share` all builds may be without defects, and all orders would be equally good.
    """
    from rl_eval.domains.webtest.metrics import defects_found
    from rl_eval.domains.webtest.simulator.vector import SimulatedVector
    from rl_eval.rollout import play

    config = config.model_copy(update={"defect_share": Config().defect_share})
    vector = SimulatedVector(config, n_envs=builds, part="train", autoreset=False)
    found = [defects_found(play(vector, FixedOrder(order), seeds=range(builds)), config) for order in ORDERS]
    return ORDERS[int(np.argmax(found))]


BASELINES: dict[str, Callable[[Config], Any]] = {
    "random": lambda config: RandomPolicy(),
    "breadth_first": lambda config: Systematic(depth_first=False),
    "depth_first": lambda config: Systematic(depth_first=True),
    "novelty": lambda config: Novelty(),
    "best_fixed": lambda config: FixedOrder(best_order(config)),
    "pretrained": lambda config: Pretrained(),
}
