"""The policy in a snapshot of DQN: a trained Q-network that acts, and how it is saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from agents import normalize
from agents.action_masks import masked
from agents.checkpoint_arrays import pack_moments, with_prefix, without_prefix
from agents.config import AgentsConfig, DQNConfig, QNetworkConfig
from agents.encoding import Encoding
from agents.fixed_batches import FixedBatches
from agents.perceptron import ActionValues, PlainQ, is_plain
from agents.policy import describe_action_space, input_size, inputs_of, restore_action_space, to_environment

if TYPE_CHECKING:
    from agents.q_network import QNetwork
    from agents.team_network import TeamQNetwork


class QPolicy:
    """A Q-network with the observation statistics of its training, which stay as they are.

    How it acts on an observation does not depend on the others in the batch, to the last bit. It has no
    `probabilities`: values say which action is best, not how often to take it.

    Args:
        inputs: observations float32 `[N, D]` as the network takes them.
        reward_deviation: what training divided rewards by; 1 where it did not.
        epsilon: the chance of a random action where it does not act greedily.
    """

    def __init__(
        self,
        values: ActionValues,
        space: gym.spaces.Discrete,
        inputs: Callable[[np.ndarray], np.ndarray],
        reward_deviation: float,
        epsilon: float,
        seed: int,
    ):
        self._network, self._in_batches, self._space = values, FixedBatches(values.q_values), space
        self._inputs_of = inputs
        self._reward_deviation, self._epsilon = np.float32(reward_deviation), epsilon
        self._rng = np.random.default_rng(seed)

    def q_values(self, obs: np.ndarray) -> np.ndarray:
        """Q `[N, A]`, the expected discounted return after each action, in the units of the training reward."""
        return self._in_batches(self._inputs(obs)) * self._reward_deviation

    def _inputs(self, obs: np.ndarray) -> np.ndarray:
        return self._inputs_of(np.asarray(obs, np.float32).reshape(len(obs), -1))

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
        q_values = (self._in_batches if exact else self._network.q_values)(self._inputs(obs))
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


def pack(
    network: QNetwork | TeamQNetwork, obs_moments: normalize.Moments | None, encoding: Encoding | None = None
) -> dict[str, np.ndarray]:
    """Weights, observation statistics and encoding as named arrays."""
    from agents.networks import arrays_of

    arrays = with_prefix("network", arrays_of(network)) | pack_moments("obs", obs_moments)
    return arrays if encoding is None else arrays | encoding.arrays()


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
    size, actions, dueling = input_size(arrays, meta), int(space.n), bool(meta["dueling"])
    values: ActionValues
    if is_plain(config) and "agents" not in meta:
        values = PlainQ.from_arrays(without_prefix("network", arrays), size, actions, config, dueling)
    else:
        values = restore(arrays, meta)
    return QPolicy(
        values,
        space,
        inputs_of(arrays, meta),
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
    size = input_size(arrays, meta)
    agents = AgentsConfig(**meta.get("agents", {}))
    network = q_network(size, int(space.n), config, bool(meta["dueling"]), agents, np.random.default_rng(0))
    load_arrays(network, without_prefix("network", arrays))
    return network.eval()
