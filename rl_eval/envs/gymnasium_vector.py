"""`GymnasiumVector`: N copies of a Gymnasium environment behind preallocated arrays, stepped in one process."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rl_eval.envs.copy_arrays import ArrayLayout, CopyArrays
from rl_eval.envs.one_hot import OneHotObservation
from rl_eval.envs.returned_values import SingleChecks, is_finite, name_of
from rl_eval.envs.wrapping import NamedWrapper, wrapped
from rl_eval.errors import InputError


def make_copies(
    spec: EnvSpec, kwargs: dict[str, Any], count: int, wrappers: Sequence[NamedWrapper] = ()
) -> list[gym.Env]:
    """`count` copies of an environment in wrappers; Discrete observations become one-hot vectors.

    Raises:
        InputError: a wrapper does not exist, or does not fit.
        Exception: whatever the environment raises on its kwargs.
    """
    copies = [wrapped(gym.make(spec, disable_env_checker=True, **kwargs), wrappers) for _ in range(count)]
    if copies and isinstance(copies[0].observation_space, gym.spaces.Discrete):
        copies = [OneHotObservation(env) for env in copies]
    return copies


def is_gymnasiums(spec: EnvSpec | None) -> bool:
    """Whether an environment comes with Gymnasium, so that its behaviour is known."""
    if spec is None or not isinstance(spec.entry_point, str) or not spec.entry_point.startswith("gymnasium.envs."):
        return False
    return all(
        wrapper.entry_point.startswith(("gymnasium.", OneHotObservation.__module__))
        for wrapper in spec.additional_wrappers
    )


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
                `info` that is to be a fact is not a number.
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
            f"environment {name_of(copies[0])!r} has action_masks() for actions in {copies[0].action_space}: masks are "
            "supported for Discrete and MultiDiscrete actions"
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


def require_flat(env: gym.Env) -> None:
    """Check that an environment can be trained on; any other can be judged.

    Raises:
        InputError: its observations or actions are not flat.
    """
    space, action = env.observation_space, env.action_space
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        shape = f" of shape {space.shape}" if space.shape else ""
        raise InputError(
            f"training on {name_of(env)!r} is not supported: its observations are {type(space).__name__}{shape}, and "
            "training takes a flat Box or Discrete; `env.wrappers=[FlattenObservation]` flattens many, and a policy "
            "that was trained elsewhere can be judged"
        )
    if not isinstance(action, gym.spaces.Box | gym.spaces.Discrete):
        raise InputError(
            f"training on {name_of(env)!r} is not supported: its actions are {type(action).__name__}, and training "
            "takes Box or Discrete; a policy that was trained elsewhere can be judged"
        )


class GymnasiumVector(VectorEnv):
    """N Gymnasium environments behind preallocated arrays; with autoreset, for training, flat ones alone.

    Unlike `SyncVectorEnv` it copies nothing twice, reads infos only where an episode ended, and
    `infos["final_obs"]` is one array `[N, ...]`.

    Args:
        copies: the copies that this process steps.
        num_envs: N, where other processes step more.
        facts: keys of `info` that are recorded in `infos["outcome"]`, float64, NaN where a step has none.

    Observations are rows `[N, …]` of their space, an object array `[N]` for Dict, Tuple and others; so are actions.

    Raises:
        InputError: training on spaces that are not flat.
    """

    backend = "gymnasium"

    def __init__(
        self,
        copies: list[gym.Env],
        *,
        autoreset: bool = True,
        num_envs: int | None = None,
        facts: Sequence[str] = (),
    ):
        first = copies[0]
        if autoreset:
            require_flat(first)
        space = first.observation_space
        self.num_envs = num_envs or len(copies)
        self.single_observation_space, self.single_action_space = space, first.action_space
        self.observation_space = batch_space(space, self.num_envs)
        self.action_space = batch_space(first.action_space, self.num_envs)
        self.autoreset = autoreset
        mode = AutoresetMode.SAME_STEP if autoreset else AutoresetMode.DISABLED
        self.metadata = {**first.metadata, "autoreset_mode": mode}
        self.spec = first.spec
        self._arrays = self._allocate(ArrayLayout.of(self.num_envs, space, first.action_space, facts))
        self._group = CopyGroup(copies, self._arrays, 0, autoreset)

    def _allocate(self, layout: ArrayLayout) -> CopyArrays:
        return CopyArrays(layout)

    def _reset(self, rows: np.ndarray, seeds: list[int | None]) -> None:
        """Start the copies of these rows, in any process."""
        self._group.reset(rows, seeds)

    def _step(self, actions: np.ndarray) -> None:
        """Step every copy, in any process."""
        self._group.step(actions)

    def reset(self, *, seed=None, options=None):
        """Start every copy, or those in `options["reset_mask"]`; `seed` is one int or a list of N."""
        mask = np.ones(self.num_envs, bool) if not options else options.get("reset_mask", np.ones(self.num_envs, bool))
        if seed is None or isinstance(seed, int | np.integer):
            seed = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        rows = np.flatnonzero(mask)
        self._reset(rows, [None if seed[i] is None else operator.index(seed[i]) for i in rows])
        return self._arrays.obs.copy(), self._masks()

    def step(self, actions):
        """Step every copy that is not idle; see `rl_eval.domains.Domain.make` for the autoreset contract."""
        self._step(np.asarray(actions))
        arrays = self._arrays
        terminated, truncated = arrays.terminated.copy(), arrays.truncated.copy()
        outcome = {"native_reward": arrays.rewards.copy()}
        if arrays.layout.facts:
            outcome |= zip(arrays.layout.facts, arrays.facts.copy(), strict=True)
        infos: dict[str, Any] = {"outcome": outcome}
        infos |= self._masks()
        done = terminated | truncated
        if done.any():
            infos["final_obs"], infos["_final_obs"] = arrays.final_obs.copy(), done
            if self._group.masked:
                infos["final_action_mask"] = arrays.final_action_mask.copy()
                _require_legal_action(infos["final_action_mask"], truncated & ~terminated)
        return arrays.obs.copy(), arrays.rewards.copy(), terminated, truncated, infos

    def _masks(self) -> dict[str, np.ndarray]:
        """The action masks, where the copies give them.

        Raises:
            InputError: a copy that plays has no legal action.
        """
        if not self._group.masked:
            return {}
        mask = self._arrays.action_mask.copy()
        _require_legal_action(mask, ~self._arrays.idle)
        return {"action_mask": mask}

    def close_extras(self, **kwargs):
        """Close every copy."""
        self._group.close()


def _require_legal_action(mask: np.ndarray, rows: np.ndarray) -> None:
    """Check that some rows `[N]` of an action mask `[N, A]` allow an action.

    Raises:
        InputError: one does not.
    """
    empty = rows & ~mask.any(axis=1)
    if empty.any():
        raise InputError(
            f"the environment's action_mask allows no action in copy {int(empty.argmax())}: one must be legal"
        )
