"""Trivial policies, which any training must beat: random, constant and untrained."""

from __future__ import annotations

import copy
import re
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import as_rows, legal_parts, space_text
from rl_eval.errors import InputError
from rl_eval.policy._any_actions import actions_of_outputs, draws, has_points, largest_parts, point
from rl_eval.policy._fixed_batches import ROWS, filled
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._source import Source


class Random:
    """A uniform draw from the action space, for every observation."""

    def __init__(self, action: gym.Space, seed: int):
        self._action, self._rng = copy.deepcopy(action), np.random.default_rng(seed)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """N independent actions as rows, uniform over those that `mask` `[N, A]` allows."""
        return draws(self._action, len(obs), self._rng, mask)


class Constant:
    """The same action for every observation.

    `low`, `middle` or `high` of the action space; of a Box also one number for every component, of Discrete actions
    only a number. Where the action is not legal, it takes the lowest legal action instead.

    Raises:
        InputError: it is not an action.
    """

    def __init__(self, action: gym.Space, value: str):
        self._action = action
        if isinstance(action, gym.spaces.Discrete):
            first, last = int(action.start), int(action.start + action.n - 1)
            if not re.fullmatch("-?[0-9]+", value) or not first <= int(value) <= last:
                raise InputError(f"policy constant:{value} is not an action: the actions are {first} to {last}")
            self._value: Any = np.asarray(int(value))
        elif isinstance(action, gym.spaces.Box):
            self._value = _box_point(action, value)
        else:
            if not has_points(action) or value not in ("low", "middle", "high"):
                points = "give low, middle or high" if has_points(action) else "no number is one"
                raise InputError(f"policy constant:{value} is not an action of {space_text(action)}: {points}")
            self._value = point(action, value)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """The constant as rows; the lowest legal action where `mask` `[N, A]` does not allow it."""
        actions = as_rows(self._action, [self._value] * len(obs))
        if mask is None:
            return actions
        legal = legal_parts(self._action, actions, mask)
        if isinstance(self._action, gym.spaces.MultiDiscrete):  # the lowest legal one where a part is not legal
            return np.where(legal, actions, largest_parts(self._action, mask.astype(np.float64)))
        assert isinstance(self._action, gym.spaces.Discrete)
        return np.where(legal, actions, mask.argmax(axis=1) + self._action.start)


def _box_point(action: gym.spaces.Box, value: str) -> np.ndarray:
    """A point of a Box by its name, or by one number for every component."""
    names = ("low", "middle", "high")
    try:
        wide = np.result_type(action.dtype, np.float32)  # a float32 bound of .7 is not .7 in float64
        found = point(action, value) if value in names else np.full(action.shape, float(value)).astype(wide)
    except ValueError:
        found = np.full(action.shape, np.nan)
    if np.dtype(action.dtype).kind in "iu":
        found = np.where(found == np.rint(found), found, np.nan)
    if not (np.isfinite(found) & (action.low <= found) & (found <= action.high)).all():
        raise InputError(
            f"policy constant:{value} is not an action: give low, middle, high or one number "
            f"from {action.low.max():g} to {action.high.min():g}"
        )
    return found.astype(action.dtype)


class Untrained:
    """A network with the weights that training starts from.

    Two layers of 64 tanh units, orthogonal weights with gains √2 and, for the last, .01 (Engstrom et al.
    2020), standard deviation 1; in numpy, so that a suite can be played by it without torch.
    """

    def __init__(self, observation: gym.Space, action: gym.Space, initialisation: int, seed: int):
        if not (observation.is_np_flattenable and has_points(action)):
            raise InputError(
                f"policy untrained is not supported on observations in {space_text(observation)} and actions in "
                f"{space_text(action)}: use random"
            )
        rng = np.random.default_rng([0x1A17, initialisation])
        self._observation = observation
        sizes = [int(gym.spaces.flatdim(observation)), 64, 64]
        outputs = int(gym.spaces.flatdim(action))
        hidden = [_orthogonal(*shape, 2**0.5, rng) for shape in pairwise(sizes)]
        for shape in pairwise(sizes):  # the critic's, drawn before the head and not needed
            _orthogonal(*shape, 2**0.5, rng)
        self._layers, self._head = hidden, _orthogonal(64, outputs, 0.01, rng)
        self._action, self._rng = action, np.random.default_rng(seed)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """Actions `[N]` or `[N, A]`: the mode when greedy, else a sample; of those that `mask` `[N, A]` allows."""
        if obs.dtype.hasobject or not isinstance(self._observation, gym.spaces.Box):
            obs = np.array([gym.spaces.flatten(self._observation, one) for one in obs], np.float32)
        features = filled(np.asarray(obs, np.float32).reshape(len(obs), -1))
        features = features.reshape(-1, ROWS, features.shape[1])
        for weights in self._layers:
            features = np.tanh(_product(features, weights))
        parameters = _product(features, self._head).reshape(-1, self._head.shape[1])[: len(obs)]
        if mask is not None:
            parameters = np.where(mask, parameters, -np.inf)
        return actions_of_outputs(self._action, parameters, np.ones(1, np.float32), None if greedy else self._rng)


def _product(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`features @ weights` without BLAS, whose kernels may treat a row by its place among the others."""
    return np.einsum("bnk,km->bnm", features, weights)


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
    acts_for_agents = True
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
    acts_for_agents = True
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
    acts_for_agents = True
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
