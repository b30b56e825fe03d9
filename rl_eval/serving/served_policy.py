"""`ServedPolicy`: one version of a policy as the server asks it: actions with their probabilities and values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError
from rl_eval.policy import Policy, Spaces, choose_actions

_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class Decisions:
    """N decisions.

    Attributes:
        actions: `[N]` or `[N, …]`, as the environment takes them.
        drawn: `[N]` from 0, or `[N, A]` before they were clipped: what an agent learns from.
        probability: `[N]` with which the action was chosen, 1 where greedily; None if it is not known.
        confidence: `[N]`, the largest probability of an action; None if there are none.
        log_probs: `[N]` of what was drawn: log-probabilities, or log-densities; None if they are not known.
        values: `[N]`, the expected discounted return; None if the policy has no estimate.
        probabilities: `[N, A]`, of Discrete actions; None if the policy has none.
    """

    actions: np.ndarray
    drawn: np.ndarray
    probability: np.ndarray | None
    confidence: np.ndarray | None
    log_probs: np.ndarray | None
    values: np.ndarray | None
    probabilities: np.ndarray | None = None

    def part(self, rows: slice) -> Decisions:
        """Some of the decisions."""
        columns = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parts: dict[str, Any] = {name: None if column is None else column[rows] for name, column in columns.items()}
        return dataclasses.replace(self, **parts)


@dataclass(frozen=True)
class Distributions:
    """N distributions over actions: probabilities `[N, A]` of Discrete ones, else mean and deviation `[N, A]`.

    Attributes:
        action_values: `[N, A]`, the expected return after each action, where the policy has it.
    """

    probabilities: np.ndarray | None = None
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    action_values: np.ndarray | None = None


@dataclass(frozen=True)
class ServedPolicy:
    """A policy that does not change.

    Attributes:
        version: of the bytes that act, so that equal bytes have equal versions.
        trained_with_masks: whether action masks restricted its training.
    """

    version: str
    spaces: Spaces
    policy: Policy = field(repr=False)
    trained_with_masks: bool = False

    @property
    def actions(self) -> int | None:
        """How many actions there are; None if they are not Discrete."""
        return int(self.spaces.action.n) if isinstance(self.spaces.action, gym.spaces.Discrete) else None

    @property
    def mixes(self) -> bool:
        """Whether one call may hold greedy and drawn decisions."""
        return hasattr(self.policy, "outputs") or (self.actions is not None and hasattr(self.policy, "probabilities"))

    def decide(
        self,
        obs: np.ndarray,
        greedy: np.ndarray,
        mask: np.ndarray | None,
        rng: np.random.Generator,
        *,
        exact: bool = False,
    ) -> Decisions:
        """Choose actions.

        Args:
            obs: `[N, …]` float32.
            greedy: bool `[N]`, whether to take the most likely action instead of drawing one; all the same where the
                policy does not mix them.
            mask: bool `[N, A]`, which actions are legal; None: all.
            rng: of the draws.
            exact: whether each decision is that of the row on its own, to the last bit, as a gate plays it; it costs
                more.

        Raises:
            InputError: an observation is too large for the network, or a policy of other code fails.
        """
        policy: Any = self.policy
        if not hasattr(policy, "outputs"):
            return self._decide_alone(obs, greedy, mask, rng)
        outputs, values = _outputs(policy, obs, mask, exact=exact)
        if self.actions is None:
            return self._draw_normal(outputs, policy.log_std, values, greedy, rng)
        epsilon = getattr(policy, "epsilon", None)
        probabilities = softmax(outputs) if epsilon is None else _epsilon_greedy(outputs, epsilon, mask)
        confidence = probabilities.max(axis=1) if epsilon is None else None
        return self._choose(outputs.argmax(axis=1), probabilities, confidence, values, greedy, rng)

    def distributions(self, obs: np.ndarray, mask: np.ndarray | None) -> Distributions:
        """What actions are drawn from.

        Raises:
            InputError: the policy does not say, or an observation is too large for the network.
        """
        policy: Any = self.policy
        if not hasattr(policy, "outputs"):
            return Distributions(probabilities=_restricted(_probabilities(policy, obs), mask))
        outputs, _ = _outputs(policy, obs, mask)
        if self.actions is None:
            return Distributions(mean=outputs, std=np.broadcast_to(np.exp(policy.log_std), outputs.shape))
        if (epsilon := getattr(policy, "epsilon", None)) is None:
            return Distributions(probabilities=softmax(outputs))
        action_values = policy.outputs(obs)[0] if mask is not None else outputs
        return Distributions(probabilities=_epsilon_greedy(outputs, epsilon, mask), action_values=action_values)

    def _choose(
        self,
        best: np.ndarray,
        probabilities: np.ndarray,
        confidence: np.ndarray | None,
        values: np.ndarray | None,
        greedy: np.ndarray,
        rng: np.random.Generator,
    ) -> Decisions:
        """Decisions over Discrete actions from probabilities `[N, A]`; `best` `[N]` is the greedy choice."""
        with np.errstate(divide="ignore"):
            log_probabilities = np.log(probabilities)
        drawn = best
        if not greedy.all():  # Gumbel-max
            sampled = (log_probabilities + rng.gumbel(size=probabilities.shape)).argmax(axis=1)
            drawn = np.where(greedy, best, sampled)
        rows = np.arange(len(drawn))
        return Decisions(
            actions=drawn + int(self.spaces.action.start),  # type: ignore[attr-defined]
            drawn=drawn,
            probability=np.where(greedy, 1.0, probabilities[rows, drawn]),
            confidence=confidence,
            log_probs=np.where(greedy, 0.0, log_probabilities[rows, drawn]),
            values=values,
            probabilities=probabilities,
        )

    def _draw_normal(
        self, mean: np.ndarray, log_std: np.ndarray, values: np.ndarray, greedy: np.ndarray, rng: np.random.Generator
    ) -> Decisions:
        noise = rng.standard_normal(mean.shape, np.float32)
        noise[greedy] = 0.0
        drawn = (mean + np.exp(log_std) * noise).astype(np.float32)
        space = self.spaces.action
        assert isinstance(space, gym.spaces.Box)
        actions = np.clip(drawn.reshape(len(drawn), *space.shape), space.low, space.high).astype(space.dtype)
        log_probs = -(0.5 * np.square(noise) + log_std + 0.5 * _LOG_2PI).sum(axis=1)
        return Decisions(actions, drawn, None, None, np.where(greedy, 0.0, log_probs), values)

    def _decide_alone(
        self, obs: np.ndarray, greedy: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator
    ) -> Decisions:
        """Of a policy of other code, which may have probabilities, and no values."""
        if self.actions is not None and hasattr(self.policy, "probabilities"):
            probabilities = _restricted(_probabilities(self.policy, obs), mask)
            confidence = probabilities.max(axis=1)
            return self._choose(probabilities.argmax(axis=1), probabilities, confidence, None, greedy, rng)
        actions = choose_actions(self.policy, obs, bool(greedy.all()), mask)
        start = int(self.spaces.action.start) if self.actions is not None else 0  # type: ignore[attr-defined]
        drawn = actions - start if self.actions is not None else actions.reshape(len(actions), -1)
        certain = np.ones(len(obs)) if greedy.all() and self.actions is not None else None
        return Decisions(actions, drawn, certain, None, None, None)


def _outputs(policy: Any, *arguments: Any, **keywords: Any) -> tuple[np.ndarray, np.ndarray]:
    """What a network gives; −∞ is the logit of an illegal action.

    Raises:
        InputError: numbers so large came in that no finite ones come out.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        outputs, values = policy.outputs(*arguments, **keywords)
    invalid = np.isnan(outputs).any() or np.isposinf(outputs).any()
    if invalid or not (values is None or np.isfinite(values).all()):
        raise InputError("the network gives no finite numbers for this observation: give one like those of training")
    return outputs, values


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities `[N, A]`, float64; 0 where a logit is that of an illegal action."""
    shares = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def _epsilon_greedy(q_values: np.ndarray, epsilon: float, mask: np.ndarray | None) -> np.ndarray:
    """With which probability `[N, A]` each action is chosen: the best by Q, or with ε any legal one."""
    legal = np.ones(q_values.shape) if mask is None else mask.astype(np.float64)
    probabilities = epsilon * legal / legal.sum(axis=1, keepdims=True)
    probabilities[np.arange(len(q_values)), q_values.argmax(axis=1)] += 1.0 - epsilon
    return probabilities


def _probabilities(policy: Any, obs: np.ndarray) -> np.ndarray:
    if not hasattr(policy, "probabilities"):
        raise InputError("this policy returns only actions: it has no distribution")
    return np.asarray(policy.probabilities(obs), np.float64)


def _restricted(probabilities: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Probabilities of only legal actions; all legal ones alike where the policy gives them none."""
    if mask is None:
        return probabilities
    legal = np.where(mask, probabilities, 0.0)
    total = legal.sum(axis=1, keepdims=True)
    return np.where(total > 0, legal / np.where(total > 0, total, 1.0), mask / mask.sum(axis=1, keepdims=True))
