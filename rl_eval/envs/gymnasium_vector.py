"""`GymnasiumVector`: N copies of a Gymnasium environment behind preallocated arrays, stepped in one process."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rl_eval.envs.copies import require_flat
from rl_eval.envs.copy_arrays import ArrayLayout, CopyArrays
from rl_eval.envs.copy_group import CopyGroup
from rl_eval.errors import InputError


class GymnasiumVector(VectorEnv):
    """N Gymnasium environments behind preallocated arrays; with autoreset, for training, only flat ones.

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
