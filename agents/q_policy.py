"""The policy in a snapshot of DQN: a trained Q-network that acts, and how it is saved and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from agents import normalize
from agents.action_masks import masked
from agents.checkpoint_arrays import pack_moments, unpack_moments, with_prefix, without_prefix
from agents.config import AgentsConfig, DQNConfig, QNetworkConfig
from agents.fixed_batches import FixedBatches
from agents.perceptron import ActionValues, PlainQ, is_plain
from agents.policy import describe_action_space, restore_action_space, to_environment

if TYPE_CHECKING:
    from agents.q_network import QNetwork
    from agents.team_network import TeamQNetwork


class QPolicy:
    """A Q-network with the observation statistics of its training, which stay as they are.

    How it acts on an observation does not depend on the others in the batch, to the last bit. It has no
    `probabilities`: values say which action is best, not how often to take it.

    Args:
        reward_deviation: what training divided rewards by; 1 if it did not.
        epsilon: the chance of a random action where it does not act greedily.
    """

    def __init__(
        self,
        values: ActionValues,
        space: gym.spaces.Discrete,
        obs_moments: normalize.Moments | None,
        clip_obs: float,
        reward_deviation: float,
        epsilon: float,
        seed: int,
    ):
        self._network, self._in_batches, self._space = values, FixedBatches(values.q_values), space
        self._obs_moments, self._clip_obs = obs_moments, clip_obs
        self._reward_deviation, self._epsilon = np.float32(reward_deviation), epsilon
        self._rng = np.random.default_rng(seed)

    def q_values(self, obs: np.ndarray) -> np.ndarray:
        """Q `[N, A]`, the expected discounted return after each action, in the units of the training reward."""
        inputs = np.asarray(obs, np.float32).reshape(len(obs), -1)
        if self._obs_moments is not None:
            inputs = normalize.normalize(inputs, self._obs_moments, self._clip_obs)
        return self._in_batches(inputs) * self._reward_deviation

    @property
    def epsilon(self) -> float:
        """The chance of a random action where it does not act greedily."""
        return self._epsilon

    def outputs(
        self, obs: np.ndarray, mask: np.ndarray | None = None, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Q of legal actions `[N, A]`, and the largest `[N]`, in one pass, for serving.

        Args:
            exact: as in `NetworkPolicy.outputs`.
        """
        inputs = np.asarray(obs, np.float32).reshape(len(obs), -1)
        if self._obs_moments is not None:
            inputs = normalize.normalize(inputs, self._obs_moments, self._clip_obs)
        q_values = (self._in_batches if exact else self._network.q_values)(inputs)
        q_values = masked(q_values * self._reward_deviation, mask)
        return q_values, q_values.max(axis=1)

    def values(self, obs: np.ndarray) -> np.ndarray:
        """V(s) = max Q(s, ·), `[N]`."""
        return self.q_values(obs).max(axis=1)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """Actions `[N]`: the best by Q; if not greedy, random ones as often as in training at that time.

        Args:
            mask: bool `[N, A]`, the actions to choose among; None: all.
        """
        actions = masked(self.q_values(obs), mask).argmax(axis=1)
        if not greedy:
            at_random = self._rng.random(len(actions)) < self._epsilon
            if mask is None:
                random_actions = self._rng.integers(self._space.n, size=len(actions))
            else:
                random_actions = masked(self._rng.random(mask.shape), mask).argmax(axis=1)
            actions = np.where(at_random, random_actions, actions)
        return to_environment(actions, self._space)


def pack(network: QNetwork | TeamQNetwork, obs_moments: normalize.Moments | None) -> dict[str, np.ndarray]:
    """Weights and observation statistics as named arrays."""
    from agents.networks import arrays_of

    return with_prefix("network", arrays_of(network)) | pack_moments("obs", obs_moments)


def metadata(
    observation: gym.Space,
    action: gym.Space,
    config: DQNConfig,
    reward_deviation: float,
    epsilon: float,
    action_masks: bool = False,
) -> dict[str, Any]:
    """What `load` needs in addition to the arrays, as JSON; `action_masks`: whether masks restricted the training."""
    return {
        "obs_shape": list(observation.shape or ()),
        "action_space": describe_action_space(action),
        "network": asdict(config.network),
        "dueling": config.dueling,
        "clip_obs": config.clip_obs,
        "reward_deviation": reward_deviation,
        "epsilon": epsilon,
        "action_masks": action_masks,
        **({"agents": asdict(config.agents)} if config.agents.count > 1 else {}),
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
    values: ActionValues
    if is_plain(config) and "agents" not in meta:
        values = PlainQ.from_arrays(without_prefix("network", arrays), size, actions, config, dueling)
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


def restore(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> QNetwork | TeamQNetwork:
    """The network of a snapshot, as a torch module.

    Raises:
        ValueError: the arrays do not fit the network that the metadata describes.
    """
    from agents.networks import load_arrays
    from agents.team_network import q_network

    space, config = _space(meta), QNetworkConfig(**meta["network"])
    size = int(np.prod(meta["obs_shape"]))
    agents = AgentsConfig(**meta.get("agents", {}))
    network = q_network(size, int(space.n), config, bool(meta["dueling"]), agents, np.random.default_rng(0))
    load_arrays(network, without_prefix("network", arrays))
    return network.eval()
