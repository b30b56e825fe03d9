"""`Transitions`: steps that something else took, such as a policy server, and their layout as a rollout."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from agents.collect import Rollout
from agents.replay import ReplayBuffer
from agents.shared_replay import SharedReplay


@dataclass(frozen=True)
class Transitions:
    """B transitions; those of one stream are neighbours, in the order of time.

    A step continues the one before it where both are of one stream, that one ended no episode, and its `next_obs` is
    what this step observed. Otherwise there is a gap: the earlier step counts as truncated.
    """

    obs: np.ndarray  # [B, D] float32, as the environment gave them
    actions: np.ndarray  # [B] from 0, or [B, A] as they were drawn
    rewards: np.ndarray  # [B]
    terminated: np.ndarray  # [B] bool
    truncated: np.ndarray  # [B] bool, where not terminated
    next_obs: np.ndarray  # [B, D] float32; not used where terminated
    streams: np.ndarray  # [B] int64, the unit or environment copy
    masks: np.ndarray | None = None  # [B, A] bool, which actions were legal; None: all
    next_masks: np.ndarray | None = None  # [B, A] the same in `next_obs`
    # [B] log-probabilities, or log-densities, with which the actions were chosen; None: by the policy that learns.
    log_propensities: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rewards)

    @functools.cached_property
    def ended(self) -> np.ndarray:
        """Whether a step ended an episode, bool `[B]`."""
        return self.terminated | self.truncated

    @functools.cached_property
    def cut(self) -> np.ndarray:
        """Whether an episode goes on after a step, but not with the next one, bool `[B]`; False for the last."""
        return np.append(~self.continues[1:], False) & ~self.ended

    @functools.cached_property
    def continues(self) -> np.ndarray:
        """Whether a step continues the one before it, bool `[B]`; the first does not."""
        result = np.zeros(len(self), bool)
        result[1:] = (
            (self.streams[1:] == self.streams[:-1])
            & ~self.ended[:-1]
            & (self.obs[1:] == self.next_obs[:-1]).all(axis=1)
        )
        return result


def grid(streams: np.ndarray, first: Callable[[int], bool]) -> np.ndarray:
    """Where each transition goes in a rollout `[T, N]`: its index, or −1 if there is none.

    T is the length of the longest stream. A stream of that length has a column of its own, and shorter ones share
    columns. So the rollout has less than twice as many cells as there are transitions, and a column more.

    Args:
        streams: `[B]`; those of one stream are neighbours.
        first: whether a stream must be the first one of its column.
    """
    edges = [0, *(np.flatnonzero(np.diff(streams)) + 1).tolist(), len(streams)]
    parts = list(itertools.pairwise(edges))
    steps = max(stop - start for start, stop in parts)
    columns: list[list[int]] = []
    for start, stop in parts:
        if not columns or len(columns[-1]) + stop - start > steps or first(int(streams[start])):
            columns.append([])
        columns[-1] += range(start, stop)
    result = np.full((len(columns), steps), -1)
    for column, indices in zip(result, columns, strict=True):
        column[: len(indices)] = indices
    return result.T


def as_rollout(
    transitions: Transitions,
    cells: np.ndarray,
    act: Callable[[np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray]],
) -> Rollout:
    """The rollout that collecting these transitions would have given.

    Args:
        cells: `[T, N]` from `grid`.
        act: observations `[N, D]` and masks `[N, A]` or None to network inputs `[N, D]` and action parameters `[N, A]`,
            by the policy that acted. It is called once per step, as in collection.
    """
    valid = cells >= 0
    index = cells[valid]

    def on_grid(column: np.ndarray, empty: object = 0) -> np.ndarray:
        placed = np.full((*cells.shape, *column.shape[1:]), empty, column.dtype)
        placed[valid] = column[index]
        return placed

    obs = on_grid(transitions.obs)
    masks = None if transitions.masks is None else on_grid(transitions.masks, True)
    rows = [act(step, None if masks is None else masks[t]) for t, step in enumerate(obs)]
    terminated, truncated = on_grid(transitions.terminated), on_grid(_cut(transitions, cells))
    next_obs = np.zeros_like(obs[-1])
    next_obs[valid[-1]] = transitions.next_obs[cells[-1][valid[-1]]]
    return Rollout(
        obs=obs,
        inputs=np.stack([inputs for inputs, _ in rows]),
        parameters=np.stack([parameters for _, parameters in rows]),
        actions=on_grid(transitions.actions),
        rewards=on_grid(transitions.rewards.astype(np.float32)),
        terminated=terminated,
        truncated=truncated,
        next_obs=next_obs,
        final_obs=transitions.next_obs[cells[truncated]],
        valid=None if valid.all() else valid,
        reward_terms={},
        masks=masks,
        log_propensities=None if transitions.log_propensities is None else on_grid(transitions.log_propensities),
    )


def _cut(transitions: Transitions, cells: np.ndarray) -> np.ndarray:
    """`truncated` `[B]`, and where the cell below a step does not hold the step that continues it."""
    continues = transitions.continues
    below = np.full(len(transitions), -1)
    index = cells[:-1][cells[:-1] >= 0]
    below[index] = cells[1:][cells[:-1] >= 0]
    open_end = np.zeros(len(transitions), bool)
    open_end[cells[-1][cells[-1] >= 0]] = True  # the rollout ends there, and `next_obs` has what follows
    continued = (below >= 0) & continues[np.maximum(below, 0)]
    return ~transitions.terminated & (transitions.truncated | ~(continued | open_end))


def add_to_buffer(buffer: ReplayBuffer | SharedReplay, transitions: Transitions, rows: slice) -> None:
    """Add some rows to a buffer of one copy; an episode that does not go on with the next row ends there."""
    truncated = transitions.truncated | transitions.cut
    masks, next_masks = transitions.masks, transitions.next_masks
    for i in range(rows.start, rows.stop):
        row = slice(i, i + 1)
        buffer.add(
            transitions.obs[row],
            transitions.actions[row],
            transitions.rewards[row],
            transitions.terminated[row],
            truncated[row],
            transitions.next_obs[row] if truncated[i] else None,
            mask=None if masks is None else masks[row],
            final_mask=None if next_masks is None else next_masks[row],
        )
