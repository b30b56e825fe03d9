"""A policy that sees its observations with noise, with gaps, late, or as an adversary changes them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from rl_eval import seeding
from rl_eval.envs.space_values import as_it_is, as_rows, within
from rl_eval.errors import InputError
from rl_eval.formatting import number
from rl_eval.policy._adversary import gradient_changes, random_changes
from rl_eval.policy._policy import Policy, Spaces, choose_actions, starts

DRAWS, STEPS = 8, 4  # random changes and steps of an adversary for each decision
MAX_NUMBERS = 64  # of an observation whose gradient is taken by differences
_SMALLEST = 1e-12
_LEAST_FOR_INTEGERS = {"noise": 0.1, "adversarial": 0.5}  # less changes hardly one in a million, or none


@dataclass(frozen=True)
class Perturbation:
    """What happens to observations.

    Attributes:
        kind: noise: a normal draw of deviation `size` is added to each number; drop_features: each number is 0 with
            probability `size`; delay: the policy sees the observation of `size` steps before; adversarial: each number
            is changed by at most `size`, to the worst that is found.

    Noise and gaps are in all Boxes of an observation; its other parts stay as they are. A delay is of all of it.
    """

    kind: Literal["noise", "drop_features", "delay", "adversarial"]
    size: float

    def __str__(self) -> str:
        return f"{self.kind} {number(self.size)}"


class PerturbedPolicy:
    """A policy under a perturbation, whose draws follow from a seed.

    Raises:
        InputError: it would change no observation, or an adversary would disturb the policy's memory.
    """

    def __init__(self, policy: Policy, perturbation: Perturbation, spaces: Spaces, spec: str, seed: int) -> None:
        _require_change(perturbation, spaces)
        if perturbation.kind == "adversarial" and _may_remember(policy):
            raise InputError(
                f"policy {spec!r} may have a memory, which the tries of an adversary would disturb: use noise, "
                "drop_features or delay"
            )
        self._policy, self._perturbation, self._space = policy, perturbation, spaces.observation
        self._rng = seeding.generator(seed, "perturbation")
        self._past: list[np.ndarray] = []

    def act(
        self,
        obs: np.ndarray,
        greedy: bool,
        mask: np.ndarray | None = None,
        episode_start: np.ndarray | None = None,
    ) -> np.ndarray:
        """The policy's actions on what it sees of the observations `[N, …]`."""
        seen = self._seen(np.asarray(obs), mask, starts(episode_start, len(obs)))
        return choose_actions(self._policy, seen, greedy, mask, episode_start)

    def _seen(self, obs: np.ndarray, mask: np.ndarray | None, start: np.ndarray) -> np.ndarray:
        kind = self._perturbation.kind
        if kind == "delay":
            return self._late(obs, start)
        if kind == "adversarial":
            return self._worst(obs, mask)
        if isinstance(self._space, gym.spaces.Box):
            return self._changed(self._space, obs)
        return as_rows(self._space, [self._changed(self._space, row) for row in obs])

    def _changed(self, space: gym.Space, value: Any) -> Any:
        """A value, or a batch of a Box, with noise or gaps in its Boxes."""
        if isinstance(space, gym.spaces.Dict):
            return {name: self._changed(part, value[name]) for name, part in space.items()}
        if isinstance(space, gym.spaces.Tuple):
            return tuple(self._changed(part, one) for part, one in zip(space, value, strict=True))
        if not isinstance(space, gym.spaces.Box):
            return value
        if self._perturbation.kind == "noise":
            return within(space, value + self._perturbation.size * self._rng.standard_normal(np.shape(value)))
        return within(space, np.where(self._rng.random(np.shape(value)) < self._perturbation.size, 0, value))

    def _late(self, obs: np.ndarray, start: np.ndarray) -> np.ndarray:
        """What there was some steps ago; the first observation of an episode until then."""
        if start.all():
            self._past = []
        self._past = [*self._past, obs.copy()][-int(self._perturbation.size) - 1 :]
        for earlier in self._past:
            earlier[start] = obs[start]
        return self._past[0]

    def _worst(self, obs: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Of all changes that are tried, the one that moves each decision most; where none does, the observation."""
        clean = choose_actions(self._policy, obs, True, mask, None)
        worst, most = obs.copy(), np.zeros(len(obs))
        flat, size = obs.reshape(len(obs), -1).astype(np.float32), self._perturbation.size
        tried = list(random_changes(flat, size, DRAWS, self._rng))
        if self._has_lead(flat, mask):
            tried += gradient_changes(flat, size, STEPS, lambda changed: self._gradients(changed, obs.shape, size))
        for changed in tried:
            candidate = within(self._space, changed.reshape(obs.shape))  # type: ignore[arg-type]
            moved = self._moved(candidate, clean, mask)
            better = moved > most
            worst[better], most[better] = candidate[better], moved[better]
        return worst

    def _moved(self, obs: np.ndarray, clean: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """`[N]` how far the actions are from those on the observations as they are."""
        actions = choose_actions(self._policy, obs, True, mask, None)
        difference = np.asarray(actions, np.float64) - np.asarray(clean, np.float64)
        if difference.ndim == 1:
            return (difference != 0).astype(float)
        return np.abs(difference).reshape(len(obs), -1).max(axis=1)

    def _has_lead(self, flat: np.ndarray, mask: np.ndarray | None) -> bool:
        return mask is None and flat.shape[1] <= MAX_NUMBERS and hasattr(self._policy, "probabilities")

    def _gradients(self, flat: np.ndarray, shape: tuple[int, ...], size: float) -> np.ndarray:
        """`[N, D]` of the logarithmic lead of the best action over the second, by central differences."""
        count, width = flat.shape
        steps = np.float32(size / 10) * np.eye(width, dtype=np.float32)
        rows = (flat[:, None, None] + np.stack([steps, -steps])).reshape(-1, width)
        leads = self._leads(rows.reshape(-1, *shape[1:])).reshape(count, 2, width)
        return leads[:, 0] - leads[:, 1]

    def _leads(self, obs: np.ndarray) -> np.ndarray:
        policy: Any = self._policy
        two = np.sort(np.maximum(policy.probabilities(obs), _SMALLEST), axis=1)[:, -2:]
        return np.log(two[:, -1]) - np.log(two[:, 0])


def _require_change(perturbation: Perturbation, spaces: Spaces) -> None:
    """Check that a perturbation can change observations.

    Raises:
        InputError: it cannot.
    """
    kind, size, space = perturbation.kind, perturbation.size, as_it_is(spaces.observation)
    if kind == "delay":
        return
    boxes = [space] if isinstance(space, gym.spaces.Box) else [] if kind == "adversarial" else _boxes(space)
    if not boxes:
        parts = "numbers of a Box" if kind == "adversarial" else "numbers of a Box, also in a Dict or Tuple"
        raise InputError(
            f"under: {kind} is not possible, since it changes {parts}, and observations of {spaces.title} are "
            f"{type(space).__name__}: use delay, or remove it"
        )
    least = _LEAST_FOR_INTEGERS.get(kind, 0.0)
    if size < least and any(np.dtype(box.dtype).kind in "iu" for box in boxes):
        raise InputError(
            f"under: {kind} {number(size)} leaves integers as they are, and observations of {spaces.title} have "
            f"integers: give at least {number(least)}"
        )


def _boxes(space: gym.Space) -> list[gym.spaces.Box]:
    """The Boxes in a space of any depth."""
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        parts = space.values() if isinstance(space, gym.spaces.Dict) else space
        return [box for part in parts for box in _boxes(part)]
    return [space] if isinstance(space, gym.spaces.Box) else []


def _may_remember(policy: Policy) -> bool:
    """Whether actions may depend on earlier calls: those of a policy that hears of starts, unless it says otherwise."""
    return getattr(policy, "has_memory", "episode_start" in inspect.signature(policy.act).parameters)
