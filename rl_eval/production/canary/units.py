"""Reads the units of a step from the store, in the order of decisions, each once its rewards had time to come.

No jump of a clock makes a decision count early. The time is that of this process's start plus what has passed since
by a clock that never jumps. In addition, a decision has to be in the store for the reward window by that clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rl_eval.production.canary.evidence import pace
from rl_eval.production.canary_config import RolloutConfig

_PAGE = 5_000
_MOST_PAGES = 20  # of one pass
_MARKS = 256

Key = tuple[float, str]


class Outcome(Protocol):
    """A decision, and its reward where it has come; see `Store.outcomes`."""

    @property
    def decision_id(self) -> str:
        """Its id."""

    @property
    def at(self) -> float:
        """Seconds since 1970, by the server's clock."""

    @property
    def unit(self) -> str | None:
        """The pseudonym."""

    @property
    def version(self) -> str:
        """Of the policy that decided."""

    @property
    def shadow(self) -> bool:
        """Whether nobody acted on it."""

    @property
    def reward(self) -> float | None:
        """None where it has not come."""


class Outcomes(Protocol):
    """The part of the store that is used here."""

    def outcomes(self, *, after: Key | None = None, before: float | None = None, limit: int = ...) -> Sequence[Outcome]:
        """See `Store`."""


@dataclass(frozen=True)
class Units:
    """Units that count now: `[n]` rewards, NaN where none came, and whether the challenger decided."""

    rewards: np.ndarray
    challenger: np.ndarray


class UnitReader:
    """The units of one step.

    Args:
        store: of decisions and rewards.
        config: of the roll-out.
        since: seconds since 1970; earlier decisions belong to another step.
        challenger, champion: what decisions call their versions.
    """

    def __init__(
        self, store: Outcomes, config: RolloutConfig, since: float, challenger: frozenset[str], champion: frozenset[str]
    ):
        self._store, self._config = store, config
        self._names = challenger, champion
        self._seen: Key = (since, "")
        self._counted: Key = (since, "")
        self._marks: deque[tuple[float, Key]] = deque()
        self._ripe: Key | None = None
        self._units: set[str] = set()
        self._slot, self._in_slot = -math.inf, 0
        self.challenger_decisions = 0  # seen in this step, also in the shadow

    def read(self, now: float, steady: float) -> Units:
        """The units that have come to count since the last call.

        Args:
            now: seconds since 1970 that never jump.
            steady: seconds of a clock that never jumps.
        """
        self._look(now, steady)
        while self._marks and self._marks[0][0] <= steady - self._config.reward_window:
            self._ripe = self._marks.popleft()[1]
        if self._ripe is None:
            return Units(np.zeros(0), np.zeros(0, bool))
        return self._count(min(self._ripe, (now - self._config.reward_window, "\x7f")))

    def wait(self) -> None:
        """Have what does not count yet wait for a whole reward window from the next `read` on: rewards are held up."""
        self._marks.clear()

    def _look(self, now: float, steady: float) -> None:
        """What is in the store now, and from when on it may count."""
        for _ in range(_MOST_PAGES):
            page = self._store.outcomes(after=self._seen, before=now, limit=_PAGE)
            self.challenger_decisions += sum(outcome.version in self._names[0] for outcome in page)
            if page:
                self._seen = (page[-1].at, page[-1].decision_id)
            if len(page) < _PAGE:
                break
        interval = self._config.reward_window / _MARKS
        if not self._marks or steady - self._marks[-1][0] >= interval:
            self._marks.append((steady, self._seen))

    def _count(self, last: Key) -> Units:
        rewards, challenger = [], []
        for _ in range(_MOST_PAGES):
            if self._counted >= last:
                break
            page = self._store.outcomes(after=self._counted, before=math.nextafter(last[0], math.inf), limit=_PAGE)
            for outcome in page:
                if (outcome.at, outcome.decision_id) > last:
                    break
                self._counted = (outcome.at, outcome.decision_id)
                if self._counts(outcome):
                    rewards.append(math.nan if outcome.reward is None else outcome.reward)
                    challenger.append(outcome.version in self._names[0])
            if len(page) < _PAGE or (page[-1].at, page[-1].decision_id) > last:
                break
            seconds, most = pace(self._config)
            if self._in_slot >= most:  # nothing more of this slot counts
                self._counted = max(self._counted, ((self._slot + 1) * seconds, ""))
        return Units(np.array(rewards, np.float64), np.array(challenger, bool))

    def _counts(self, outcome: Outcome) -> bool:
        """Of those who act, each unit once, and so many of each slot of time."""
        if outcome.shadow or not any(outcome.version in names for names in self._names):
            return False
        if self._config.independent == "units" and outcome.unit is not None and outcome.unit in self._units:
            return False
        seconds, most = pace(self._config)
        slot = math.floor(outcome.at / seconds)
        if slot != self._slot:
            self._slot, self._in_slot = slot, 0
        if self._in_slot >= most:
            return False
        self._in_slot += 1
        if outcome.unit is not None:
            self._units.add(outcome.unit)
        return True
