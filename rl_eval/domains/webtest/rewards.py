"""Reward terms of testing: effectiveness, efficiency, prevention, satisfaction, and penalties, each from 0 to 1.

A published report names the terms with raw ranges (0 to 50, 0 to 20, 0 to 30, 0 to 10, -50 to 0) and weighs them by
.4, .2, .3 and .1. Weights that sum to 1 are meant for terms of one scale, so each is normalised here. `Points` gives
the raw ranges again.
"""

from __future__ import annotations

import numpy as np

from rl_eval.rewards import Outcome, RewardTerm, ShareTerm


class Effectiveness(ShareTerm):
    """New failures by their severity, and novelty, which falls with visits.

    Args:
        failures: share of the term that is for failures; the rest is for novelty.
    """

    def __init__(self, failures: float = 0.8):
        self._failures = np.float32(_share("failures", failures))

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]`; failures of a total severity of 1 or more count all of their share."""
        found = np.minimum(outcome["severity"], 1.0)
        fresh = np.where(outcome["duplicate"], 0.0, outcome["novelty"])
        return self._failures * found + (1 - self._failures) * fresh


class Efficiency(ShareTerm):
    """Progress by action and by second: severity of new failures and new states, over 1 + seconds / scale.

    Args:
        states: the progress that a new state is; a failure of severity 1 is 1.
        seconds: the time of an action that halves its worth.
    """

    def __init__(self, states: float = 0.25, seconds: float = 2.0):
        self._states = np.float32(_share("states", states))
        self._seconds = np.float32(_positive("seconds", seconds))

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]`; progress is at most 1."""
        progress = np.minimum(outcome["severity"] + self._states * outcome["new_state"], 1.0)
        return progress / (1.0 + np.maximum(outcome["seconds"], 0.0) / self._seconds)


class Prevention(ShareTerm):
    """New failures by severity, by the share of users who come by, and by the share of actions that are left."""

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`prevented` of the outcome, at most 1, `[N]`."""
        return np.clip(outcome["prevented"], 0.0, 1.0)


class Satisfaction(ShareTerm):
    """Reports that are reproducible, short and new: 1 for a failure that shows after one action from the start page.

    Where people judged the failures, only their judgement counts: 1 if they keep them, 0 if they dismiss them.

    Args:
        actions: the length of a report that halves its worth.
    """

    def __init__(self, actions: float = 10.0):
        self._actions = np.float32(_positive("actions", actions))

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]`; 0 without a new failure."""
        short = 1.0 / (1.0 + np.maximum(outcome["path"] - 1, 0) / self._actions)
        reported = outcome["new_failures"] > 0
        by_itself = np.where(reported, np.clip(outcome["reproducible"], 0.0, 1.0) * short, 0.0)
        judgement = outcome["judgement"]
        return np.where(judgement == 0, by_itself, (judgement > 0) & reported)


class Penalty(RewardTerm):
    """What a step wasted: the sum of its costs, at most 1. Its weight is negative.

    Args:
        duplicate: cost of an action that caused nothing new.
        dead_end: of a page that nothing leads away from.
        false_alarm: of each reported failure that is not one.
        timed_out: of a page that did not answer in time.
        refused: of an action that would have left the application.
    """

    range = 0.0, 1.0

    def __init__(
        self,
        duplicate: float = 0.1,
        dead_end: float = 0.1,
        false_alarm: float = 0.5,
        timed_out: float = 0.3,
        refused: float = 0.3,
    ):
        costs = {"duplicate": duplicate, "dead_end": dead_end, "timed_out": timed_out, "refused": refused}
        self._costs = {name: _share(name, cost) for name, cost in costs.items()}
        self._costs["false_failures"] = _share("false_alarm", false_alarm)

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]`."""
        costs = [np.float32(cost) * outcome[fact] for fact, cost in self._costs.items()]
        return np.clip(np.sum(costs, axis=0), 0.0, 1.0)


TERMS = {term.__name__.lower(): term for term in (Effectiveness, Efficiency, Prevention, Satisfaction, Penalty)}


class Points(RewardTerm):
    """A term times a number of points, with its raw range.

    Args:
        term: effectiveness, efficiency, prevention, satisfaction or penalty, with its defaults.
        points: that 1 is worth; negative for a penalty.
    """

    def __init__(self, term: str, points: float):
        if term not in TERMS:
            raise ValueError(f"term={term!r} is not one of {', '.join(TERMS)}")
        if not abs(points) < float("inf"):
            raise ValueError(f"points={points} must be a finite number")
        self._term, self._points = TERMS[term](), np.float32(points)
        self.range = min(0.0, float(points)), max(0.0, float(points))

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]`."""
        return self._points * self._term(outcome)


def _share(name: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}={value} must be a number from 0 to 1")
    return value


def _positive(name: str, value: float) -> float:
    if not 0.0 < value < float("inf"):
        raise ValueError(f"{name}={value} must be a number above 0")
    return value
