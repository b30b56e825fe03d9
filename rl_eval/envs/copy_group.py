"""`CopyGroup`: some copies of a Gymnasium environment, stepped one after the other into preallocated arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.copies import is_gymnasiums
from rl_eval.envs.copy_arrays import CopyArrays
from rl_eval.envs.returned_values import SingleChecks, is_finite, name_of
from rl_eval.envs.space_values import as_rows, blank, space_text
from rl_eval.errors import InputError


class CopyGroup:
    """Some of the copies, and their rows of the arrays: `first` and those after it."""

    def __init__(self, copies: list[gym.Env], arrays: CopyArrays, first: int, autoreset: bool):
        self.copies, self.arrays, self.first, self.autoreset = copies, arrays, first, autoreset
        arrays.idle[first : first + len(copies)] = not autoreset  # a copy that was never reset has nothing to play
        self.masked = False  # whether the copies give action masks: known from the first reset on
        # Gymnasium's own environments check plain numbers faster than numpy's, and treat both alike; others may not.
        # They also return what their space says, as a test shows, so that not every step needs to be checked.
        space = copies[0].observation_space
        self._own = is_gymnasiums(copies[0].spec) and isinstance(space, gym.spaces.Box) and len(space.shape) == 1
        if arrays.obs.dtype.hasobject:  # a policy gets those of copies that never play too
            arrays.obs[first : first + len(copies)] = as_rows(space, [blank(space)] * len(copies))
        self._mask_methods = _mask_methods(copies, arrays.layout.mask_size)
        self._box = isinstance(space, gym.spaces.Box)
        self._plain = self._own and isinstance(copies[0].action_space, gym.spaces.Discrete)
        self._checks = SingleChecks(copies[0])
        self._obs = arrays.obs[first : first + len(copies)].reshape(-1)  # a view

    def reset(self, rows: Iterable[int], seeds: Iterable[int | None]) -> None:
        """Start the copies of some rows, each with its seed."""
        for row, seed in zip(rows, seeds, strict=True):
            obs, info = self._restart(row, seed=seed)
            self.arrays.obs[row] = self._checks.observation(obs, row, "reset")
            self.arrays.idle[row] = False
            if self._mask_methods or (info.get("action_mask") is not None and self.arrays.layout.mask_size):
                self.masked = True
            if self.masked:
                self.arrays.action_mask[row] = self._legal_actions(row, info)

    def _restart(self, row: int, **seed: Any) -> tuple[Any, Mapping[str, Any]]:
        """The observation and the info of `reset` of one copy."""
        try:
            returned = self.copies[row - self.first].reset(**seed)
        except Exception as error:
            self._checks.unpacking(error, row, "reset")
            raise
        return self._checks.restart(returned, row)

    def step(self, actions: np.ndarray) -> None:
        """Step the copies that are not idle; `actions` `[N, ...]` holds those of all copies.

        Raises:
            InputError: an observation, a reward, an end or an action mask is not what the spaces allow, or a value of
                `info` that should be a fact is not a number.
        """
        arrays, autoreset, row, checks = self.arrays, self.autoreset, self.first, self._checks
        rows = slice(self.first, self.first + len(self.copies))
        acts: Any = actions[rows].tolist() if self._plain and actions.dtype.kind in "iu" else actions[rows]
        obs_of, final_of, masked, has_facts = arrays.obs, arrays.final_obs, self.masked, bool(arrays.layout.facts)
        mask_size = arrays.layout.mask_size
        own, box, ndarray, shape, dtype = self._own, self._box, np.ndarray, obs_of.shape[1:], obs_of.dtype
        rewards, terminations, truncations = [], [], []
        terminated, truncated = False, False
        no_info: dict[str, Any] = {}
        info: Any = no_info
        checks.steps += 1
        if has_facts:
            arrays.facts[:, rows] = np.nan
        steps = zip(self.copies, acts, arrays.idle[rows].tolist(), strict=True)
        try:
            for row, (env, action, idle) in enumerate(steps, self.first):
                reward, terminated, truncated, info = 0.0, False, False, no_info
                if not idle:
                    obs, reward, terminated, truncated, info = env.step(action)  # type: ignore[assignment]
                    if not own and not (box and obs.__class__ is ndarray and obs.dtype is dtype and obs.shape == shape):
                        obs = checks.observation(obs, row)
                    if has_facts:
                        self._record_facts(row, info)
                    if terminated or truncated:
                        final_of[row] = obs if own else checks.observation(obs, row)
                        if masked:
                            arrays.final_action_mask[row] = self._legal_actions(row, info)
                        if autoreset:
                            obs, info = self._restart(row)
                            obs = obs if own else checks.observation(obs, row, "reset")
                        else:
                            arrays.idle[row] = True
                    obs_of[row] = obs
                    if masked:
                        arrays.action_mask[row] = self._legal_actions(row, info)
                    elif mask_size and info.get("action_mask") is not None:
                        raise InputError(
                            "the environment's info has an action_mask after a step, but not after reset: give it "
                            "after both"
                        )
                rewards.append(reward)
                terminations.append(terminated)
                truncations.append(truncated)
        except InputError:
            raise
        except Exception as error:
            checks.unpacking(error, row)
            checks.info(info, row)
            checks.flags("terminated", [terminated], row)  # one that has no truth value ends up here
            checks.flags("truncated", [truncated], row)
            error.add_note(f"in copy {row}")
            raise
        if own:
            arrays.rewards[rows], arrays.terminated[rows], arrays.truncated[rows] = rewards, terminations, truncations
            return
        arrays.rewards[rows] = checks.rewards(rewards, self.first)
        arrays.terminated[rows] = checks.flags("terminated", terminations, self.first)
        arrays.truncated[rows] = checks.flags("truncated", truncations, self.first)
        if dtype.kind == "f" and not is_finite(self._obs):
            for copy, obs in enumerate(obs_of[rows], self.first):
                checks.observation(obs, copy)

    def _legal_actions(self, row: int, info: Mapping[str, Any]) -> np.ndarray:
        """The action mask of one copy, bool `[A]`.

        Raises:
            InputError: there is none, or it is something else.
        """
        methods, count = self._mask_methods, self.arrays.layout.mask_size
        given = info.get("action_mask")
        if given is None and methods:
            given = methods[row - self.first]()
        return _checked_mask(given, count)

    def _record_facts(self, row: int, info: Mapping[str, Any]) -> None:
        for number, name in enumerate(self.arrays.layout.facts):
            value = info.get(name)
            if value is not None:
                self.arrays.facts[number, row] = _fact(name, value)

    def close(self) -> None:
        """Close the copies."""
        for env in self.copies:
            env.close()


def _mask_methods(copies: Sequence[gym.Env], size: int) -> list[Callable[[], Any]]:
    """The methods `action_masks` of environments that have one, which is how sb3-contrib asks for masks; else none.

    Raises:
        InputError: masks of actions that have none here.
    """
    if not copies[0].has_wrapper_attr("action_masks"):
        return []
    if not size:
        raise InputError(
            f"environment {name_of(copies[0])!r} has action_masks() for actions in "
            f"{space_text(copies[0].action_space)}: masks are supported for Discrete and MultiDiscrete actions"
        )
    return [copy.get_wrapper_attr("action_masks") for copy in copies]


def _checked_mask(given: Any, count: int) -> np.ndarray:
    mask = np.asarray(given)
    if (
        mask.shape != (count,)
        or mask.dtype.kind not in "biu"
        or (mask.dtype.kind != "b" and (mask * mask != mask).any())
    ):
        problem = f"is {mask.dtype} {mask.shape}" if given is not None else "is missing"
        raise InputError(
            f"the environment's info['action_mask'] {problem}: after reset and after every step it must hold "
            f"{count} booleans, or zeros and ones"
        )
    return mask


def _fact(name: str, value: Any) -> float:
    """A number or boolean of `info`, also as an array of one.

    Raises:
        InputError: it is something else.
    """
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise InputError(
            f"env.outcome names {name!r}, which the environment's info holds as {type(value).__name__}: "
            "a fact is one number or boolean"
        )
    fact = float(array.item())
    if math.isinf(fact):
        raise InputError(
            f"env.outcome names {name!r}, which the environment's info holds as {fact}: give a finite number"
        )
    return fact
