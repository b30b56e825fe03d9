"""Check what an environment returned against its spaces; each violation is one sentence.

A single environment is checked by `SingleChecks` and a vector by `VectorChecks`. Both first ask what is right in nearly
every step and costs least, and look for the culprit only where that fails.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from rl_eval.envs.space_values import (
    NUMBERS,
    NotInSpaceError,
    as_observation,
    checked_value,
    describe,
    mask_size,
    space_text,
)
from rl_eval.errors import InputError

_RESET_RETURNS = "reset must return a tuple (observation, info)"
_STEP_RETURNS = "step must return a tuple (observation, reward, terminated, truncated, info)"


def is_finite(flat: np.ndarray) -> bool:
    """Whether all numbers of an array `[M]` are finite; usually one product shows it."""
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(flat).all())


def name_of(env: gym.Env | VectorEnv) -> str:
    """The id of an environment, or the name of its class."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


class SingleChecks:
    """Checks of what single environments return."""

    def __init__(self, env: gym.Env):
        self.space = env.observation_space
        self._dtype, self._shape = self.space.dtype, self.space.shape
        self._is_float = self._dtype is not None and self._dtype.kind == "f"
        self.name = name_of(env)
        self.steps = 0  # of the copies so far

    def observation(self, value: Any, copy: int, call: str = "step") -> Any:
        """An observation in the type of the space, finite.

        Raises:
            InputError: the space does not allow it.
        """
        if not isinstance(self.space, gym.spaces.Box):
            try:
                return checked_value(self.space, value)
            except NotInSpaceError as error:
                when = f"in step {self.steps}" if call == "step" else "on reset"
                raise InputError(
                    f"environment {self.name!r} returned an observation {when} of copy {copy} that its space does not "
                    f"allow: {error}"
                ) from error
        is_right = value.__class__ is np.ndarray and value.dtype is self._dtype and value.shape == self._shape
        obs = value if is_right else as_observation(value, self.space)
        if obs is None:
            raise self.refusal(
                "observation", value, copy, call, f"its space {space_text(self.space)} needs that shape and type"
            )
        if self._is_float and not is_finite(obs.reshape(-1)):
            raise self.refusal("observation", value, copy, call, "every number must be finite", finite=False)
        return obs

    def restart(self, returned: Any, copy: int) -> tuple[Any, Mapping[str, Any]]:
        """The observation, not yet checked, and the info that `reset` returned.

        Raises:
            InputError: it returned something else.
        """
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            kind = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else describe(returned)
            raise InputError(f"environment {self.name!r} returned {kind} on reset of copy {copy}: {_RESET_RETURNS}")
        obs, info = returned
        self.info(info, copy, "reset")
        return obs, info

    def info(self, value: Any, copy: int, call: str = "step") -> None:
        """Check that `info` is a mapping.

        Raises:
            InputError: it is something else.
        """
        if not isinstance(value, Mapping):
            raise self.refusal("info", value, copy, call, "it must be a dict")

    def unpacking(self, error: Exception, copy: int, call: str = "step") -> None:
        """Check that an error is not about how many values the environment returned.

        Raises:
            InputError: Gymnasium's wrappers, or the caller, could not unpack them.
        """
        if not isinstance(error, TypeError | ValueError) or "unpack" not in str(error) or error.__traceback__ is None:
            return
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").startswith(("gymnasium.", "rl_eval.envs.")):
            when = f"in step {self.steps}" if call == "step" else "on reset"
            raise InputError(
                f"environment {self.name!r} returned another number of values {when} of copy {copy} ({error}): "
                f"{_STEP_RETURNS if call == 'step' else _RESET_RETURNS}"
            ) from error

    def rewards(self, values: Sequence[Any], first: int) -> np.ndarray:
        """Rewards `[N]` of copies `first` and after.

        Raises:
            InputError: one is not a finite number.
        """
        rewards = _array(values)
        if rewards is None or rewards.ndim != 1 or rewards.dtype.kind not in NUMBERS or not is_finite(rewards):
            for copy, value in enumerate(values, first):
                array = np.asarray(value)
                number = array.ndim == 0 and array.dtype.kind in NUMBERS
                if not number or not np.isfinite(array):
                    raise self.refusal("reward", value, copy, "step", "it must be one finite number", finite=not number)
            return np.array([float(value) for value in values])
        return rewards

    def flags(self, name: str, values: Sequence[Any], first: int) -> np.ndarray:
        """`terminated` or `truncated` `[N]` of copies `first` and after.

        Raises:
            InputError: one is not a bool.
        """
        flags = _array(values)
        if flags is None or flags.ndim != 1 or flags.dtype != bool:
            for copy, value in enumerate(values, first):
                if not isinstance(value, bool | np.bool_):
                    raise self.refusal(name, value, copy, "step", "it must be one bool")
            return np.array([bool(value) for value in values])
        return flags

    def refusal(self, what: str, value: Any, copy: int, call: str, needed: str, *, finite: bool = True) -> InputError:
        """The sentence on a value that is not allowed."""
        when = f"in step {self.steps}" if call == "step" else "on reset"
        kind = describe(value) if finite else f"{describe(value)} with a number that is not finite"
        named = f"the {what} {kind}" if what in ("observation", "reward") else f"{what}={kind}"
        return InputError(f"environment {self.name!r} returned {named} {when} of copy {copy}: {needed}")


def _array(values: Sequence[Any]) -> np.ndarray | None:
    try:
        return np.array(values)
    except (TypeError, ValueError):  # of different shapes
        return None


class VectorChecks:
    """Checks of what a vector of N copies returns; see `rl_eval.domains.Domain.make`."""

    def __init__(self, vector: VectorEnv):
        space = vector.single_observation_space
        self.name, self.steps, self._n = name_of(vector), 0, vector.num_envs
        self._row = (vector.num_envs,)  # the shape of one value per copy
        self._space = space if isinstance(space, gym.spaces.Box) else None
        self._shape = None if self._space is None else (vector.num_envs, *self._space.shape)
        self._dtype = None if self._space is None else self._space.dtype
        self._actions = mask_size(vector.single_action_space)
        self._same_step = vector.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP
        self._masked: bool | None = None  # not known of a vector that goes on from a saved state

    def reset(self, obs: Any, infos: Any) -> None:
        """Check what `reset` returned.

        Raises:
            InputError: it is something else.
        """
        self._observations("observations", obs, "on reset", None)
        if not isinstance(infos, Mapping):
            raise self._refusal("infos", infos, "on reset", "it must be a dict")
        self._masked = infos.get("action_mask") is not None
        self._mask(infos, "on reset")

    def step(
        self, obs: Any, rewards: Any, terminated: Any, truncated: Any, infos: Any, playing: np.ndarray | None = None
    ) -> None:
        """Check what `step` returned.

        Args:
            playing: bool `[N]`, copies whose numbers must be finite; None: all.

        Raises:
            InputError: it is something else.
        """
        self.steps += 1
        when = f"in step {self.steps}"
        for name, flags in (("terminated", terminated), ("truncated", truncated)):
            if flags.__class__ is not np.ndarray or flags.dtype != bool or flags.shape != self._row:
                raise self._refusal(name, flags, when, f"it must be bool {self._row}")
        self._numbers("rewards", rewards, when, playing)
        self._observations("observations", obs, when, playing)
        outcome = infos.get("outcome") if isinstance(infos, Mapping) else None
        if not isinstance(outcome, Mapping) or not outcome:
            raise self._refusal(
                "infos['outcome']", outcome, when, "it must be a dict of its facts, arrays of one row per copy"
            )
        for name, facts in outcome.items():
            if facts.__class__ is not np.ndarray or facts.shape != self._row or facts.dtype.kind not in NUMBERS:
                raise self._refusal(f"fact {name!r}", facts, when, f"it must be numbers of shape {self._row}")
        if self._masked is None:
            self._masked = infos.get("action_mask") is not None
        if self._masked or infos.get("action_mask") is not None:
            self._mask(infos, when)
        if self._same_step and truncated.any():
            self._final(infos, truncated & ~terminated, when)

    def _observations(self, what: str, obs: Any, when: str, playing: np.ndarray | None) -> None:
        if self._space is None:
            return
        if obs.__class__ is not np.ndarray or obs.shape != self._shape or obs.dtype is not self._dtype:
            array = np.asarray(obs)
            if (
                array.shape != self._shape
                or array.dtype.kind not in NUMBERS
                or not np.can_cast(array.dtype, self._space.dtype, "same_kind")
            ):
                raise self._refusal(what, obs, when, f"its space needs {self._space.dtype} {self._shape}")
        self._finite(what, obs, when, playing)

    def _numbers(self, what: str, values: Any, when: str, playing: np.ndarray | None) -> None:
        if values.__class__ is not np.ndarray or values.shape != self._row or values.dtype.kind not in NUMBERS:
            raise self._refusal(what, values, when, f"it must be numbers of shape {self._row}")
        self._finite(what, values, when, playing)

    def _finite(self, what: str, values: Any, when: str, playing: np.ndarray | None) -> None:
        if values.dtype.kind == "f" and not is_finite(values.reshape(-1)):
            bad = ~np.isfinite(values.reshape(self._n, -1)).all(axis=1)
            bad &= True if playing is None else playing
            if bad.any():
                copy = int(bad.argmax())
                raise self._refusal(what, values, when, f"copy {copy} has a number that is not finite")

    def _final(self, infos: Mapping[str, Any], rows: np.ndarray, when: str) -> None:
        """`final_obs` of the copies that were truncated."""
        if not rows.any() or self._space is None:
            return
        final = infos.get("final_obs")
        if not isinstance(final, np.ndarray | list | tuple) or len(final) != self._n:
            raise self._refusal("infos['final_obs']", final, when, "it must hold what truncated episodes ended on")
        for copy in np.flatnonzero(rows):
            obs = as_observation(final[copy], self._space)
            if obs is None:
                raise self._refusal(
                    f"final_obs of copy {copy}", final[copy], when, f"its space is {space_text(self._space)}"
                )
            if obs.dtype.kind == "f" and not is_finite(obs.reshape(-1)):
                raise self._refusal(f"final_obs of copy {copy}", final[copy], when, "every number must be finite")

    def _mask(self, infos: Mapping[str, Any], when: str) -> None:
        mask = infos.get("action_mask")
        if mask is None and not self._masked:
            return
        if mask is None or not self._masked:
            first = "on reset and none" if self._masked else "and none on reset"
            raise InputError(
                f"environment {self.name!r} gave infos['action_mask'] {first} {when}: give it on both, or never"
            )
        needed = (self._n, self._actions)
        if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != needed or not self._actions:
            raise self._refusal("infos['action_mask']", mask, when, f"it must be bool {needed}, of Discrete actions")

    def _refusal(self, what: str, value: Any, when: str, needed: str) -> InputError:
        return InputError(f"environment {self.name!r} returned {what} {describe(value)} {when}: {needed}")
