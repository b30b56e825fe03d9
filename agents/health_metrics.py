"""Metrics of the health of training, measured about 20 times per run.

Nothing here is learned from, and nothing draws a random number: a run with and without it ends with the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.action_masks import masked
from agents.collect import Rollout
from agents.networks import ACTIVATIONS, ActorCritic

MEASUREMENTS = 20  # a run
ROWS = 128  # of a measurement
GRADIENTS = 8  # of an iteration
DORMANT = 0.025  # Sokar et al., The dormant neuron phenomenon in deep RL, ICML 2023, definition 3.1
SATURATED = 0.95  # mean |tanh|: its slope is below a tenth of the steepest

NAMES = (
    "grad_norm",  # 2-norm of the gradient before it is clipped, mean over an iteration's first updates
    "stale_kl",  # of the policy before the update from the one that collected; 0 on policy
    "behaviour_kl",  # the same after the update
    "repeated",  # 1 if the rollout is the one that was measured before
    "initial_kl",  # of the policy from its first weights, on observations of the first rollout
    "greedy_share",  # of the most frequent most likely action; Discrete actions only
    "dormant_share",  # of hidden units
    "saturated_share",  # of tanh units
    "reward_autocorrelation",  # of one step and the next in an episode
    "obs_autocorrelation",  # the same of the network's inputs, mean over those that vary
)


class HealthMetrics:
    """Measures at intervals, in two halves around an update.

    Args:
        network: the agent's own.
        inputs: raw observations `[B, D]` to network inputs.
        total_steps: env steps of the run.
    """

    def __init__(self, network: ActorCritic, inputs: Callable[[np.ndarray], np.ndarray], total_steps: int):
        self._network, self._inputs_of = network, inputs
        self._interval = max(total_steps // MEASUREMENTS, 1)
        self._next = 0  # env steps at which a measurement is due
        self._checksum = -1  # of the rollout that was measured last
        self._first_obs: np.ndarray | None = None  # [K, D] raw observations of the first rollout
        self._first_mask: np.ndarray | None = None  # [K, A] actions that were legal in them; None: all
        self._first_policy: dict[str, np.ndarray] = {}  # what the first weights made of them
        self._metrics: dict[str, float] | None = None  # of the measurement in progress
        self._squared_norms: list[Tensor] = []

    def before_update(self, rollout: Rollout, env_steps: int) -> None:
        """Look at a rollout, and at the network that is about to learn from it, if a measurement is due."""
        self._metrics = None
        if env_steps < self._next:
            return
        self._next = env_steps + self._interval
        obs, inputs, parameters = (rollout.transitions(a) for a in (rollout.obs, rollout.inputs, rollout.parameters))
        stride = -(-len(obs) // ROWS)
        self._inputs = inputs[::stride]
        self._mask = None if rollout.masks is None else rollout.transitions(rollout.masks)[::stride]
        if self._first_obs is None:
            self._first_obs = obs[::stride].copy()
            self._first_mask = None if self._mask is None else self._mask.copy()
            self._first_policy = self._policy(self._inputs_of(self._first_obs), self._first_mask)
        # The spread of a Gaussian does not depend on the observation: the present one is that of the collection.
        policy = self._policy(self._inputs, self._mask)
        self._behaviour = {**policy, "parameters": parameters[::stride]}
        checksum = zlib.crc32(np.ascontiguousarray(obs[:ROWS]).tobytes())
        reward_correlation, obs_correlation = autocorrelations(rollout)
        self._metrics = {
            "stale_kl": mean_kl(policy, self._behaviour),
            "repeated": float(checksum == self._checksum),
            "greedy_share": modal_share(parameters) if self._network.discrete else float("nan"),
            "reward_autocorrelation": reward_correlation,
            "obs_autocorrelation": obs_correlation,
        }
        self._checksum = checksum

    def add_gradient(self, gradient: Tensor | None) -> None:
        """Take in a gradient `[P]` before it is clipped."""
        if self._metrics is not None and gradient is not None and len(self._squared_norms) < GRADIENTS:
            self._squared_norms.append(gradient @ gradient)

    def after_update(self) -> dict[str, float]:
        """The measurement, by the `NAMES`; NaN if none was due."""
        if self._metrics is None:
            return dict.fromkeys(NAMES, float("nan"))
        assert self._first_obs is not None
        metrics, self._metrics = self._metrics, None
        squared_norms, self._squared_norms = self._squared_norms, []
        first_policy = self._policy(self._inputs_of(self._first_obs), self._first_mask)
        metrics["grad_norm"] = float(torch.stack(squared_norms).sqrt().mean()) if squared_norms else float("nan")
        metrics["behaviour_kl"] = mean_kl(self._policy(self._inputs, self._mask), self._behaviour)
        metrics["initial_kl"] = mean_kl(first_policy, self._first_policy)
        metrics["dormant_share"], metrics["saturated_share"] = self._unit_shares(self._inputs)
        return {name: metrics[name] for name in NAMES}

    @torch.inference_mode()
    def _policy(self, inputs: np.ndarray, mask: np.ndarray | None) -> dict[str, np.ndarray]:
        """The network's distributions on some inputs, as `mean_kl` takes them."""
        on_device = torch.from_numpy(inputs).to(self._network.actor_head.weight.device)
        parameters = self._network.parameters_of_actions(on_device).cpu().numpy()
        if self._network.discrete:
            return {"parameters": masked(parameters, mask)}
        return {"parameters": parameters, "log_std": self._network.log_std.detach().cpu().numpy().copy()}

    def _unit_shares(self, inputs: np.ndarray) -> tuple[float, float]:
        """Shares of the hidden units of actor and critic that are dormant, and that are saturated."""
        bodies: list[nn.Module] = [self._network.actor_body]
        if self._network.critic_body is not self._network.actor_body:
            bodies.append(self._network.critic_body)
        x = torch.from_numpy(inputs).to(self._network.actor_head.weight.device)
        return unit_shares([(body, x) for body in bodies])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON between two iterations; `load_state` restores them."""
        arrays = {} if self._first_obs is None else {"first_obs": self._first_obs, **self._first_policy}
        if self._first_mask is not None:
            arrays["first_mask"] = self._first_mask
        return arrays, {"next": self._next, "checksum": self._checksum}

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore what `state` gave."""
        first = {name: np.array(array) for name, array in arrays.items()}
        self._first_obs, self._first_mask = first.pop("first_obs", None), first.pop("first_mask", None)
        self._first_policy = first
        self._next, self._checksum = int(meta["next"]), int(meta["checksum"])


def mean_kl(p: Mapping[str, np.ndarray], q: Mapping[str, np.ndarray]) -> float:
    """KL(p ‖ q), mean over the rows.

    Args:
        p, q: `parameters` `[B, A]`: logits, or with `log_std` `[A]` means.
    """
    if "log_std" not in p:
        log_p, log_q = (x - np.logaddexp.reduce(x, axis=1, keepdims=True) for x in (p["parameters"], q["parameters"]))
        return float((np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean())
    log_ratio = q["log_std"] - p["log_std"]
    squared = np.exp(2 * p["log_std"]) + (p["parameters"] - q["parameters"]) ** 2
    return float((log_ratio + squared / (2 * np.exp(2 * q["log_std"])) - 0.5).sum(axis=1).mean())


@torch.inference_mode()
def unit_shares(bodies: Iterable[tuple[nn.Module, Tensor]]) -> tuple[float, float]:
    """Shares of the hidden units of some bodies, each with its inputs `[B, D]`, that are dormant and saturated.

    Units are the outputs of activation modules; NaN if there are none.
    """
    dormant: list[Tensor] = []
    saturated: list[Tensor] = []

    def measure(module: nn.Module, _inputs: Any, outputs: Tensor) -> None:
        mean_size = outputs.reshape(len(outputs), -1).abs().mean(dim=0)
        dormant.append(mean_size <= DORMANT * mean_size.mean())
        if isinstance(module, nn.Tanh):
            saturated.append(mean_size > SATURATED)

    activations = tuple(ACTIVATIONS.values())
    for body, inputs in bodies:
        hooks = [m.register_forward_hook(measure) for m in body.modules() if isinstance(m, activations)]
        body(inputs)
        for hook in hooks:
            hook.remove()
    shares = [float(torch.cat(units).float().mean()) if units else float("nan") for units in (dormant, saturated)]
    return shares[0], shares[1]


def modal_share(parameters: np.ndarray) -> float:
    """Share of the most frequent greedy action over rows of logits `[B, A]`."""
    return float(np.bincount(parameters.argmax(axis=1)).max() / len(parameters))


def autocorrelations(rollout: Rollout) -> tuple[float, float]:
    """Correlation of a step with the next one of the same episode, of rewards and of inputs; NaN if there is none.

    That of the inputs is the mean over the columns that vary, on `ROWS` pairs.
    """
    valid = np.ones(rollout.rewards.shape, bool) if rollout.valid is None else rollout.valid
    steps, copies = np.nonzero(valid[:-1] & valid[1:] & ~rollout.done[:-1])
    if len(steps) < 8:
        return float("nan"), float("nan")
    rewards = _correlation(rollout.rewards[steps, copies], rollout.rewards[steps + 1, copies])
    stride = -(-len(steps) // ROWS)
    steps, copies = steps[::stride], copies[::stride]
    return rewards, _correlation(rollout.inputs[steps, copies], rollout.inputs[steps + 1, copies])


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """The correlation of each column, around its mean over both arrays; mean over the columns that vary."""
    together = np.concatenate([first, second]).astype(np.float64)
    mean, variance = together.mean(axis=0), together.var(axis=0)
    covariance = ((first - mean) * (second - mean)).mean(axis=0)
    varies = variance > 1e-12
    return float((covariance[varies] / variance[varies]).mean()) if varies.any() else float("nan")
