"""Any Gymnasium environment by id, stepped as N copies in one process."""

from __future__ import annotations

import importlib
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from pydantic import Field

from rl_eval.envs.base import EnvConfig
from rl_eval.errors import InputError, nearest

OUTCOME = ("native_reward",)
SELECT_METRIC = "mean_return"
BASELINES: dict[str, Any] = {}


class Config(EnvConfig):
    """Which environment, and what counts as success in it."""

    name: Literal["gym"] = "gym"
    id: str = Field("CartPole-v1", description="Gymnasium id; `module:Env-v0` imports the module first")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="passed to gymnasium.make")
    success_return: float | None = Field(None, description="an episode with at least this return is a success")


def gate_episodes(config: Config) -> int | None:
    """Gymnasium's environments draw their start states: there is no finite gate set."""
    return None


select_episodes = gate_episodes


def fingerprints(config: Config) -> dict[str, str]:
    """No data files, so no fingerprints."""
    return {}


def _spec(config: Config) -> gym.envs.registration.EnvSpec:
    module, _, env_id = config.id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except Exception as error:  # its code is not ours: whatever it raises
            raise InputError(
                f"env.id={config.id!r}: the module {module!r} cannot be imported ({_line(error)})"
            ) from error
    try:
        return gym.spec(env_id)
    except gym.error.Error as error:
        known = [name for name in gym.registry if not name.startswith(("phys2d/", "tabular/"))]
        raise InputError(
            f"env.id={config.id!r} is not registered with Gymnasium: {nearest(env_id, known)}"
            "list the ids with `python -c 'import gymnasium; gymnasium.pprint_registry()'`"
        ) from error


def _line(error: Exception) -> str:
    """Another library's message on one line, with the kind of error where the message alone says little."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if isinstance(error, LookupError) or not text else text


def make(config: Config, *, n_envs: int, part: str, autoreset: bool = True) -> VectorEnv:
    """N copies of the environment; `part` has no meaning here, since seeds keep the parts apart.

    Raises:
        InputError: unknown id, wrong kwargs, missing dependency, or a space that is not supported.
    """
    spec = _spec(config)
    try:
        copies = [gym.make(spec, disable_env_checker=True, **config.kwargs) for _ in range(n_envs)]
    except Exception as error:  # environments check their kwargs with whatever they like
        raise InputError(
            f"env.id={config.id!r} with env.kwargs={config.kwargs!r} cannot be made: {_line(error)}"
        ) from error
    if isinstance(copies[0].observation_space, gym.spaces.Discrete):
        copies = [gym.wrappers.FlattenObservation(env) for env in copies]  # one-hot
    return GymnasiumVector(copies, autoreset=autoreset)


class GymnasiumVector(VectorEnv):
    """N Gymnasium environments behind preallocated arrays.

    Unlike `SyncVectorEnv` it copies nothing twice, reads infos only where an episode ended, and
    `infos["final_obs"]` is one array `[N, ...]`.
    """

    def __init__(self, copies: list[gym.Env], *, autoreset: bool = True):
        first = copies[0]
        space = first.observation_space
        if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
            raise InputError(
                f"not supported: observations of {type(space).__name__} with shape {space.shape}; "
                "flat Box and Discrete observations are"
            )
        if not isinstance(first.action_space, gym.spaces.Box | gym.spaces.Discrete):
            raise InputError(
                f"not supported: actions of {type(first.action_space).__name__}; Box and Discrete actions are"
            )
        self.copies = copies
        self.num_envs = len(copies)
        self.single_observation_space, self.single_action_space = space, first.action_space
        self.observation_space = batch_space(space, self.num_envs)
        self.action_space = batch_space(first.action_space, self.num_envs)
        self.autoreset = autoreset
        mode = AutoresetMode.SAME_STEP if autoreset else AutoresetMode.DISABLED
        self.metadata = {**first.metadata, "autoreset_mode": mode}
        self.spec = first.spec
        n = self.num_envs
        self._obs = np.zeros((n, *space.shape), space.dtype)
        self._final_obs = np.zeros_like(self._obs)
        self._idle = np.full(n, not autoreset)  # under DISABLED, a copy that was never reset has nothing to play

    def reset(self, *, seed=None, options=None):
        """Start every copy, or those in `options["reset_mask"]`; `seed` is one int or a list of N."""
        mask = np.ones(self.num_envs, bool) if not options else options.get("reset_mask", np.ones(self.num_envs, bool))
        if seed is None or isinstance(seed, int | np.integer):
            seed = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        for i in np.flatnonzero(mask):
            self._obs[i], _ = self.copies[i].reset(seed=seed[i])
        self._idle[mask] = False
        return self._obs.copy(), {}

    def step(self, actions):
        """Step every copy that is not idle; see `rl_eval.envs` for the autoreset contract."""
        n = self.num_envs
        rewards = np.zeros(n, np.float64)
        terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
        for i, env in enumerate(self.copies):
            if self._idle[i]:
                continue
            obs, rewards[i], terminated[i], truncated[i], _ = env.step(actions[i])
            if terminated[i] or truncated[i]:
                self._final_obs[i] = obs
                if self.autoreset:
                    obs, _ = env.reset()
                else:
                    self._idle[i] = True
            self._obs[i] = obs
        infos: dict[str, Any] = {"outcome": {"native_reward": rewards}}
        done = terminated | truncated
        if done.any():
            infos["final_obs"], infos["_final_obs"] = self._final_obs.copy(), done
        return self._obs.copy(), rewards.copy(), terminated, truncated, infos

    def close_extras(self, **kwargs):
        """Close every copy."""
        for env in self.copies:
            env.close()
