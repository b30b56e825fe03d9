"""`Exploration`: what N testers have tried so far, the facts of a step that follow from it, and their columns.

States, actions and sites of failures are numbers here: the simulator has tables of them, and the browser counts the
keys that it meets. So facts and rewards of both mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.domains.webtest.observation import CANDIDATE_MOVING, PAGE_MOVING, RESULTS
from rl_eval.domains.webtest.page import VALUE_KINDS

BACK, START = 0, 1  # the numbers of the browser's own actions; back has no target of its own
STATE_SCALE, ACTION_SCALE = 32.0, 128.0  # of numbers in columns; multiples of these are whole numbers
_NEW_STATE, _KNOWN_STATE, _SAME_STATE, _ERRORS, _NEW_FAILURE, _KNOWN_FAILURE, _REFUSED, _TIMED_OUT = range(len(RESULTS))


@dataclass(frozen=True)
class Shown:
    """The pages that N testers see.

    Attributes:
        state: int `[N]` their states.
        actions: int `[N, K]` the actions that the candidates are; -1 if there is no candidate.
        legal: bool `[N, K]`.
        holds: bool `[N, K]` whether a field holds the kind of value of the candidate.
        filled: int `[N, 6]` how many fields hold each kind of value.
    """

    state: np.ndarray
    actions: np.ndarray
    legal: np.ndarray
    holds: np.ndarray
    filled: np.ndarray


@dataclass(frozen=True)
class Caused:
    """What one action of each of N testers caused, except for the page shown.

    Attributes:
        action: int `[N]` what was done.
        sites: int `[N, J]` sites of the failures that showed; -1: none.
        severity: float `[N, J]` of each.
        seeded: int `[N, J]` 1: a known defect, 0: a false alarm, -1: the truth is not known.
        refused, timed_out, errors_shown: bool `[N]`.
        seconds, traffic: float `[N]`.
    """

    action: np.ndarray
    sites: np.ndarray
    severity: np.ndarray
    seeded: np.ndarray
    refused: np.ndarray
    timed_out: np.ndarray
    errors_shown: np.ndarray
    seconds: np.ndarray
    traffic: np.ndarray


class Exploration:
    """The memory of N testers, each in an episode of its own.

    Args:
        states, actions, sites: how many numbers there are of each.
        max_actions: of an episode.
    """

    arrays = (
        "time", "state", "state_number", "state_visits", "untried", "states_found", "tries", "target", "result",
        "number", "numbered", "reached", "seen", "failures", "since_new", "since_start", "caused",
    )  # fmt: skip

    def __init__(self, copies: int, *, states: int, actions: int, sites: int, max_actions: int):
        self.max_actions, self._row = max_actions, np.arange(copies)
        self.time = np.zeros(copies, np.int32)
        self.state = np.zeros(copies, np.int32)
        self.state_number = np.full((copies, states), -1, np.int16)  # in the order of first visits
        self.state_visits = np.zeros((copies, states), np.int16)
        self.untried = np.zeros((copies, states), np.float32)  # share of candidates, when the state was seen last
        self.states_found = np.zeros(copies, np.int32)
        self.tries = np.zeros((copies, actions), np.int16)
        self.target = np.full((copies, actions), -1, np.int16)  # the state that an action led to last
        self.result = np.full((copies, actions), -1, np.int8)
        self.number = np.full((copies, actions), -1, np.int16)  # in the order of first display
        self.numbered = np.zeros(copies, np.int32)
        self.reached = np.zeros((copies, actions, states), bool)  # transitions that were taken
        self.seen = np.zeros((copies, sites), bool)
        self.failures = np.zeros(copies, np.int32)
        self.since_new = np.zeros(copies, np.int32)  # actions since the last that caused something new
        self.since_start = np.zeros(copies, np.int32)  # actions since the first page was open
        self.caused = np.full(copies, -1, np.int8)  # result of the last action

    def start(self, mask: np.ndarray, shown: Shown) -> None:
        """Forget everything of some copies, bool `[N]`, and see their first page."""
        for name in ("state_number", "target", "result", "number", "caused"):
            getattr(self, name)[mask] = -1
        for name in (
            "time", "state_visits", "untried", "states_found", "tries", "numbered", "reached", "seen", "failures",
            "since_new", "since_start",
        ):  # fmt: skip
            getattr(self, name)[mask] = 0
        self._see(mask, shown)

    def record(self, active: np.ndarray, caused: Caused, shown: Shown) -> dict[str, np.ndarray]:
        """Take in one action of each copy in `active`, bool `[N]`, and give its facts, each `[N]`.

        - `new_state`, `new_transition`: whether the state was never seen, or never reached by this action.
        - `new_failures`, `severity`: failures at sites that were not known, and the sum of their severities.
        - `known_failures`: those at sites that were known.
        - `defects_found`, `false_failures`: the new ones that are known defects, or false alarms.
        - `duplicate`: nothing new was caused. `dead_end`: only the browser's own actions are left.
        - `refused`: it would have left the application. `timed_out`.
        - `novelty`: (1/√visits of the state + 1/√tries of the action) / 2, after Bellemare et al. 2016.
        - `path`: actions since the first page was open, this one counted. `seconds`, `traffic`.
        - `prevented`: severity times traffic times the share of actions that are left.
        """
        row, action = self._row, caused.action
        before = self.state.copy()
        new_state = active & (self.state_number[row, shown.state] < 0)
        self.time += active
        self.tries[row, action] += active
        self._see(active, shown)
        new_transition = active & (action != BACK) & ~self.reached[row, action, shown.state] & ~caused.refused
        self.reached[row, action, shown.state] |= active & (action != BACK)
        site_known = self.seen[row[:, None], np.maximum(caused.sites, 0)]
        present = (caused.sites >= 0) & active[:, None]
        new = present & ~site_known & _first(caused.sites)
        rows, columns = np.nonzero(new)
        self.seen[rows, caused.sites[rows, columns]] = True
        new_failures = new.sum(axis=1)
        self.failures += new_failures
        is_new = new_state | new_transition | (new_failures > 0)
        self.since_new = np.where(is_new, 0, self.since_new + active).astype(np.int32)
        self.since_start = np.where(action == START, 0, self.since_start + active).astype(np.int32)
        result = np.where(shown.state == before, _SAME_STATE, _KNOWN_STATE)
        for condition, value in (
            (new_state, _NEW_STATE),
            (caused.errors_shown, _ERRORS),
            (caused.timed_out, _TIMED_OUT),
            (caused.refused, _REFUSED),
            (present.any(axis=1), _KNOWN_FAILURE),
            (new_failures > 0, _NEW_FAILURE),
        ):
            result = np.where(condition, value, result)
        self.result[row[active], action[active]] = result[active]
        self.caused[active] = result[active]
        led = active & (action != BACK)
        self.target[row[led], action[led]] = shown.state[led]
        severity = (caused.severity * new).sum(axis=1)
        left = 1.0 - self.time / self.max_actions
        visits = np.maximum(self.state_visits[row, shown.state], 1)
        tries = np.maximum(self.tries[row, action], 1)
        return {
            "new_state": new_state,
            "new_transition": new_transition,
            "new_failures": new_failures,
            "severity": severity.astype(np.float32),
            "known_failures": (present & ~new).sum(axis=1),
            "defects_found": (new & (caused.seeded == 1)).sum(axis=1),
            "false_failures": (new & (caused.seeded == 0)).sum(axis=1),
            "duplicate": active & ~is_new,
            "dead_end": (shown.legal & (shown.actions > START)).sum(axis=1) == 0,
            "refused": caused.refused,
            "timed_out": caused.timed_out,
            "novelty": (0.5 / np.sqrt(visits) + 0.5 / np.sqrt(tries)).astype(np.float32),
            "path": self.since_start.copy(),
            "seconds": caused.seconds.astype(np.float32),
            "traffic": caused.traffic.astype(np.float32),
            "prevented": (severity * caused.traffic * left).astype(np.float32),
        }

    def _see(self, mask: np.ndarray, shown: Shown) -> None:
        """Take in the page of some copies: number its state and actions, and count what is untried."""
        row, state = self._row, shown.state
        self.state = np.where(mask, state, self.state).astype(np.int32)
        unnumbered = mask & (self.state_number[row, state] < 0)
        self.state_number[row[unnumbered], state[unnumbered]] = self.states_found[unnumbered]
        self.states_found += unnumbered
        self.state_visits[row, state] += mask
        known = np.maximum(shown.actions, 0)
        unnumbered = (self.number[row[:, None], known] < 0) & (shown.actions >= 0) & mask[:, None]
        places = self.numbered[:, None] + np.cumsum(unnumbered, axis=1) - 1
        rows, columns = np.nonzero(unnumbered)
        self.number[rows, known[rows, columns]] = places[rows, columns]
        self.numbered += unnumbered.sum(axis=1)
        untried = shown.legal & (shown.actions > START) & (self.tries[row[:, None], known] == 0)
        count = untried.sum(axis=1) / np.float32(shown.actions.shape[1])
        self.untried[row[mask], state[mask]] = count[mask]

    def page_columns(self, shown: Shown) -> np.ndarray:
        """The columns `PAGE_MOVING` of the pages shown, float32 `[N, …]`."""
        row, state = self._row, shown.state
        columns = np.zeros((len(row), len(PAGE_MOVING)), np.float32)
        visits = self.state_visits[row, state]
        columns[:, 0] = self.state_number[row, state] / STATE_SCALE
        columns[:, 1] = np.log1p(visits) / 2
        columns[:, 2] = visits <= 1
        columns[:, 3] = 1.0 - self.time / self.max_actions
        columns[:, 4] = self.states_found / STATE_SCALE
        columns[:, 5] = self.failures / 16.0
        columns[:, 6] = np.minimum(self.since_new, 32) / 16.0
        columns[:, 7 : 7 + len(VALUE_KINDS)] = shown.filled
        columns[:, 7 + len(VALUE_KINDS) :] = self.caused[:, None] == np.arange(len(RESULTS))
        return columns

    def candidate_columns(self, shown: Shown) -> np.ndarray:
        """The columns `CANDIDATE_MOVING` of the candidates shown, float32 `[N, K, …]`.

        A row without a candidate has no meaning.
        """
        row, action = self._row[:, None], np.maximum(shown.actions, 0)
        columns = np.zeros((*action.shape, len(CANDIDATE_MOVING)), np.float32)
        tries, target = self.tries[row, action], self.target[row, action]
        known, place = target >= 0, np.maximum(target, 0)
        columns[..., 0] = self.number[row, action] / ACTION_SCALE
        columns[..., 1] = np.log1p(tries) / 2
        columns[..., 2] = tries == 0
        columns[..., 3] = known
        columns[..., 4] = np.where(known, self.state_number[row, place] / STATE_SCALE, -1.0 / STATE_SCALE)
        columns[..., 5] = known * np.log1p(self.state_visits[row, place]) / 2
        columns[..., 6] = known * self.untried[row, place]
        columns[..., 7] = shown.holds
        columns[..., 8:] = self.result[row, action][..., None] == np.arange(len(RESULTS))
        return columns

    def get_state(self) -> dict[str, Any]:
        """Everything that it remembers, as arrays."""
        return {name: getattr(self, name).copy() for name in self.arrays}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember what `get_state` gave.

        Raises:
            ValueError: a state of another shape.
        """
        for name in self.arrays:
            current, saved = getattr(self, name), np.asarray(state[name])
            if current.shape != saved.shape:
                raise ValueError(f"state {name!r} has shape {saved.shape}, and this environment has {current.shape}")
        for name in self.arrays:
            getattr(self, name)[...] = state[name]


def _first(sites: np.ndarray) -> np.ndarray:
    """Whether a site is not further left in its row, bool `[N, J]`."""
    earlier = (sites[:, :, None] == sites[:, None, :]) & np.tri(sites.shape[1], k=-1, dtype=bool)
    return ~earlier.any(axis=2)
