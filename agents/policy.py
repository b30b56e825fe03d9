"""The policy in a snapshot of PPO or A2C: a trained actor-critic that acts, and how it is saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium as gym
import numpy as np

from agents import normalize
from agents.action_masks import masked
from agents.checkpoint_arrays import pack_moments, unpack_moments, with_prefix, without_prefix
from agents.config import NetworkConfig
from agents.encoding import Encoding, network_inputs
from agents.fixed_batches import FixedBatches
from agents.perceptron import PlainActorCritic, is_plain

if TYPE_CHECKING:
    from agents.networks import ActorCritic


def describe_action_space(space: gym.Space) -> dict[str, Any]:
    """The action space as JSON."""
    if isinstance(space, gym.spaces.Discrete):
        return {"type": "discrete", "n": int(space.n), "start": int(space.start)}
    assert isinstance(space, gym.spaces.Box)
    return {"type": "box", "low": space.low.tolist(), "high": space.high.tolist(), "dtype": str(space.dtype)}


def restore_action_space(described: Mapping[str, Any]) -> gym.Space:
    """The action space from `describe_action_space`."""
    if described["type"] == "discrete":
        return gym.spaces.Discrete(described["n"], start=described["start"])
    dtype = np.dtype(described["dtype"])
    # JSON has no infinity: a bound that was one comes back as None
    low, high = np.asarray(described["low"], dtype), np.asarray(described["high"], dtype)
    if np.issubdtype(dtype, np.floating):
        low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    return gym.spaces.Box(low, high, dtype=dtype)


def to_environment(actions: np.ndarray, space: gym.Space) -> np.ndarray:
    """Network actions as the environment takes them: shifted by `start`, or clipped to the box."""
    if isinstance(space, gym.spaces.Discrete):
        return actions + space.start if space.start else actions
    assert isinstance(space, gym.spaces.Box)
    return np.clip(actions.reshape(len(actions), *space.shape), space.low, space.high).astype(space.dtype)


class Network(Protocol):
    """An actor-critic on numpy arrays."""

    log_std: np.ndarray | None  # [A]; None: Discrete actions

    def parameters_of_actions(self, inputs: np.ndarray) -> np.ndarray: ...  # noqa: D102
    def values(self, inputs: np.ndarray) -> np.ndarray: ...  # noqa: D102


class NetworkPolicy:
    """An actor-critic with the observation statistics of its training, which stay as they are.

    How it acts on an observation does not depend on the others in the batch, to the last bit.

    Args:
        inputs: observations float32 `[N, D]` as the network takes them.
    """

    def __init__(
        self,
        network: Network,
        action_space: gym.Space,
        inputs: Callable[[np.ndarray], np.ndarray],
        return_moments: normalize.Moments | None,
        seed: int,
    ):
        self._network = network
        self._parameters_of_actions = FixedBatches(network.parameters_of_actions)
        self._values = FixedBatches(network.values)
        self._space = action_space
        self._inputs_of, self._return_moments = inputs, return_moments
        self._rng = np.random.default_rng(seed)

    def _inputs(self, obs: np.ndarray) -> np.ndarray:
        return self._inputs_of(np.asarray(obs, np.float32).reshape(len(obs), -1))

    def _parameters(self, obs: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Logits or means, `[N, A]`."""
        return masked(self._parameters_of_actions(self._inputs(obs)), mask)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """Actions `[N]` or `[N, A]`: the mode when greedy, else a sample; of those that `mask` `[N, A]` allows."""
        parameters = self._parameters(obs, mask)
        if self._network.log_std is None:
            if not greedy:  # Gumbel-max
                parameters = parameters + self._rng.gumbel(size=parameters.shape)
            actions = parameters.argmax(axis=-1)
        else:
            actions = parameters
            if not greedy:
                std = np.exp(self._network.log_std)
                actions = parameters + std * self._rng.standard_normal(parameters.shape, np.float32)
        return to_environment(actions, self._space)

    def probabilities(self, obs: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Action probabilities `[N, A]`, 0 where `mask` `[N, A]` allows no action; Discrete actions only."""
        logits = self._parameters(obs, mask)
        p = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return p / p.sum(axis=-1, keepdims=True)

    @property
    def log_std(self) -> np.ndarray | None:
        """Of continuous actions, `[A]`; None: they are Discrete."""
        return self._network.log_std

    def outputs(
        self, obs: np.ndarray, mask: np.ndarray | None = None, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logits of legal actions, or means, `[N, A]`, and the critic's estimates `[N]`, in one pass, for serving.

        Args:
            exact: whether a row's bits do not depend on the other rows, like those of `act`; else they are those
                of a batch of N, as in training.
        """
        inputs = self._inputs(obs)
        network = self._network
        values = (self._values if exact else network.values)(inputs)
        if self._return_moments is not None:
            values = normalize.denormalize(values, self._return_moments)
        return masked((self._parameters_of_actions if exact else network.parameters_of_actions)(inputs), mask), values

    def values(self, obs: np.ndarray) -> np.ndarray:
        """The critic's estimate of the return, `[N]`, in the units of the training reward."""
        values = self._values(self._inputs(obs))
        return values if self._return_moments is None else normalize.denormalize(values, self._return_moments)


def pack(
    network: ActorCritic,
    obs_moments: normalize.Moments | None,
    return_moments: normalize.Moments | None,
    encoding: Encoding | None = None,
) -> dict[str, np.ndarray]:
    """Weights, normalisers and encoding as named arrays."""
    from agents.networks import arrays_of

    arrays = with_prefix("network", arrays_of(network))
    arrays |= pack_moments("obs", obs_moments) | pack_moments("return", return_moments)
    return arrays if encoding is None else arrays | encoding.arrays()


def metadata(
    observation: gym.Space, action: gym.Space, network: NetworkConfig, clip_obs: float, action_masks: bool = False
) -> dict[str, Any]:
    """What `load` needs in addition to the arrays, as JSON; `action_masks`: whether masks restricted the training."""
    described = asdict(network)
    if not network.prior:  # not needed any more, and files of policies without one stay as they were
        del described["prior"]
    return {
        "obs_shape": list(observation.shape or ()),
        "action_space": describe_action_space(action),
        "network": described,
        "clip_obs": clip_obs,
        "action_masks": action_masks,
    }


def load(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], seed: int = 0) -> NetworkPolicy:
    """The policy of a snapshot.

    Args:
        arrays, meta: from `pack` and `metadata`.
        seed: of the draws when it does not act greedily.

    Raises:
        ValueError: the arrays do not fit the network that the metadata describes.
    """
    space, config = restore_action_space(meta["action_space"]), NetworkConfig(**meta["network"])
    size = input_size(arrays, meta)
    network: Network
    if is_plain(config):
        network = PlainActorCritic(without_prefix("network", arrays), size, space, config)
    else:
        from agents.networks import Inference

        network = Inference(restore(arrays, meta))
    return NetworkPolicy(
        network,
        space,
        inputs_of(arrays, meta),
        unpack_moments("return", arrays),
        seed,
    )


def inputs_of(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Observations float32 `[N, D]` as the network of a snapshot takes them.

    Raises:
        ValueError: its encoding is damaged.
    """
    moments, encoding = unpack_moments("obs", arrays), Encoding.from_arrays(arrays)
    return partial(network_inputs, moments=moments, clip=float(meta["clip_obs"]), encoding=encoding)


def input_size(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> int:
    """How many numbers the network of a snapshot takes: those of an observation, and its positions in bins.

    Raises:
        ValueError: its encoding is damaged, or of larger observations.
    """
    size, encoding = int(np.prod(meta["obs_shape"])), Encoding.from_arrays(arrays)
    if encoding is None:
        return size
    if encoding.size and int(encoding.columns.max()) >= size:
        raise ValueError(f"the encoding has a bin of column {int(encoding.columns.max())}, and there are {size}")
    return size + encoding.size


def restore(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> ActorCritic:
    """The network of a snapshot, as a torch module.

    Raises:
        ValueError: the arrays do not fit the network that the metadata describes.
    """
    from agents.networks import ActorCritic, load_arrays

    space, config = restore_action_space(meta["action_space"]), NetworkConfig(**meta["network"])
    network = ActorCritic(input_size(arrays, meta), space, config, np.random.default_rng(0))
    load_arrays(network, without_prefix("network", arrays))
    return network.eval()
