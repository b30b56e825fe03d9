"""Experience replay: one preallocated ring of flat arrays for N environment copies.

Each copy has a ring of its own, `[rows]` slots, interleaved with those of the others. A slot holds what was seen,
what was done and what came of it; the observation that a step led to is that of the copy's next slot, so each is
stored once. The one that a truncated episode ended on has no step of its own, and gets a slot that is never drawn,
a filler. With SAME_STEP autoreset it comes with the truncation, with NEXT_STEP it is the row without a transition.

A transition can be drawn once everything its return needs is there: after n more steps of its copy, or once its
episode has ended. Nothing older than a slot is needed for it, so what is overwritten never leaves half a return.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from agents.sum_tree import SumTree

PRIORITY_EPSILON = 1e-6  # added to every |TD error|, so that no transition is lost
TERMINATED, TRUNCATED = 1, 2
PIECE = 1 << 20  # bytes that are written at once
count = np.count_nonzero  # of a few flags: a tenth of the time of `any`


@dataclass(frozen=True)
class Batch:
    """B transitions of up to n steps each; floats are float32."""

    obs: np.ndarray  # [B, …]
    actions: np.ndarray  # [B, …]
    returns: np.ndarray  # [B] the discounted sum of up to n rewards
    next_obs: np.ndarray  # [B, …] after the last of these; of no meaning where the discount is 0
    discounts: np.ndarray  # [B] of the value of `next_obs`: γ^k after k steps, 0 after a termination
    weights: np.ndarray  # [B] importance weights, the largest in the buffer 1
    index: np.ndarray  # [B] int64, for `update_priorities`
    next_index: np.ndarray  # [B] int64, the slots of `next_obs`
    next_written: np.ndarray  # [B] int64, env steps there had been when these were written
    age: np.ndarray  # [B] int64, env steps since its row was added
    masks: np.ndarray | None  # [B, A] bool, the actions that were legal in `obs`; None: all
    next_masks: np.ndarray | None  # [B, A] the same of `next_obs`


class ReplayBuffer:
    """The latest transitions of N copies.

    Drawn uniformly, or in proportion to p^α with p = |TD error| + ε, and weighted by (M·P)^−β / max: Schaul et al.,
    *Prioritized experience replay*, ICLR 2016 (arXiv 1511.05952), algorithm 1. The maximum is that over the whole
    buffer: with that of a batch, the scale would depend on what was drawn, and β = 1 would not undo the bias.

    Args:
        capacity: slots over all copies; what is left of it after whole rows of N is not used. A truncated episode
            takes one slot more than it has steps.
        n_envs: N.
        obs_shape, obs_dtype, action_shape, action_dtype: of one observation and one action.
        gamma: the discount of a step.
        n_step: rewards in a return, where the episode does not end before.
        priority_alpha: α; None draws uniformly.
        storage: memmap keeps the ring in a file, its room reserved at once, which is gone with the process.
        folder: where that file lies.

    Raises:
        ValueError: an argument is out of range, or the folder cannot take the file.
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
        storage: Literal["memory", "memmap"] = "memory",
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
        self.n_envs, self.rows, self.gamma, self.n_step = n_envs, rows, gamma, n_step
        self.priority_alpha = priority_alpha
        self.size = rows * n_envs  # slots
        layout = {
            "obs": (obs_dtype, tuple(obs_shape)),
            "actions": (action_dtype, tuple(action_shape)),
            "rewards": (np.float32, ()),
            "ends": (np.uint8, ()),  # 0, TERMINATED or TRUNCATED
            "steps": (np.int64, ()),  # env steps there had been, those of its row included; of fillers too
        }
        self._ring = {
            name: allocate((self.size, *shape), np.dtype(dtype), storage, folder)
            for name, (dtype, shape) in layout.items()
        }
        self._storage, self._folder = storage, folder
        self._ready = np.zeros(self.size, bool)  # which can be drawn
        self._count = 0  # how many
        self._tree = None if priority_alpha is None else SumTree(self.size)
        self._largest = 1.0  # p^α of a new transition: the largest there has been
        self._written = np.zeros(n_envs, np.int64)  # slots, of each copy
        self._open = np.zeros(n_envs, np.int64)  # its latest transitions that still need an observation
        self._unfinished = np.zeros(n_envs, bool)  # truncated, and the filler has yet to come
        self._copies = np.arange(n_envs)
        self._ahead = np.arange(n_step)[:, None] * n_envs  # [n, 1], from a slot to the next ones of its copy
        self._powers = gamma ** np.arange(n_step + 1.0)[:, None]  # [n + 1, 1]
        self.env_steps = 0  # transitions added

    def __len__(self) -> int:
        """How many transitions can be drawn."""
        return self._count

    def keep_masks(self, actions: int) -> None:
        """Make room for an action mask `[A]` with every observation; before the first `add`.

        Raises:
            ValueError: the folder of the memmap cannot take it.
        """
        if "masks" not in self._ring:
            self._ring["masks"] = allocate((self.size, actions), np.dtype(bool), self._storage, self._folder)

    def add(
        self,
        obs: np.ndarray,
        actions: np.ndarray,
        rewards: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        final_obs: np.ndarray | None = None,
        real: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        final_mask: np.ndarray | None = None,
    ) -> None:
        """One step of every copy.

        Args:
            obs: `[N, …]` seen before acting.
            actions: `[N, …]`.
            rewards: `[N]`.
            terminated, truncated: bool `[N]`; where both, terminated.
            final_obs: `[N, …]`, read where truncated: what the episode ended on. None: no episode was truncated.
            real: bool `[N]` of environments that reset on the next step: False where the row is no transition.
                `final_obs` is not read then: the `obs` of that row is what the episode ended on. None: all are.
            mask: bool `[N, A]`, the actions that are legal in `obs`, where `keep_masks` was called. None: all.
            final_mask: the same of `final_obs`.

        Raises:
            ValueError: an episode was truncated, and what it ended on is not given.
        """
        terminated, truncated = np.asarray(terminated, bool), np.asarray(truncated, bool)
        if count(self._unfinished if real is None else self._unfinished & real):
            raise ValueError("a truncated episode goes on: the row after it must be a filler (real=False)")
        copies: slice | np.ndarray = slice(None)
        ended = bool(count(terminated | truncated))  # seldom: most steps need no more than what comes before it
        if real is not None:
            self._close(np.flatnonzero(~real & (self._open > 0)), obs, mask)
            copies = np.flatnonzero(real)
            obs, actions, rewards = obs[copies], np.asarray(actions)[copies], np.asarray(rewards)[copies]
            mask = None if mask is None else mask[copies]
        elif ended and final_obs is None and count(truncated > terminated):
            raise ValueError("an episode was truncated and final_obs is None: give what it ended on")
        ring, n = self._ring, self.n_step
        slots = self._write(copies, obs, mask)
        whole = self._open[copies] == n  # this observation is the last that these need
        if count(whole):
            self._make_ready((slots[whole] - n * self.n_envs) % self.size)
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
            if real is None:
                self._close(np.flatnonzero(truncated), final_obs, final_mask)
            else:
                self._unfinished |= truncated & real

    def cut(self, obs: np.ndarray, mask: np.ndarray | None = None) -> None:
        """End the episodes in flight, as a truncation does: the environments are started anew.

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
            beta: how far importance weights undo the bias of priorities; 0: all weights 1, 1: wholly.

        Raises:
            ValueError: there are fewer transitions than that.
        """
        if not 1 <= batch_size <= self._count:
            raise ValueError(
                f"a batch of {batch_size} from {self._count} transitions: let it wait until there are more"
            )
        if self._tree is None:
            index = self._uniform(batch_size, rng)
            weights = np.ones(batch_size, np.float32)
        else:
            index = self._tree.sample(batch_size, rng)
            # M and the total of p^α are in w and in the largest w alike.
            weights = ((self._tree.leaves.take(index) / self._tree.least) ** -beta).astype(np.float32)
        ring, n, n_envs = self._ring, self.n_step, self.n_envs
        window = index + self._ahead  # [n, B]; indices past the last slot are wrapped where they are used
        ends = ring["ends"].take(window, mode="wrap")
        past = np.logical_or.accumulate(ends[:-1] != 0, axis=0)  # [n - 1, B] of steps 1, 2, …: the episode is over
        rewards = ring["rewards"].take(window, mode="wrap") * self._powers[:n]
        rewards[1:][past] = 0.0
        steps = n - past.sum(axis=0)
        terminated = ends[steps - 1, np.arange(batch_size)] == TERMINATED
        after = (index + (steps - terminated) * n_envs) % self.size
        masks = ring.get("masks")
        return Batch(
            obs=ring["obs"].take(index, axis=0),
            actions=ring["actions"].take(index, axis=0),
            returns=rewards.sum(axis=0).astype(np.float32),
            next_obs=ring["obs"].take(after, axis=0),
            discounts=np.where(terminated, 0.0, self._powers.take(steps)).astype(np.float32),
            weights=weights,
            index=index,
            next_index=after,
            next_written=ring["steps"].take(after),
            age=self.env_steps - ring["steps"].take(index),
            masks=None if masks is None else masks.take(index, axis=0),
            next_masks=None if masks is None else masks.take(after, axis=0),
        )

    def update_priorities(self, index: np.ndarray, priorities: np.ndarray) -> None:
        """Give drawn transitions new priorities, before anything more is added.

        Args:
            index: `[B]` of a batch; where one occurs twice, the last counts.
            priorities: `[B]`, |TD error|; its sign is not read.

        Raises:
            ValueError: a priority is not finite.
        """
        if self._tree is None or self.priority_alpha is None:
            return
        weights = (np.abs(np.asarray(priorities, np.float64)) + PRIORITY_EPSILON) ** self.priority_alpha
        self._tree.set(index, np.where(self._ready[index], weights, 0.0))
        self._largest = max(self._largest, float(weights.max(initial=0.0)))

    @property
    def filled(self) -> int:
        """How many of the first slots hold all that has been added."""
        return min(int(self._written.max()), self.rows) * self.n_envs

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything, as views of what has been filled, to be written before the next change; and JSON."""
        filled = self.filled
        arrays = {name: array[:filled] for name, array in self._ring.items()}
        arrays["ready"] = self._ready[:filled]
        if self._tree is not None:
            arrays["priorities"] = self._tree.leaves[:filled]
        arrays |= {"written": self._written, "open": self._open, "unfinished": self._unfinished}
        return arrays, {
            "env_steps": self.env_steps,
            "largest": self._largest,
            "size": self.size,
            "n_step": self.n_step,
        }

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore, in place, what `state` gave; what is drawn then is the same to the bit.

        Raises:
            ValueError: it is of another buffer: of another size, n_step, or kind of observations or actions.
        """
        for name in ("size", "n_step"):
            if meta[name] != getattr(self, name):
                raise ValueError(f"a replay buffer with {name}={meta[name]} does not fit {name}={getattr(self, name)}")
        filled = len(arrays["ready"])
        if "masks" in arrays:
            self.keep_masks(arrays["masks"].shape[1])
        for name, array in self._ring.items():
            if (arrays[name].shape, arrays[name].dtype) != (array[:filled].shape, array.dtype):
                raise ValueError(
                    f"{name} of a replay buffer, {arrays[name].dtype} {arrays[name].shape}, do not fit "
                    f"{array.dtype} {array[:filled].shape}"
                )
        for name, array in self._ring.items():
            array[:filled] = arrays[name]
        self._ready[:] = False
        self._ready[:filled] = arrays["ready"]
        self._count = int(self._ready.sum())
        if self._tree is not None:
            self._tree.load(arrays["priorities"])
        self._written[:], self._open[:] = arrays["written"], arrays["open"]
        self._unfinished[:] = arrays["unfinished"]
        self.env_steps, self._largest = meta["env_steps"], meta["largest"]

    def _write(self, copies: slice | np.ndarray, obs: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Put observations `[C, …]` and their masks into the next slots of some copies, which are given back."""
        slots = self._written[copies] % self.rows * self.n_envs + self._copies[copies]
        self._written[copies] += 1
        gone = self._ready[slots]
        if count(gone):
            self._ready[slots] = False
            self._count -= int(count(gone))
            if self._tree is not None:
                self._tree.set(slots[gone], 0.0)
        self._ring["obs"][slots] = obs
        if "masks" in self._ring:
            self._ring["masks"][slots] = True if mask is None else mask
        return slots

    def _make_ready(self, slots: np.ndarray) -> None:
        """Let some slots, which could not be drawn, be drawn."""
        self._ready[slots] = True
        self._count += slots.size
        if self._tree is not None:
            self._tree.set(slots, self._largest)

    def _finish(self, copies: np.ndarray) -> None:
        """Everything that the latest transitions of some copies need is there."""
        if copies.size:
            latest = (self._written[copies] - 1) % self.rows * self.n_envs + copies
            slots = (latest[:, None] - self._ahead[:, 0]) % self.size  # [C, n]
            self._make_ready(slots[np.arange(self.n_step) < self._open[copies, None]])
            self._open[copies] = 0

    def _close(self, copies: np.ndarray, obs: np.ndarray | None, mask: np.ndarray | None) -> None:
        """Write what the episodes of some copies ended on, one of `obs` `[N, …]` each."""
        if copies.size:
            assert obs is not None
            self._finish(copies)
            slots = self._write(copies, obs[copies], None if mask is None else mask[copies])
            self._ring["steps"][slots] = self.env_steps
            self._unfinished[copies] = False

    def _uniform(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """Slots that can be drawn, by drawing among all that are filled until there are enough."""
        filled = self.filled
        found = np.empty(0, np.int64)
        while found.size < batch_size:
            missing = batch_size - found.size
            drawn = rng.integers(filled, size=-(-missing * filled // self._count))
            found = np.concatenate([found, drawn[self._ready[drawn]][:missing]])
        return found


def allocate(
    shape: tuple[int, ...], dtype: np.dtype, storage: Literal["memory", "memmap"], folder: Path | None
) -> np.ndarray:
    """Zeros, in memory or in a file without a name, which the system removes when the process ends, however it ends.

    Raises:
        ValueError: the folder is missing, cannot be written, or has no room.
    """
    if storage == "memory":
        return np.zeros(shape, dtype)
    if folder is None:
        raise ValueError("storage=memmap needs a folder")
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    remedy = "name another folder, or use storage=memory"
    try:
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise ValueError(f"{folder} has {free:,} bytes free, and the replay buffer needs {needed:,}: {remedy}")
        with tempfile.TemporaryFile(dir=folder) as file:
            reserve(file, needed)
            return np.asarray(np.memmap(file, dtype, "r+", shape=shape))
    except OSError as error:
        raise ValueError(f"{folder} cannot hold the replay buffer ({error.strerror}): {remedy}") from error


def reserve(file: IO[bytes], size: int) -> None:
    """Give a new file `size` zeros and their room on the disk: one with holes would fail in the midst of training.

    Raises:
        OSError: there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for done in range(0, size, PIECE):  # macOS has no such call
        file.write(bytes(min(PIECE, size - done)))
    file.flush()
