"""`Policy`: the interface of a policy, the spaces that it must fit, and how its actions and scores are computed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np


@runtime_checkable
class Policy(Protocol):
    """Maps observations `[N, …]` to actions `[N]` (discrete) or `[N, A]` (continuous).

    A policy may also offer `probabilities(obs) -> [N, A]`, for discrete actions, and a baseline `rank`; see `scores`.
    A policy that obeys action masks has a further parameter of `act`, `mask`; one with a memory has `episode_start`;
    see `choose_actions`.
    """

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """The most likely action of each copy when greedy, else a sample."""


@dataclass(frozen=True)
class Spaces:
    """The single-copy spaces a policy must fit, and the environment they belong to.

    Attributes:
        observation: of the rows that a policy gets; `batch` of `rl_eval.envs.space_values` makes of them what other
            libraries take.
        id: the Gymnasium id, where the environment has one.
    """

    env: str
    observation: gym.Space
    action: gym.Space
    id: str | None = None

    @property
    def title(self) -> str:
        """What a message calls the environment: its id where it has one."""
        return self.id or self.env

    @classmethod
    def of(cls, config: Any, envs: gym.vector.VectorEnv) -> Spaces:
        """The spaces of a vector environment made from `config`."""
        return cls(config.name, envs.single_observation_space, envs.single_action_space, getattr(config, "id", None))


def action_space_json(action: gym.Space) -> dict[str, Any]:
    """The action space as JSON values; null is an infinite bound. One that is not flat is described as text."""
    if isinstance(action, gym.spaces.Discrete):
        return {"type": "discrete", "n": int(action.n), "start": int(action.start)}
    if not isinstance(action, gym.spaces.Box):
        return {"type": "other", "space": str(action)}
    return {"type": "box", "low": _finite(action.low), "high": _finite(action.high), "dtype": str(action.dtype)}


def action_space_from_json(values: Mapping[str, Any]) -> gym.Space:
    """The action space that `action_space_json` described.

    Raises:
        KeyError, TypeError, ValueError: it describes none.
    """
    if values["type"] == "discrete":
        return gym.spaces.Discrete(int(values["n"]), start=int(values["start"]))
    dtype = np.dtype(values["dtype"])
    low, high = (np.asarray(values[name], np.float64) for name in ("low", "high"))
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    return gym.spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)


def _finite(bound: np.ndarray) -> list[Any]:
    values = bound.astype(object)
    values[~np.isfinite(bound)] = None
    return values.tolist()


def choose_actions(
    policy: Policy,
    obs: np.ndarray,
    greedy: bool,
    mask: np.ndarray | None,
    episode_start: np.ndarray | None = None,
) -> np.ndarray:
    """The policy's actions; it gets `mask` and `episode_start` where `act` has parameters of these names.

    Row i of `obs` is that of the same copy from call to call.

    Args:
        mask: bool `[N, A]`, which actions are legal, as `infos["action_mask"]` has it; None: all.
        episode_start: bool `[N]`, whether an observation is the first of an episode; None: each is.
    """
    options = {name: value for name, value in (("mask", mask), ("episode_start", episode_start)) if value is not None}
    if options:
        parameters = inspect.signature(policy.act).parameters
        options = {name: value for name, value in options.items() if name in parameters}
    return policy.act(obs, greedy, **options)


def starts(episode_start: np.ndarray | None, n: int) -> np.ndarray:
    """`episode_start` as bool `[N]`: without one, each observation is the first of an episode."""
    return np.ones(n, bool) if episode_start is None else episode_start


def scores(
    policy: Policy, obs: np.ndarray, actions: np.ndarray, greedy: bool, candidates: Mapping[str, np.ndarray]
) -> np.ndarray:
    """How early each case should run where actions are priority levels, `[N]`, the highest first.

    The expected level Σ p·level where a greedy policy has `probabilities`: it separates cases that share their
    most likely level. Otherwise the level. A baseline with a score of its own has `rank(obs, candidates)`.

    Args:
        actions: `[N]` levels that the policy chose.
        candidates: what baselines may know of the cases, each `[N]`.
    """
    if hasattr(policy, "rank"):
        return policy.rank(obs, candidates)
    if greedy and hasattr(policy, "probabilities"):
        probabilities = policy.probabilities(obs)
        # not a matrix product, whose last bits depend on the number of rows
        return (probabilities * np.arange(probabilities.shape[1])).sum(axis=1)
    return actions
