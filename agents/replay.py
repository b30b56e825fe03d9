"""Experience replay: a preallocated ring of transitions of N environment copies, and batches of n-step returns from it.

Each copy has a ring of its own, `[rows]` slots, interleaved with those of the others. A slot holds one step: its
observation, action, reward, and how the episode ended if it did. The observation that a step led to is in the copy's
next slot, so each is stored once. The one that a truncated episode ended on has no step of its own: it gets a slot that
is never drawn. With SAME_STEP autoreset it comes with the truncation, with NEXT_STEP it is the row of the reset.

A transition can be drawn once everything its return needs is there: after n more steps of its copy, or once its
episode has ended. It needs no slot that is older than its own, so overwriting never leaves half a return.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.redis_address import is_address
from agents.replay_observations import ArrayObservations, Observations
from agents.replay_sampling import PrioritizedSampler, UniformSampler
from agents.replay_storage import allocate

TERMINATED, TRUNCATED = 1, 2
count = np.count_nonzero  # of a few flags: a tenth of the time of `any`


@dataclass(frozen=True)
class Batch:
    """B transitions of up to n steps each; floats are float32."""

    obs: np.ndarray  # [B, …]
    actions: np.ndarray  # [B, …]
    returns: np.ndarray  # [B] the discounted sum of up to n rewards
    next_obs: np.ndarray  # [B, …] after the last of these; not used where the discount is 0
    discounts: np.ndarray  # [B] of the value of `next_obs`: γ^k after k steps, 0 after a termination
    weights: np.ndarray  # [B] importance weights, the largest in the buffer 1
    index: np.ndarray  # [B] int64, for `update_priorities`
    next_index: np.ndarray  # [B] int64, the slots of `next_obs`
    next_written: np.ndarray  # [B] int64, env steps when these were written
    age: np.ndarray  # [B] int64, env steps since the transition was added
    masks: np.ndarray | None  # [B, A] bool, the actions that were legal in `obs`; None: all
    next_masks: np.ndarray | None  # [B, A] the same of `next_obs`


class ReplayBuffer:
    """The latest transitions of N copies.

    Args:
        capacity: slots over all copies; what is left of it after whole rows of N is not used. A truncated episode
            takes one slot more than it has steps.
        n_envs: N.
        obs_shape, obs_dtype, action_shape, action_dtype: of one observation and one action.
        gamma: the discount of a step.
        n_step: rewards in a return, where the episode does not end before.
        priority_alpha: α of prioritised replay; None draws uniformly. See `replay_sampling.py`.
        storage: `memory`; `memmap` keeps the ring in a file, its room reserved at once, which is gone with the process;
            the address of a Redis server keeps observations and masks there.
        folder: where that file is; it names what is kept on a server.

    Raises:
        ValueError: an argument is out of range, or the folder or the server cannot take the ring.
    """

    def __init__(
        self,
        capacity: int,
        n_envs: int,
        obs_shape: tuple[int, ...],
        *,
        obs_dtype: Any = np.float32,
        action_shape: tuple[int, ...] = (),
        action_dtype: Any = np.int64,
        gamma: float,
        n_step: int = 1,
        priority_alpha: float | None = None,
        storage: str = "memory",
        folder: Path | None = None,
    ):
        if n_envs < 1:
            raise ValueError(f"n_envs={n_envs} is below 1")
        if n_step < 1:
            raise ValueError(f"n_step={n_step} is below 1")
        if not 0.0 <= gamma <= 1.0:
            raise ValueError(f"gamma={gamma} is outside [0, 1]")
        if priority_alpha is not None and not 0.0 <= priority_alpha < np.inf:
            raise ValueError(f"priority_alpha={priority_alpha} is not a number from 0: 0 draws uniformly")
        rows = capacity // n_envs
        if rows <= n_step:
            raise ValueError(
                f"capacity={capacity} gives each of {n_envs} copies {rows} slots, and a return of n_step={n_step} "
                f"needs {n_step + 1}: make it at least {n_envs * (n_step + 1)}"
            )
        self.n_envs, self.rows, self.n_step = n_envs, rows, n_step
        self.size = rows * n_envs  # slots
        self._observations = self._make_observations(tuple(obs_shape), obs_dtype, storage, folder)
        columns = {
            "actions": (tuple(action_shape), action_dtype),
            "rewards": ((), np.float32),
            "ends": ((), np.uint8),  # 0, TERMINATED or TRUNCATED
            "steps": ((), np.int64),  # env steps once the slot was written
        }
        place = "memory" if is_address(storage) else storage
        self._ring = {
            name: allocate((self.size, *shape), np.dtype(dtype), place, folder)
            for name, (shape, dtype) in columns.items()
        }
        self.sampler = (
            UniformSampler(self.size) if priority_alpha is None else PrioritizedSampler(self.size, priority_alpha)
        )
        self._written = np.zeros(n_envs, np.int64)  # slots, of each copy
        self._open = np.zeros(n_envs, np.int64)  # latest transitions of each copy that still need an observation
        self._awaiting_final_obs = np.zeros(n_envs, bool)  # truncated, and the row of the reset is still to come
        self._copies = np.arange(n_envs)
        self._ahead = np.arange(n_step)[:, None] * n_envs  # [n, 1], from a slot to the next ones of its copy
        self._powers = gamma ** np.arange(n_step + 1.0)[:, None]  # [n + 1, 1]
        self.env_steps = 0  # transitions added

    def __len__(self) -> int:
        """How many transitions can be drawn."""
        return self.sampler.count

    def keep_masks(self, actions: int) -> None:
        """Make room for an action mask `[A]` with every observation; before the first `add`.

        Raises:
            ValueError: the folder of the memmap, or the server, cannot take it.
        """
        if self._observations.actions is None:
            self._observations.keep_masks(actions)

    def add(
        self,
        obs: np.ndarray,
        actions: np.ndarray,
        rewards: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        final_obs: np.ndarray | None = None,
        valid: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        final_mask: np.ndarray | None = None,
    ) -> None:
        """One step of every copy.

        Args:
            obs: `[N, …]` before acting.
            actions: `[N, …]`.
            rewards: `[N]`.
            terminated, truncated: bool `[N]`; where both, terminated.
            final_obs: `[N, …]`, read where truncated: what the episode ended on. None: no episode was truncated.
            valid: bool `[N]` of environments that reset on the next step: False in the row of a reset, which is not a
                transition. `final_obs` is not read then: the `obs` of that row is what the episode ended on. None: all
                are transitions.
            mask: bool `[N, A]`, the actions that are legal in `obs`, where `keep_masks` was called. None: all.
            final_mask: the same of `final_obs`.

        Raises:
            ValueError: an episode was truncated, and what it ended on is not given.
        """
        terminated, truncated = np.asarray(terminated, bool), np.asarray(truncated, bool)
        if count(self._awaiting_final_obs if valid is None else self._awaiting_final_obs & valid):
            raise ValueError("a truncated episode goes on: the row after it must be that of a reset (valid=False)")
        copies: slice | np.ndarray = slice(None)
        ended = bool(count(terminated | truncated))  # seldom: most steps need no more than what comes before it
        if valid is not None:
            self._close(np.flatnonzero(~valid & (self._open > 0)), obs, mask)
            copies = np.flatnonzero(valid)
            obs, actions, rewards = obs[copies], np.asarray(actions)[copies], np.asarray(rewards)[copies]
            mask = None if mask is None else mask[copies]
        elif ended and final_obs is None and count(truncated > terminated):
            raise ValueError("an episode was truncated and final_obs is None: give its last observation")
        ring, n = self._ring, self.n_step
        slots = self._write(copies, obs, mask)
        complete = self._open[copies] == n  # this observation is the last that these need
        if count(complete):
            self.sampler.add((slots[complete] - n * self.n_envs) % self.size)
        ring["actions"][slots] = actions
        ring["rewards"][slots] = rewards
        ring["ends"][slots] = 0
        self.env_steps += len(slots)
        ring["steps"][slots] = self.env_steps
        self._open[copies] = np.minimum(self._open[copies] + 1, n)
        if ended:
            ring["ends"][slots] = np.where(terminated, TERMINATED, truncated * TRUNCATED)[copies]
            self._finish(np.flatnonzero(terminated))
            truncated = truncated > terminated  # and not terminated
            if valid is None:
                self._close(np.flatnonzero(truncated), final_obs, final_mask)
            else:
                self._awaiting_final_obs |= truncated & valid

    def cut(self, obs: np.ndarray, mask: np.ndarray | None = None) -> None:
        """End the running episodes as a truncation does, since the environments are reset.

        Args:
            obs: `[N, …]`, the latest, on which no action was taken.
            mask: bool `[N, A]`, the actions that are legal there; None: all.
        """
        copies = np.flatnonzero(self._open > 0)
        self._ring["ends"][(self._written[copies] - 1) % self.rows * self.n_envs + copies] = TRUNCATED
        self._close(copies, obs, mask)

    def sample(self, batch_size: int, rng: np.random.Generator, *, beta: float = 0.0) -> Batch:
        """Draw transitions, with replacement.

        Args:
            batch_size: B.
            rng: drawn from.
            beta: how far importance weights undo the bias of priorities; 0: all weights 1, 1: entirely.

        Raises:
            ValueError: there are fewer transitions than that.
        """
        if not 1 <= batch_size <= len(self):
            raise ValueError(f"a batch of {batch_size} from {len(self)} transitions: wait until there are more")
        index, weights = self.sampler.sample(batch_size, self.filled, rng, beta)
        ring, n, n_envs = self._ring, self.n_step, self.n_envs
        window = index + self._ahead  # [n, B]; indices after the last slot are wrapped where they are used
        ends = ring["ends"].take(window, mode="wrap")
        over = np.logical_or.accumulate(ends[:-1] != 0, axis=0)  # [n - 1, B] of steps 1, 2, …: the episode is over
        rewards = ring["rewards"].take(window, mode="wrap") * self._powers[:n]
        rewards[1:][over] = 0.0
        steps = n - over.sum(axis=0)
        terminated = ends[steps - 1, np.arange(batch_size)] == TERMINATED
        next_index = (index + (steps - terminated) * n_envs) % self.size
        obs, masks = self._observations.read(np.concatenate((index, next_index)))
        return Batch(
            obs=obs[:batch_size],
            actions=ring["actions"].take(index, axis=0),
            returns=rewards.sum(axis=0).astype(np.float32),
            next_obs=obs[batch_size:],
            discounts=np.where(terminated, 0.0, self._powers.take(steps)).astype(np.float32),
            weights=weights,
            index=index,
            next_index=next_index,
            next_written=ring["steps"].take(next_index),
            age=self.env_steps - ring["steps"].take(index),
            masks=None if masks is None else masks[:batch_size],
            next_masks=None if masks is None else masks[batch_size:],
        )

    def update_priorities(self, index: np.ndarray, td_errors: np.ndarray) -> None:
        """Give drawn transitions new priorities, before anything more is added.

        Args:
            index: `[B]` of a batch; where one occurs twice, the last counts.
            td_errors: `[B]`.

        Raises:
            ValueError: a TD error is not finite.
        """
        self.sampler.update(index, td_errors)

    @property
    def filled(self) -> int:
        """How many of the first slots have been written."""
        return min(int(self._written.max()), self.rows) * self.n_envs

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything: views of what has been filled, to be written before the next change, and JSON."""
        arrays, meta = self.sampler.state(self.filled)
        arrays |= self._observations.state(self.filled)
        arrays |= {name: array[: self.filled] for name, array in self._ring.items()}
        arrays |= {"written": self._written, "open": self._open, "awaiting_final_obs": self._awaiting_final_obs}
        return arrays, {**meta, "env_steps": self.env_steps, "size": self.size, "n_step": self.n_step}

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore, in place, what `state` gave; later draws are the same to the bit.

        Raises:
            ValueError: it is of another buffer: of another size, n_step, or kind of observations or actions.
        """
        for name in ("size", "n_step"):
            if meta[name] != getattr(self, name):
                raise ValueError(f"a replay buffer with {name}={meta[name]} does not fit {name}={getattr(self, name)}")
        filled = len(arrays["available"])
        if "masks" in arrays:
            self.keep_masks(arrays["masks"].shape[1])
        kinds = {name: (array.shape[1:], array.dtype) for name, array in self._ring.items()}
        kinds["obs"] = self._observations.shape, self._observations.dtype
        for name, (shape, dtype) in kinds.items():
            if (arrays[name].shape, arrays[name].dtype) != ((filled, *shape), dtype):
                raise ValueError(
                    f"{name} of a replay buffer, {arrays[name].dtype} {arrays[name].shape}, do not fit "
                    f"{dtype} {(filled, *shape)}"
                )
        for name, array in self._ring.items():
            array[:filled] = arrays[name]
        self._observations.load_state(arrays["obs"], arrays.get("masks"))
        self.sampler.load_state(arrays, meta)
        self._written[:], self._open[:] = arrays["written"], arrays["open"]
        self._awaiting_final_obs[:] = arrays["awaiting_final_obs"]
        self.env_steps = meta["env_steps"]

    def _make_observations(self, shape: tuple[int, ...], dtype: Any, storage: str, folder: Path | None) -> Observations:
        if not is_address(storage):
            return ArrayObservations(self.size, shape, dtype, storage, folder)
        from agents.redis_observations import RedisObservations

        return RedisObservations(self.rows, self.n_envs, shape, dtype, storage, folder)

    def _write(self, copies: slice | np.ndarray, obs: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Put observations `[C, …]` and their masks into the next slots of some copies; returns these slots."""
        slots = self._written[copies] % self.rows * self.n_envs + self._copies[copies]
        self._written[copies] += 1
        overwritten = self.sampler.available[slots]
        if count(overwritten):
            self.sampler.remove(slots[overwritten])
        self._observations.write(slots, obs, mask)
        return slots

    def _finish(self, copies: np.ndarray) -> None:
        """Let the latest transitions of some copies be drawn: everything they need is there."""
        if copies.size:
            latest = (self._written[copies] - 1) % self.rows * self.n_envs + copies
            slots = (latest[:, None] - self._ahead[:, 0]) % self.size  # [C, n]
            self.sampler.add(slots[np.arange(self.n_step) < self._open[copies, None]])
            self._open[copies] = 0

    def _close(self, copies: np.ndarray, obs: np.ndarray | None, mask: np.ndarray | None) -> None:
        """Write what the episodes of some copies ended on, rows of `obs` `[N, …]`."""
        if copies.size:
            assert obs is not None
            self._finish(copies)
            slots = self._write(copies, obs[copies], None if mask is None else mask[copies])
            self._ring["steps"][slots] = self.env_steps
            self._awaiting_final_obs[copies] = False
