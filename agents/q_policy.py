"""A trained Q-network as something that acts: the policy that a snapshot of DQN holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium as gym
import numpy as np

from agents import normalize
from agents.config import DQNConfig, QNetworkConfig
from agents.masks import masked
from agents.perceptron import PlainQ, is_plain
from agents.policy import (
    describe_action_space,
    pack_moments,
    restore_action_space,
    to_environment,
    unpack_moments,
    weights_of,
)

if TYPE_CHECKING:
    from agents.q_network import QNetwork

TARGET = "agents.q_policy.load"


class Values(Protocol):
    """A Q-network on numpy arrays."""

    def q_values(self, inputs: np.ndarray) -> np.ndarray: ...  # noqa: D102


class QPolicy:
    """A Q-network with the observation statistics it was trained with, frozen.

    It has no `probabilities`: values say which action is best, and nothing of how often it is to be taken.

    Args:
        reward_deviation: what training divided rewards by; 1 where it did not.
        epsilon: the chance of a random action where it does not act greedily.
    """

    def __init__(
        self,
        values: Values,
        space: gym.spaces.Discrete,
        obs_moments: normalize.Moments | None,
        clip_obs: float,
        reward_deviation: float,
        epsilon: float,
        seed: int,
    ):
        self._values, self._space = values, space
        self._obs_moments, self._clip_obs = obs_moments, clip_obs
        self._reward_deviation, self._epsilon = np.float32(reward_deviation), epsilon
        self._rng = np.random.default_rng(seed)

    def q_values(self, obs: np.ndarray) -> np.ndarray:
        """Q `[N, A]`, the discounted return to come after each action, in the units of the training reward."""
        inputs = np.asarray(obs, np.float32).reshape(len(obs), -1)
        if self._obs_moments is not None:
            inputs = normalize.normalize(inputs, self._obs_moments, self._clip_obs)
        return self._values.q_values(inputs) * self._reward_deviation

    def values(self, obs: np.ndarray) -> np.ndarray:
        """V(s) = max Q(s, ·), `[N]`."""
        return self.q_values(obs).max(axis=1)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """Actions `[N]`: the best by Q; where not greedy, at random as often as in training at that time.

        Args:
            mask: bool `[N, A]`, the actions to choose among; None: all.
        """
        actions = masked(self.q_values(obs), mask).argmax(axis=1)
        if not greedy:
            at_random = self._rng.random(len(actions)) < self._epsilon
            if mask is None:
                drawn = self._rng.integers(self._space.n, size=len(actions))
            else:
                drawn = masked(self._rng.random(mask.shape), mask).argmax(axis=1)
            actions = np.where(at_random, drawn, actions)
        return to_environment(actions, self._space)


def pack(network: QNetwork, obs_moments: normalize.Moments | None) -> dict[str, np.ndarray]:
    """Weights and observation statistics as named arrays."""
    from agents.networks import arrays_of

    arrays = {f"network.{name}": array for name, array in arrays_of(network).items()}
    return arrays if obs_moments is None else arrays | pack_moments("obs", obs_moments)


def metadata(
    observation: gym.Space,
    action: gym.Space,
    config: DQNConfig,
    reward_deviation: float,
    epsilon: float,
    action_masks: bool = False,
) -> dict[str, Any]:
    """What `load` needs beside the arrays, as JSON; `action_masks`: whether it was trained with action masks."""
    return {
        "_target_": TARGET,
        "obs_shape": list(observation.shape or ()),
        "action_space": describe_action_space(action),
        "network": asdict(config.network),
        "dueling": config.dueling,
        "clip_obs": config.clip_obs,
        "reward_deviation": reward_deviation,
        "epsilon": epsilon,
        "action_masks": action_masks,
    }


def load(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], seed: int = 0) -> QPolicy:
    """The policy of a snapshot.

    Args:
        arrays, meta: from `pack` and `metadata`.
        seed: of the draws when it does not act greedily.

    Raises:
        ValueError: the arrays do not fit the network that the metadata describes.
    """
    space, config = _space(meta), QNetworkConfig(**meta["network"])
    size, actions, dueling = int(np.prod(meta["obs_shape"])), int(space.n), bool(meta["dueling"])
    values: Values
    if is_plain(config):
        values = PlainQ.of(weights_of(arrays), size, actions, config, dueling)
    else:
        values = restore(arrays, meta)
    return QPolicy(
        values,
        space,
        unpack_moments("obs", arrays),
        float(meta["clip_obs"]),
        float(meta["reward_deviation"]),
        float(meta["epsilon"]),
        seed,
    )


def _space(meta: Mapping[str, Any]) -> gym.spaces.Discrete:
    space = restore_action_space(meta["action_space"])
    if not isinstance(space, gym.spaces.Discrete):
        raise ValueError(f"Q-values are of discrete actions, not of {space}")
    return space


def restore(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> QNetwork:
    """The network of a snapshot, as torch has it.

    Raises:
        ValueError: the arrays do not fit the network that the metadata describes.
    """
    from agents.networks import load_arrays
    from agents.q_network import QNetwork

    space, config = _space(meta), QNetworkConfig(**meta["network"])
    size = int(np.prod(meta["obs_shape"]))
    network = QNetwork(size, int(space.n), config, bool(meta["dueling"]), np.random.default_rng(0))
    load_arrays(network, weights_of(arrays))
    return network.eval()
