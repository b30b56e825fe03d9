"""`EnvPoolVector`: copies of a Gymnasium environment stepped by EnvPool, in C++ and in threads; only for training.

Weng et al., *EnvPool: A highly parallel reinforcement learning environment execution engine*, NeurIPS 2022
(arXiv 2206.10558). It draws its start states differently from Gymnasium, so the two agree in distribution,
not step by step.
"""

from __future__ import annotations

import importlib.util
import operator
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rl_eval.envs.process_count import cores, is_worker

# Their EnvPool counterparts behave alike, which tests show; with flat observations.
_EQUAL = ("gymnasium.envs.classic_control.", "gymnasium.envs.box2d.")
_THREADS = 2


def installed() -> bool:
    """Whether EnvPool is installed; without loading it."""
    return importlib.util.find_spec("envpool") is not None


def task_of(spec: EnvSpec, kwargs: Mapping[str, Any]) -> str | None:
    """The id under which EnvPool has the same environment, in the same version; None if it has none.

    EnvPool takes no kwargs, so they must be those of an id: one id has `continuous: true`, say, and another has not.
    """
    if not isinstance(spec.entry_point, str) or not spec.entry_point.startswith(_EQUAL) or not spec.max_episode_steps:
        return None
    import envpool

    full_kwargs = {**spec.kwargs, **kwargs}
    full_kwargs.pop("max_episode_steps", None)
    envpool_ids = set(envpool.list_all_envs())
    ids = [s.id for s in gym.registry.values() if s.entry_point == spec.entry_point and s.kwargs == full_kwargs]
    return next((name for name in sorted(ids, key=lambda name: name != spec.id) if name in envpool_ids), None)


class EnvPoolVector(VectorEnv):
    """N copies in one pool, with NEXT_STEP autoreset: the step after an episode's end ignores its action.

    A pool steps all its copies in order, so its results depend only on the seeds, not on its threads. It
    cannot be given new seeds: `reset(seed=...)` builds another.

    Args:
        task: the id that EnvPool knows it by.
        env: one copy made by Gymnasium, for its spaces and its time limit; closed here.
        threads: that step the copies.
    """

    backend = "envpool"

    def __init__(self, task: str, env: gym.Env, num_envs: int, threads: int):
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = env.observation_space, env.action_space
        self.observation_space = batch_space(env.observation_space, num_envs)
        self.action_space = batch_space(env.action_space, num_envs)
        self.spec = env.spec
        self.metadata = {**env.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}
        env.close()
        self._task, self._threads = task, threads
        assert env.spec is not None  # gymnasium.make set it
        assert env.spec.max_episode_steps is not None  # task_of names no other
        self._limit = env.spec.max_episode_steps
        self._pool: Any = None
        self._cut = np.zeros(num_envs, bool)  # truncated in the last step

    def reset(self, *, seed=None, options=None):
        """Start every copy; `seed` is one int or a list of N. Without one, the random streams go on."""
        if options:
            raise ValueError(f"options={options!r}: EnvPool takes no options")
        if seed is None and self._pool is None:
            seed = (np.random.SeedSequence().generate_state(self.num_envs) >> 1).tolist()
        if seed is not None:
            seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
            self._build([operator.index(one) for one in seeds])
        self._cut[:] = False
        obs, _ = self._pool.reset()
        return obs, {}

    def _build(self, seeds: list[int]) -> None:
        import envpool

        self.close_extras()
        with warnings.catch_warnings():  # about the type of bounds that are not used
            warnings.simplefilter("ignore")
            self._pool = envpool.make_gymnasium(
                self._task,
                num_envs=self.num_envs,
                batch_size=self.num_envs,
                num_threads=self._threads,
                seed=seeds,
                # It calls an episode truncated that terminates in its last step. So the limit is kept here,
                # and the pool's own is one step further.
                max_episode_steps=self._limit + 1,
            )
            _ = self._pool.observation_space  # computed and cached here, with the warnings silenced

    def step(self, actions):
        """Step every copy; one whose episode ended in the last step starts its next one, with a reward of 0."""
        obs, rewards, terminated, _, infos = self._pool.step(np.asarray(actions))
        rewards, elapsed = rewards.astype(np.float64), infos["elapsed_step"]
        truncated = elapsed >= self._limit
        if self._cut.any():  # the pool plays these on
            rows = np.flatnonzero(self._cut)
            obs[rows], _ = self._pool.reset(rows.astype(np.int32))
            rewards[rows], terminated[rows], truncated[rows] = 0.0, False, False
        self._cut = truncated & ~terminated
        return obs, rewards, terminated, truncated, {"outcome": {"native_reward": rewards.copy()}}

    def close_extras(self, **kwargs):
        """End the pool and its threads."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def threads(num_envs: int) -> int:
    """How many threads step the copies; changes no result."""
    return 1 if is_worker() else min(_THREADS, cores(), num_envs)
