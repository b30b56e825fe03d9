"""The evidence of a roll-out: units and calls in, a decision out. Nothing here reads a clock, a file or a network.

The chance α of rolling back an equal challenger is split: four fifths over the steps' rewards, a tenth each over
errors and slow answers, which are watched from the first step to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rl_eval.evidence import MoreOftenTest, TwoSampleTest
from rl_eval.formatting import duration, number
from rl_eval.production.canary_config import RolloutConfig

Verdict = Literal["promote", "hold", "roll_back"]
_REWARD_SHARE, _GUARD_SHARE = 0.8, 0.1
_FIRST_LOOK, _LOOK_GROWTH = 10, 1.05
_SLOTS = 96  # of step.min: a quarter of an hour of a day
# A guard needs this many calls of the challenger before the step may end well.
LEAST_CALLS = 10


@dataclass(frozen=True)
class Decision:
    """What to do, and why.

    Attributes:
        figure: which figure decided: `reward`, `errors`, `slow`, `time`, `traffic`, `bounds`, …; `undone`: an alias.
        sentence: with the numbers.
    """

    verdict: Verdict
    figure: str
    sentence: str


@dataclass(frozen=True)
class Calls:
    """How many decisions a policy made, how many failed, and how many were slow."""

    count: int = 0
    failed: int = 0
    slow: int = 0

    def since(self, before: Calls) -> Calls:
        """The calls since an earlier count; none where the counter began again."""
        values = (self.count - before.count, self.failed - before.failed, self.slow - before.slow)
        return Calls(*values) if min(values) >= 0 else Calls()


def step_alpha(config: RolloutConfig) -> float:
    """α of the rewards of one step."""
    return config.alpha * _REWARD_SHARE / len(config.steps)


def looks(units: int, more: int) -> Iterator[int]:
    """After how many units one looks: 10, and then at each twentieth more.

    Args:
        units: so far.
        more: further ones.
    """
    at = _FIRST_LOOK
    while at <= units:
        at = next_look(at)
    while at <= units + more:
        yield at
        at = next_look(at)


def next_look(at: int) -> int:
    """The look after the one at `at` units."""
    return max(at + 1, int(at * _LOOK_GROWTH))


class RewardEvidence:
    """The rewards of one step: challenger against champion.

    Args:
        config: of the roll-out.
        share: the challenger's share of units.
    """

    def __init__(self, config: RolloutConfig, share: float):
        self.config = config
        self.test = TwoSampleTest(
            -config.margin, config.low, config.high, share, step_alpha(config), "at_least", looks_rarely=True
        )
        self.outside = ""  # why nothing is claimed; empty: all rewards are within the bounds
        self.missing = [0, 0]  # of the challenger, of the champion
        self._waiting: list[tuple[float, bool]] = []

    @property
    def units(self) -> int:
        """How many units count."""
        return self.test.units + len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether the step has all the units that it is decided on."""
        return self.units >= self.config.step.units

    def add(self, rewards: np.ndarray, challenger: np.ndarray) -> None:
        """Add n units in the order of their decisions: `[n]` rewards, NaN where none came, and bool `[n]`."""
        rewards, challenger = np.asarray(rewards, np.float64), np.asarray(challenger, bool)
        for reward, mine in zip(rewards.tolist(), challenger.tolist(), strict=True):
            if self.full or self.outside:
                return
            if np.isnan(reward):
                self.missing[0 if mine else 1] += 1
                if self.config.missing == "leave_out":
                    continue
                reward = self.config.low
            if not self.config.low <= reward <= self.config.high:
                self.outside = (
                    f"a reward of {number(reward)} is outside [{number(self.config.low)}, {number(self.config.high)}], "
                    "so this step decides nothing: abort it, and give rollout.low and rollout.high that hold"
                )
                return
            self._waiting.append((reward, mine))
            self._look()

    def _look(self) -> None:
        at = next(looks(self.test.units, len(self._waiting)), None)
        if at is None:
            return
        values, first = zip(*self._waiting, strict=True)
        self.test.extend(np.array(values), np.array(first))
        self._waiting.clear()

    def decide(self) -> Decision:
        """What the rewards of this step show so far."""
        if self.outside:
            return Decision("hold", "bounds", self.outside)
        if self.test.units == 0:
            return Decision("hold", "reward", f"{self.units} units count so far, too few to look")
        verdict, estimate = self.test.decision, self.test.estimate
        if estimate is None:
            return Decision("hold", "traffic", f"{self.test.units} units count, all of one policy")
        side = "higher" if estimate > 0 else "lower"
        figures = (
            f"its mean reward is {number(abs(estimate))} {side} than the champion's after {self.test.units:,} units, "
            f"margin {number(self.config.margin)}"
        )
        if verdict == "FAIL":
            return Decision("roll_back", "reward", f"the challenger is worse: {figures}")
        if verdict == "PASS" and estimate >= -self.config.margin:
            return Decision("promote", "reward", f"the challenger is not worse: {figures}")
        if verdict == "PASS":
            return Decision("hold", "reward", f"the challenger was not worse, and has become so: {figures}")
        limit = f"; the limit of {self.config.step.units:,} units is reached" if self.full else ""
        return Decision("hold", "reward", f"not decided: {figures}{limit}")


@dataclass
class _Guard:
    """Whether the challenger fails, or is slow, more often than the champion by a margin."""

    name: Literal["errors", "slow"]
    margin: float
    test: MoreOftenTest
    bad: list[int] = field(default_factory=lambda: [0, 0])
    count: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, calls: tuple[Calls, Calls], share: float) -> None:
        pairs = []
        for index, part in enumerate(calls):
            bad = min(part.failed if self.name == "errors" else part.slow, part.count)
            self.bad[index] += bad
            self.count[index] += part.count
            pairs.append((bad, part.count))
        self.test.add(pairs[0], pairs[1], share)

    def rates(self) -> str:
        parts = [f"{bad} of {count:,}" for bad, count in zip(self.bad, self.count, strict=True)]
        return f"{self.name}: {parts[0]} by the challenger, {parts[1]} by the champion"

    def above_margin(self) -> bool:
        """Whether the plain shares are above the margin."""
        shares = [bad / count if count else 0.0 for bad, count in zip(self.bad, self.count, strict=True)]
        return shares[0] - shares[1] > self.margin


class GuardEvidence:
    """Errors and slow answers of the whole roll-out; they need no rewards."""

    def __init__(self, config: RolloutConfig):
        alpha = config.alpha * _GUARD_SHARE
        margins: dict[Literal["errors", "slow"], float] = {
            "errors": config.guards.error_margin,
            "slow": config.guards.slow_margin,
        }
        self._guards = [_Guard(name, margin, MoreOftenTest(margin, alpha=alpha)) for name, margin in margins.items()]

    def add(self, challenger: Calls, champion: Calls, share: float) -> None:
        """Add the calls since the last time.

        Args:
            share: the challenger's share of units meanwhile; .5 in the shadow, where both get all.
        """
        for guard in self._guards:
            guard.add((challenger, champion), min(max(share, 0.01), 0.99))

    @property
    def calls(self) -> tuple[int, int]:
        """How many calls the challenger and the champion had."""
        return self._guards[0].count[0], self._guards[0].count[1]

    def decide(self) -> Decision | None:
        """Roll back where either is shown; hold where the plain shares are above a margin; else None."""
        for guard in self._guards:
            if guard.test.shown:
                return Decision(
                    "roll_back", guard.name, f"more than the margin {number(guard.margin)}: {guard.rates()}"
                )
        for guard in self._guards:
            if guard.above_margin():
                return Decision("hold", guard.name, f"above the margin {number(guard.margin)}: {guard.rates()}")
        return None


def decide(
    config: RolloutConfig,
    state: Literal["shadow", "canary", "full"],
    rewards: RewardEvidence | None,
    guards: GuardEvidence,
    elapsed: float,
    calls_in_step: int,
) -> Decision:
    """What to do with the roll-out now.

    Args:
        state: of the roll-out.
        rewards: of the step; None in `shadow` and `full`, where only one policy acts.
        elapsed: seconds for which the step was watched.
        calls_in_step: decisions of the challenger in this step.
    """
    guard = guards.decide()
    if guard is not None and guard.verdict == "roll_back":
        return guard
    traffic = calls_in_step > 0 if rewards is None else rewards.units > 0 or bool(rewards.outside)
    evidence = _without_rewards(calls_in_step) if rewards is None else rewards.decide()
    if evidence.verdict == "roll_back":
        return evidence
    if not traffic:
        return Decision("hold", "traffic", _no_traffic(config, rewards, calls_in_step))
    if elapsed >= config.step.max and (evidence.verdict == "hold" or guard is not None):
        why = guard or evidence
        return Decision("roll_back", "time", f"step.max has passed without a decision ({why.figure}: {why.sentence})")
    if guard is not None:
        return guard
    if evidence.verdict == "promote" and elapsed < config.step.min:
        return Decision("hold", "time", f"step.min has not passed ({evidence.sentence})")
    if evidence.verdict == "promote" and rewards is None:
        return Decision("promote", "time", f"the step lasted step.min with {evidence.sentence}")
    return evidence


def _without_rewards(calls_in_step: int) -> Decision:
    """What a step shows in which one policy acts, so that no rewards are compared."""
    count = f"{calls_in_step:,} decisions of the challenger"
    if calls_in_step < LEAST_CALLS:
        return Decision("hold", "traffic", f"{count} in this step, and {LEAST_CALLS} are needed")
    return Decision("promote", "traffic", f"{count} without more errors or slow answers than the margins allow")


def _no_traffic(config: RolloutConfig, rewards: RewardEvidence | None, calls_in_step: int) -> str:
    """Why nothing counts yet."""
    if rewards is None or calls_in_step == 0:
        return "the challenger has made no decision in this step yet, so nothing can be decided"
    if config.missing == "leave_out" and any(rewards.missing):
        return "no reward has come for the decisions of this step, and rollout.missing leaves those without out"
    return (
        "no decision of this step counts yet: each does once it is as old as rollout.reward_window, "
        f"{duration(config.reward_window)}"
    )


def pace(config: RolloutConfig) -> tuple[float, int]:
    """Seconds of a slot, and how many units of it count at most: a step's units are spread over step.min."""
    return config.step.min / _SLOTS, max(1, -(-config.step.units // _SLOTS))
