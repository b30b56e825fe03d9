"""What a policy is, what it must fit, and what counts as an answer of one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError


@runtime_checkable
class Policy(Protocol):
    """Maps observations `[N, …]` to actions `[N]` (discrete) or `[N, A]` (continuous).

    A policy may also offer `probabilities(obs) -> [N, A]`, for discrete actions, and a baseline `rank`; see `scores`.
    One that chooses among legal actions has a third parameter of `act`, `mask`; see `choose_actions`.
    """

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """The most likely action of each copy when greedy, else a sample."""


@dataclass(frozen=True)
class Spaces:
    """The single-copy spaces a policy must fit, and the environment they belong to.

    Attributes:
        id: the Gymnasium id, where the environment has one.
    """

    env: str
    observation: gym.Space
    action: gym.Space
    id: str | None = None

    @classmethod
    def of(cls, config: Any, envs: gym.vector.VectorEnv) -> Spaces:
        """The spaces of a vector environment made from `config`."""
        return cls(config.name, envs.single_observation_space, envs.single_action_space, getattr(config, "id", None))


def choose_actions(policy: Policy, obs: np.ndarray, greedy: bool, mask: np.ndarray | None) -> np.ndarray:
    """The policy's actions, with the mask passed on where there is one and `act` has a parameter `mask`.

    Args:
        mask: bool `[N, A]`, which actions are legal, as `infos["action_mask"]` has it; None: all.
    """
    if mask is None or "mask" not in inspect.signature(policy.act).parameters:
        return policy.act(obs, greedy)
    return policy.act(obs, greedy, mask=mask)  # type: ignore[call-arg]


def scores(
    policy: Policy, obs: np.ndarray, actions: np.ndarray, greedy: bool, candidates: Mapping[str, np.ndarray]
) -> np.ndarray:
    """How early each case is to run where actions are priority levels, `[N]`, the highest first.

    The expected level Σ p·level where a greedy policy has `probabilities`: it tells apart cases that share their
    most likely level. Else the level; a baseline that orders by a score of its own has `rank(obs, candidates)`.

    Args:
        actions: `[N]` levels that the policy chose.
        candidates: what baselines may know of the cases, each `[N]`.
    """
    if hasattr(policy, "rank"):
        return policy.rank(obs, candidates)
    if greedy and hasattr(policy, "probabilities"):
        probabilities = policy.probabilities(obs)
        return probabilities @ np.arange(probabilities.shape[1])
    return actions


def checked_actions(answer: Any, n: int, action: gym.Space, name: str) -> np.ndarray:
    """What a policy of somebody else's answered, as actions of the environment; clipped to a Box.

    Args:
        answer: anything.
        n: the observations it was given.
        name: of the policy, for the message.

    Raises:
        InputError: it is not one action an observation, or no action of the environment.
    """
    wanted = (n, *(action.shape or ()))
    try:
        actions = np.asarray(answer)
    except ValueError as error:  # rows of different lengths
        raise InputError(
            f"policy {name} returned rows of different lengths: it must return one action an observation, {wanted}"
        ) from error
    if actions.shape != wanted:
        raise InputError(
            f"policy {name} returned actions of shape {actions.shape} for {n} observations: "
            f"it must return one action an observation, {wanted}"
        )
    if not _all_valid(actions, action):
        raise InputError(
            f"policy {name} returned {actions.dtype} actions that are none of the environment's: "
            f"every action must lie in {action}"
        )
    if isinstance(action, gym.spaces.Box):
        return np.clip(actions, action.low, action.high).astype(action.dtype)
    return actions


def _all_valid(actions: np.ndarray, action: gym.Space) -> bool:
    if isinstance(action, gym.spaces.Discrete):
        if actions.dtype.kind not in "iu":
            return False
        # unsigned numbers and a negative start have no common integer type, so Python's own compare them
        return bool(len(actions) == 0) or (
            int(actions.min()) >= action.start and int(actions.max()) < action.start + action.n
        )
    return actions.dtype.kind in "iuf" and bool(np.isfinite(actions).all())
