"""Rewards: a weighted sum of named terms, each a function of the facts of a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium.vector import VectorWrapper

from rl_eval.envs.protocols import AllActionsVector
from rl_eval.envs.returned_values import VectorChecks
from rl_eval.errors import InputError, failure, nearest
from rl_eval.target import resolve

Outcome = Mapping[str, np.ndarray]
Range = tuple[float, float]
SHARE_SLACK = 1e-6  # of a sum of shares, which are written as decimals


class RewardTerm(ABC):
    """One term of a reward; `_target_` of a config names its class, the other keys are its parameters.

    Attributes:
        range: its smallest and largest value before its weight; None if it is unknown.
    """

    range: Range | None = None

    @abstractmethod
    def __call__(self, outcome: Outcome) -> np.ndarray:
        """The term `[N]` from the facts of a step, each `[N]`."""


class ShareTerm(RewardTerm):
    """A term from 0 to 1 whose weight is its share of the reward: the weights of all such terms must sum to 1."""

    range = 0.0, 1.0


class RewardFunction:
    """The weighted sum of named terms.

    Args:
        terms: name -> weight and term.
        declared: name -> the range that the config declares, before its weight.
    """

    def __init__(self, terms: Mapping[str, tuple[float, RewardTerm]], declared: Mapping[str, Range] | None = None):
        if not terms:
            raise InputError("reward.terms is empty: name at least one term, such as reward.terms.native")
        self.terms = dict(terms)
        self.declared = dict(declared or {})

    @classmethod
    def from_config(cls, terms: Mapping[str, Mapping[str, Any]]) -> RewardFunction:
        """Build from `{name: {_target_: rl_eval.rewards.…, weight: 1.0, range: [low, high], …parameters}}`.

        Raises:
            InputError: a target that is not allowed, parameters that the term does not take, or shares that do not
                sum to 1.
        """
        built: dict[str, tuple[float, RewardTerm]] = {}
        declared: dict[str, Range] = {}
        if not isinstance(terms, Mapping):
            raise InputError(f"reward.terms={terms!r} is not a section of named terms, such as reward.terms.native")
        for name, values in terms.items():
            if not isinstance(values, Mapping):
                raise InputError(f"reward.terms.{name}={values!r} is not a section with _target_ and weight")
            parameters = dict(values)
            target, weight = parameters.pop("_target_", None), parameters.pop("weight", 1.0)
            if target is None:
                raise InputError(f"reward.terms.{name} has no _target_: name a term such as rl_eval.rewards.Native")
            try:
                weight = float(weight)
            except (TypeError, ValueError) as error:
                raise InputError(f"reward.terms.{name}.weight={weight!r} is not a number") from error
            if not np.isfinite(weight):
                raise InputError(f"reward.terms.{name}.weight={weight!r} is not a finite number")
            if "range" in parameters:
                declared[name] = as_range(f"reward.terms.{name}.range", parameters.pop("range"))
            try:
                built[name] = (weight, _term(name, target)(**parameters))
            except (TypeError, ValueError) as error:
                raise InputError(f"reward.terms.{name}: {error}") from error
        _require_shares({name: weight for name, (weight, term) in built.items() if isinstance(term, ShareTerm)})
        return cls(built, declared)

    def ranges(self) -> dict[str, Range | None]:
        """Term -> its smallest and largest value, weighted: its own attribute, else as declared, else None."""
        ranges: dict[str, Range | None] = {}
        for name, (weight, term) in self.terms.items():
            term_range = term.range or self.declared.get(name)
            ranges[name] = None if term_range is None else scaled(term_range, weight)
        return ranges

    def attainable(self) -> Range | None:
        """The sum of the terms' ranges: no reward is outside; None where a term's range is not known.

        Interval arithmetic, so both ends are reached only where the terms can be extreme together.
        """
        ranges = [term_range for term_range in self.ranges().values() if term_range is not None]
        if len(ranges) < len(self.terms):
            return None
        return sum(low for low, _ in ranges), sum(high for _, high in ranges)

    def __call__(self, outcome: Outcome) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The reward float32 `[N]`, and every term, weighted, `[N]`.

        Raises:
            InputError: a term reads a fact that is not there, fails, or returns no array `[N]`.
        """
        parts, shape = {}, (len(next(iter(outcome.values()))),)
        for name, (weight, term) in self.terms.items():
            try:
                parts[name] = np.asarray(weight * term(outcome), np.float32)
            except KeyError as error:
                missing = error.args[0]
                raise InputError(
                    f"reward.terms.{name} reads {missing!r}, which the outcome of this environment does not have: "
                    f"{nearest(missing, outcome)}it has {', '.join(outcome)}"
                ) from error
            except InputError:
                raise
            except Exception as error:  # terms may be foreign code
                raise InputError(f"reward.terms.{name} failed with {failure(error)}") from error
            if parts[name].shape != shape:
                raise InputError(
                    f"reward.terms.{name} returned an array of shape {parts[name].shape}: "
                    f"it must return one number for each copy, {shape}"
                )
        return np.asarray(np.sum(list(parts.values()), axis=0, dtype=np.float32)), parts


def _require_shares(weights: Mapping[str, float]) -> None:
    """Accept weights of terms that are shares of the reward, by their names; there may be none.

    Raises:
        InputError: one is negative, or they do not sum to 1.
    """
    negative = [name for name, weight in weights.items() if weight < 0]
    if negative:
        name = negative[0]
        raise InputError(f"reward.terms.{name}.weight={weights[name]:g} is a share of the reward: give at least 0")
    total = sum(weights.values())
    if weights and abs(total - 1.0) > SHARE_SLACK:
        named = ", ".join(f"reward.terms.{name}.weight={weight:g}" for name, weight in weights.items())
        raise InputError(f"{named} are shares of the reward and sum to {total:g}: make them sum to 1")


def as_range(key: str, values: Any) -> Range:
    """`[low, high]` from a config.

    Raises:
        InputError: it is not two finite numbers in order.
    """
    try:
        low, high = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{key}={values!r} is not a range: give two numbers, [low, high]") from error
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise InputError(f"{key}={values!r} is not a range: give two finite numbers, the smaller first")
    return low, high


def scaled(bounds: Range, weight: float) -> Range:
    """A range times a weight, which may be negative."""
    low, high = sorted(weight * end for end in bounds)
    return low, high


def _term(name: str, target: Any) -> Callable[..., RewardTerm]:
    """The class that a target names; only a reward term, since its parameters may come from anyone too."""
    term = resolve(target)
    if not isinstance(term, type) or not issubclass(term, RewardTerm):
        raise InputError(
            f"reward.terms.{name}._target_={target!r} is not a reward term: name a subclass of "
            "rl_eval.rewards.RewardTerm, such as rl_eval.rewards.Native"
        )
    return term


class Native(RewardTerm):
    """The environment's own reward."""

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`native_reward` of the outcome, `[N]`."""
        return outcome["native_reward"]


class RewardedVector(VectorWrapper):
    """Replace a vector environment's reward by a reward function of its outcome.

    The terms of a step are in `infos["reward_terms"]`.
    """

    def __init__(self, env, reward: RewardFunction):
        super().__init__(env)
        self.reward = reward
        self._checks = VectorChecks(env)

    def reset(self, *, seed=None, options=None):
        """Start every copy.

        Raises:
            InputError: the environment returned something that its spaces do not allow.
        """
        obs, infos = self.env.reset(seed=seed, options=options)
        self._checks.reset(obs, infos)
        return obs, infos

    def step(self, actions):
        """One step of every copy, with the composed reward float32 `[N]`.

        Raises:
            InputError: the environment returned something that its spaces do not allow; as `RewardFunction`; or a fact
                without a value makes a term not finite.
        """
        obs, rewards, terminated, truncated, infos = self.env.step(actions)
        self._checks.step(obs, rewards, terminated, truncated, infos)
        rewards, infos["reward_terms"] = self.reward(infos["outcome"])
        if "outcomes_without" in infos:  # of each agent of a team, the steps of the others; see `agents.team`
            others = [[self.reward(outcome)[0] for outcome in steps] for steps in infos["outcomes_without"]]
            infos["rewards_without"] = np.array([np.sum(rewards, axis=0) for rewards in others], np.float32)
        if not np.isfinite(rewards).all():
            self._refuse_missing_facts(infos)
        return obs, rewards, terminated, truncated, infos

    @property
    def rewards_of_actions(self) -> Callable[[], np.ndarray] | None:
        """Gives the reward that each action would have earned in the latest step, float32 `[N, A]`.

        None where the environment does not tell what each would have caused; see `envs.protocols.AllActionsVector`.
        """
        vector = self.env.unwrapped
        if not (isinstance(vector, AllActionsVector) and vector.knows_all_actions):
            return None

        def rewards() -> np.ndarray:
            return np.stack([self.reward(outcome)[0] for outcome in vector.outcomes_of_actions()], axis=1)

        return rewards

    def _refuse_missing_facts(self, infos) -> None:
        """Name the term and the fact; a reward of the environment's own that is not finite is not a missing fact."""
        for name, values in infos["reward_terms"].items():
            copies = ~np.isfinite(values)
            for fact, facts in infos["outcome"].items():
                if fact != "native_reward" and facts.dtype.kind == "f" and np.isnan(facts[copies]).any():
                    raise InputError(
                        f"reward.terms.{name} is not finite where the fact {fact!r} has no value: the environment's "
                        "info does not have it on every step"
                    )
