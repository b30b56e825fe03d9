"""Trivial policies, which any training must beat: random, constant and untrained."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError
from rl_eval.policy._actions import actions_from
from rl_eval.policy._fixed_batches import ROWS, filled
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._source import Source


def _finite_bounds(box: gym.Space) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of a Box, with a large number where there is none."""
    assert isinstance(box, gym.spaces.Box)
    return np.maximum(box.low, -1e6), np.minimum(box.high, 1e6)


class Random:
    """A uniform draw from the action space, whatever the observation."""

    def __init__(self, action: gym.Space, seed: int):
        self._action, self._rng = action, np.random.default_rng(seed)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """`[N]` or `[N, A]` independent actions, uniform over those that `mask` `[N, A]` allows."""
        n = len(obs)
        if isinstance(self._action, gym.spaces.Discrete):
            if mask is not None:
                return np.where(mask, self._rng.random(mask.shape), -1.0).argmax(axis=1) + self._action.start
            return self._rng.integers(self._action.start, self._action.start + self._action.n, n)
        low, high = _finite_bounds(self._action)
        return self._rng.uniform(low, high, (n, *low.shape)).astype(self._action.dtype)


class Constant:
    """The same action for every observation.

    On a Box, `low`, `middle`, `high` or one number for every component. Where the action is not legal, it takes the
    lowest legal action instead.
    """

    def __init__(self, action: gym.Space, value: str):
        self._action = action
        if isinstance(action, gym.spaces.Discrete):
            first, last = int(action.start), int(action.start + action.n - 1)
            if not re.fullmatch("-?[0-9]+", value) or not first <= int(value) <= last:
                raise InputError(f"policy constant:{value} is not an action: the actions are {first} to {last}")
            self._value: np.ndarray = np.asarray(int(value))
        else:
            assert isinstance(action, gym.spaces.Box)
            low, high = _finite_bounds(action)
            points = {"low": low, "middle": (low + high) / 2, "high": high}
            try:
                point = points[value] if value in points else np.full(low.shape, float(value))
            except ValueError:
                point = np.full(low.shape, np.nan)
            point = point.astype(np.result_type(action.dtype, np.float32))  # a float32 bound of .7 is not .7 in float64
            if not (np.isfinite(point) & (action.low <= point) & (point <= action.high)).all():
                raise InputError(
                    f"policy constant:{value} is not an action: give low, middle, high or one number "
                    f"from {action.low.max():g} to {action.high.min():g}"
                )
            self._value = point.astype(action.dtype)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """The constant, `[N]` or `[N, A]`; the lowest legal action where `mask` `[N, A]` does not allow it."""
        actions = np.broadcast_to(self._value, (len(obs), *self._value.shape)).copy()
        if mask is None:
            return actions
        assert isinstance(self._action, gym.spaces.Discrete)
        start = self._action.start
        legal = mask[np.arange(len(obs)), actions - start]
        return np.where(legal, actions, mask.argmax(axis=1) + start)


class Untrained:
    """A network with the weights that training starts from.

    Two layers of 64 tanh units, orthogonal weights with gains √2 and, for the last, .01 (Engstrom et al.
    2020), standard deviation 1; in numpy, so that a suite can be played by it without torch.
    """

    def __init__(self, observation: gym.Space, action: gym.Space, initialisation: int, seed: int):
        rng = np.random.default_rng([0x1A17, initialisation])
        sizes = [int(gym.spaces.flatdim(observation)), 64, 64]
        outputs = int(gym.spaces.flatdim(action))
        hidden = [_orthogonal(*shape, 2**0.5, rng) for shape in pairwise(sizes)]
        for shape in pairwise(sizes):  # the critic's, drawn before the head and not needed
            _orthogonal(*shape, 2**0.5, rng)
        self._layers, self._head = hidden, _orthogonal(64, outputs, 0.01, rng)
        self._action, self._rng = action, np.random.default_rng(seed)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """Actions `[N]` or `[N, A]`: the mode when greedy, else a sample; of those that `mask` `[N, A]` allows."""
        features = filled(np.asarray(obs, np.float32).reshape(len(obs), -1))
        features = features.reshape(-1, ROWS, features.shape[1])  # numpy multiplies one batch at a time
        for weights in self._layers:
            features = np.tanh(features @ weights)
        parameters = (features @ self._head).reshape(-1, self._head.shape[1])[: len(obs)]
        if mask is not None:
            parameters = np.where(mask, parameters, -np.inf)
        return actions_from(parameters, np.ones(1, np.float32), self._action, None if greedy else self._rng)


def _orthogonal(inputs: int, outputs: int, gain: float, rng: np.random.Generator) -> np.ndarray:
    """`[inputs, outputs]` orthogonal rows or columns times `gain`, float32; Saxe et al. 2014."""
    q, r = np.linalg.qr(rng.standard_normal((max(inputs, outputs), min(inputs, outputs))))
    q *= np.sign(np.diag(r))  # makes the draw uniform over orthogonal matrices
    return ((q.T if outputs >= inputs else q) * gain).astype(np.float32)


class RandomSource(Source):
    """Legal actions, drawn uniformly."""

    prefix = "random"
    usage = "random"
    is_seeded = True
    prefix_alone = True

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """Uniform draws from the action space."""
        if rest:
            raise InputError(f"policy {spec!r} is not valid: random takes nothing after it")
        return Random(spaces.action, seed)

    def identity(self, rest: str) -> str | None:
        """A hash of its name."""
        return digest(self.prefix, rest)

    def is_cacheable(self, rest: str) -> bool:
        """Yes: this package holds it."""
        return True


class ConstantSource(Source):
    """The same action for every observation. `constant:*` in a suite is every constant."""

    prefix = "constant"
    usage = "constant:<a>"
    is_seeded = True
    acts_alone = True

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The same action for every observation."""
        return Constant(spaces.action, rest)

    def identity(self, rest: str) -> str | None:
        """A hash of its action, 1 and 1.0 being one."""
        try:
            return digest(self.prefix, repr(float(rest) + 0.0))  # -0 becomes 0
        except ValueError:
            return digest(self.prefix, rest)

    def is_cacheable(self, rest: str) -> bool:
        """Yes: this package holds it."""
        return True


class UntrainedSource(Source):
    """A network before training; `untrained:<k>` is its k-th initialisation."""

    prefix = "untrained"
    usage = "untrained"
    is_seeded = True
    acts_alone = True
    prefix_alone = True

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """A network before training."""
        if not re.fullmatch("[0-9]{0,9}", rest):
            raise InputError(f"policy {spec} is not valid: give untrained, or untrained:<k> with k = 0, 1, 2, …")
        return Untrained(spaces.observation, spaces.action, int(rest or 0), seed)

    def identity(self, rest: str) -> str | None:
        """A hash of its number, 0 if none is given."""
        return digest(self.prefix, rest.lstrip("0"))

    def is_cacheable(self, rest: str) -> bool:
        """Yes: this package holds it."""
        return True
