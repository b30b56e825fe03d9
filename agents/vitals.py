"""Signs of health that only training itself can see, measured about 20 times a run.

Nothing here is learned from, and nothing draws a random number: a run with and without it ends with the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.collect import Rollout
from agents.masks import masked
from agents.networks import ACTIVATIONS, ActorCritic

MEASUREMENTS = 20  # a run
ROWS = 128  # that a measurement looks at
GRADIENTS = 8  # of an iteration
DORMANT = 0.025  # Sokar et al., The dormant neuron phenomenon in deep RL, ICML 2023, definition 3.1
SATURATED = 0.95  # mean |tanh|: its slope is below a tenth of the steepest

NAMES = (
    "grad_norm",  # 2-norm of the gradient before it is clipped, mean over an iteration's first updates
    "stale_kl",  # of the policy before the update from the one that collected; 0 on policy
    "behaviour_kl",  # the same after the update
    "repeated",  # 1 where the rollout is the one that was measured before
    "initial_kl",  # of the policy from its first weights, on observations of the first rollout
    "greedy_share",  # of the most frequent most likely action; Discrete actions alone
    "dormant_share",  # of hidden units
    "saturated_share",  # of tanh units
    "reward_autocorrelation",  # of one step and the next in an episode
    "obs_autocorrelation",  # the same of the network's inputs, mean over those that vary
)


class Vitals:
    """Measures when it is due, in two halves around an update.

    Args:
        network: the agent's own.
        inputs: raw observations `[B, D]` to what the network sees.
        total_steps: env steps of the run.
    """

    def __init__(self, network: ActorCritic, inputs: Callable[[np.ndarray], np.ndarray], total_steps: int):
        self._network, self._inputs = network, inputs
        self._every = max(total_steps // MEASUREMENTS, 1)
        self._next = 0
        self._checksum = -1
        self._probe: np.ndarray | None = None  # [K, D] raw observations of the first rollout
        self._probe_mask: np.ndarray | None = None  # [K, A] actions that were legal in them; None: all
        self._first: dict[str, np.ndarray] = {}  # the policy's parameters on them before any update
        self._measuring: dict[str, float] | None = None
        self._gradients: list[Tensor] = []

    def before_update(self, rollout: Rollout, env_steps: int) -> None:
        """Look at a rollout, and at the network that is about to learn from it; only where that is due."""
        self._measuring = None
        if env_steps < self._next:
            return
        self._next = env_steps + self._every
        obs, inputs, parameters = (rollout.transitions(a) for a in (rollout.obs, rollout.inputs, rollout.parameters))
        stride = -(-len(obs) // ROWS)
        self._mask = None if rollout.masks is None else rollout.transitions(rollout.masks)[::stride]
        if self._probe is None:
            self._probe = obs[::stride].copy()
            self._probe_mask = None if self._mask is None else self._mask.copy()
            self._first = self._policy(self._inputs(self._probe), self._probe_mask)
        self._looked_at = inputs[::stride]
        # The spread of a Gaussian is free of the observation: that of now is that of the collection.
        now = self._policy(self._looked_at, self._mask)
        self._behaviour = {**now, "parameters": parameters[::stride]}
        checksum = zlib.crc32(np.ascontiguousarray(obs[:ROWS]).tobytes())
        rewards, features = autocorrelations(rollout)
        self._measuring = {
            "stale_kl": mean_kl(now, self._behaviour),
            "repeated": float(checksum == self._checksum),
            "greedy_share": modal_share(parameters) if self._network.discrete else float("nan"),
            "reward_autocorrelation": rewards,
            "obs_autocorrelation": features,
        }
        self._checksum = checksum

    def gradient(self, gradient: Tensor | None) -> None:
        """Take in a gradient `[P]` before it is clipped."""
        if self._measuring is not None and gradient is not None and len(self._gradients) < GRADIENTS:
            self._gradients.append(gradient @ gradient)

    def after_update(self) -> dict[str, float]:
        """The measurement, by the `NAMES`; NaN where none was due."""
        if self._measuring is None:
            return dict.fromkeys(NAMES, float("nan"))
        assert self._probe is not None
        measured, self._measuring = self._measuring, None
        norms, self._gradients = self._gradients, []
        measured["grad_norm"] = float(torch.stack(norms).sqrt().mean()) if norms else float("nan")
        measured["behaviour_kl"] = mean_kl(self._policy(self._looked_at, self._mask), self._behaviour)
        first_inputs = self._inputs(self._probe)
        measured["initial_kl"] = mean_kl(self._policy(first_inputs, self._probe_mask), self._first)
        measured["dormant_share"], measured["saturated_share"] = self._units(self._looked_at)
        return {name: measured[name] for name in NAMES}

    @torch.inference_mode()
    def _policy(self, inputs: np.ndarray, mask: np.ndarray | None) -> dict[str, np.ndarray]:
        on_device = torch.from_numpy(inputs).to(self._network.actor_head.weight.device)
        parameters = self._network.parameters_of_actions(on_device).cpu().numpy()
        found = {"parameters": masked(parameters, mask)}
        if not self._network.discrete:
            found["log_std"] = self._network.log_std.detach().cpu().numpy().copy()
        return found

    def _units(self, inputs: np.ndarray) -> tuple[float, float]:
        """Shares of the hidden units of actor and critic that are dormant, and that are saturated."""
        bodies: list[nn.Sequential] = [self._network.actor_body]
        if self._network.critic_body is not self._network.actor_body:
            bodies.append(self._network.critic_body)
        x = torch.from_numpy(inputs).to(self._network.actor_head.weight.device)
        return unit_shares([(body, x) for body in bodies])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON between two iterations; `load_state` restores them."""
        arrays = {} if self._probe is None else {"probe": self._probe, **self._first}
        if self._probe_mask is not None:
            arrays["probe_mask"] = self._probe_mask
        return arrays, {"next": self._next, "checksum": self._checksum}

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore what `state` gave."""
        first = {name: np.array(array) for name, array in arrays.items()}
        self._probe, self._probe_mask = first.pop("probe", None), first.pop("probe_mask", None)
        self._first = first
        self._next, self._checksum = int(meta["next"]), int(meta["checksum"])


def mean_kl(p: Mapping[str, np.ndarray], q: Mapping[str, np.ndarray]) -> float:
    """KL(p ‖ q), mean over the rows.

    Args:
        p, q: `parameters` `[B, A]`: logits, or with `log_std` `[A]` means.
    """
    if "log_std" not in p:
        log_p, log_q = (x - np.logaddexp.reduce(x, axis=1, keepdims=True) for x in (p["parameters"], q["parameters"]))
        return float((np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean())
    spread = q["log_std"] - p["log_std"]
    apart = (np.exp(2 * p["log_std"]) + (p["parameters"] - q["parameters"]) ** 2) / (2 * np.exp(2 * q["log_std"]))
    return float((spread + apart - 0.5).sum(axis=1).mean())


@torch.inference_mode()
def unit_shares(bodies: Iterable[tuple[nn.Sequential, Tensor]]) -> tuple[float, float]:
    """Shares of the hidden units of some bodies, each with its inputs `[B, D]`, that are dormant and saturated."""
    activations = tuple(ACTIVATIONS.values())
    dormant, saturated = [], []
    for body, inputs in bodies:
        x = inputs
        for module in body:
            x = module(x)
            if isinstance(module, activations):
                size = x.abs().mean(dim=0)
                dormant.append(size <= DORMANT * size.mean())
                if isinstance(module, nn.Tanh):
                    saturated.append(size > SATURATED)
    shares = [float(torch.cat(units).float().mean()) if units else float("nan") for units in (dormant, saturated)]
    return shares[0], shares[1]


def modal_share(parameters: np.ndarray) -> float:
    """Share of rows of logits `[B, A]` whose largest is that of the action which is largest most often."""
    return float(np.bincount(parameters.argmax(axis=1)).max() / len(parameters))


def autocorrelations(rollout: Rollout) -> tuple[float, float]:
    """Correlation of a step with the next one of the same episode: of rewards, and of inputs; NaN where there is none.

    The inputs' is the mean over the columns that vary, on `ROWS` pairs.
    """
    real = np.ones(rollout.rewards.shape, bool) if rollout.real is None else rollout.real
    steps, copies = np.nonzero(real[:-1] & real[1:] & ~rollout.done[:-1])
    if len(steps) < 8:
        return float("nan"), float("nan")
    rewards = _correlation(rollout.rewards[steps, copies], rollout.rewards[steps + 1, copies])
    stride = -(-len(steps) // ROWS)
    steps, copies = steps[::stride], copies[::stride]
    return rewards, _correlation(rollout.inputs[steps, copies], rollout.inputs[steps + 1, copies])


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Of each column, around its mean over both; mean over the columns that vary."""
    both = np.concatenate([first, second]).astype(np.float64)
    mean, variance = both.mean(axis=0), both.var(axis=0)
    covariance = ((first - mean) * (second - mean)).mean(axis=0)
    varies = variance > 1e-12
    return float((covariance[varies] / variance[varies]).mean()) if varies.any() else float("nan")
