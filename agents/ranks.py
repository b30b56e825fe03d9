"""Training one agent in several processes, the ranks: each steps its share of the environment copies.

Every rank has the whole network and takes the same optimiser steps. The gradient of a minibatch is the sum over the
ranks of what their rows add to it (Li et al., *PyTorch Distributed*, VLDB 2020). Draws and normalisations cover
the copies of all ranks, so the run is that of one process except for the order of sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from agents import normalize
from agents.collect import Rollout
from agents.episode_log import EpisodeLog


class Ranks:
    """The ranks of torch's process group, which exists already: gloo, for CUDA tensors NCCL.

    Every method except `copies` waits until all ranks have called it.

    Raises:
        RuntimeError: by any method, another rank is gone.
    """

    def __init__(self) -> None:
        self.rank, self.count = dist.get_rank(), dist.get_world_size()

    def copies(self, total: int) -> slice:
        """The copies of this rank among all of them."""
        share = total // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def gather(self, array: np.ndarray, axis: int = 0) -> np.ndarray:
        """The arrays of all ranks, which have one shape, joined along an axis."""
        own = torch.from_numpy(np.ascontiguousarray(array))
        parts = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(parts, own)
        return np.concatenate([part.numpy() for part in parts], axis=axis)

    def gather_bytes(self, data: bytes) -> list[bytes]:
        """The bytes of all ranks."""
        sizes = self.gather(np.array([len(data)]))
        padded = np.zeros((1, int(sizes.max())), np.uint8)
        padded[0, : len(data)] = np.frombuffer(data, np.uint8)
        return [row[:size].tobytes() for row, size in zip(self.gather(padded), sizes, strict=True)]

    def broadcast(self, data: bytes = b"") -> bytes:
        """The bytes of rank 0."""
        size = torch.tensor([len(data)])
        dist.broadcast(size, 0)
        message = torch.zeros(int(size), dtype=torch.uint8)
        message.numpy()[: len(data)] = np.frombuffer(data, np.uint8)
        dist.broadcast(message, 0)
        return message.numpy().tobytes()

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor, in place, by the sum of those of all ranks; every rank gets the same bits."""
        dist.all_reduce(tensor)

    def mean(self, values: np.ndarray, rows: int) -> np.ndarray:
        """Means over the rows of all ranks, float64, from those over the own ones.

        Args:
            values: means over `rows` rows; not used where there are none.
        """
        own = np.append(np.asarray(values, np.float64) * rows if rows else np.zeros(len(values)), rows)
        self.add_up(torch.from_numpy(own))  # the same memory
        return own[:-1] / max(own[-1], 1.0)

    def merge(self, moments: normalize.Moments) -> normalize.Moments:
        """The moments of the samples of all ranks together."""
        own = np.concatenate([[moments.count], moments.mean.ravel(), moments.m2.ravel()])
        merged = normalize.Moments.empty(moments.mean.shape)
        for row in self.gather(own[None]):
            mean, m2 = (part.reshape(moments.mean.shape) for part in np.split(row[1:], 2))
            merged = normalize.merge(merged, normalize.Moments(float(row[0]), mean, m2))
        return merged


@dataclass(frozen=True)
class WholeRollout:
    """What every rank knows of a rollout of all N copies.

    Attributes:
        rewards, done: `[T, N]`.
        valid: bool `[T, N]`, which rows are transitions; None: all.
        copies: of this rank.
    """

    ranks: Ranks
    rewards: np.ndarray
    done: np.ndarray
    valid: np.ndarray | None
    copies: slice

    @classmethod
    def gather(cls, ranks: Ranks, rollout: Rollout) -> WholeRollout:
        """The whole batch; every rank has collected a part of it."""
        rewards, done = ranks.gather(rollout.rewards, axis=1), ranks.gather(rollout.done, axis=1)
        valid = None if rollout.valid is None else ranks.gather(rollout.valid, axis=1)
        return cls(ranks, rewards, done, valid, ranks.copies(rewards.shape[1]))

    @property
    def size(self) -> int:
        """How many transitions there are."""
        return self.rewards.size if self.valid is None else int(self.valid.sum())

    def count(self, log: EpisodeLog) -> None:
        """Count the steps of all copies."""
        valid = [None] * len(self.rewards) if self.valid is None else self.valid
        for rewards, done, row in zip(self.rewards, self.done, valid, strict=True):
            log.step(rewards, done, row)

    def transitions(self, array: np.ndarray) -> np.ndarray:
        """The transitions `[B]` of all ranks, in the order of one process, from an array `[T, N / ranks]` of each."""
        whole = self.ranks.gather(array, axis=1)
        return whole.ravel() if self.valid is None else whole[self.valid]

    def own_rows(self) -> np.ndarray:
        """Where the transitions of this rank are among those of all, ascending."""
        is_own = np.zeros(self.rewards.shape, bool)
        is_own[:, self.copies] = True
        return np.flatnonzero(is_own.ravel() if self.valid is None else is_own[self.valid])


@dataclass(frozen=True)
class Share:
    """The part of this rank of the transitions that all learn from.

    Attributes:
        rows: `[b]` which of the B transitions are its own, ascending.
        advantages: `[B]` of all, float32.
    """

    rows: np.ndarray
    advantages: np.ndarray


@dataclass(frozen=True)
class OwnMinibatches:
    """The part of this rank of the minibatches of an epoch.

    Attributes:
        rows: `[b]` the own rows, in the order of the epoch.
        places: `[b]` where they are in the epoch of all ranks.
        starts: `[M]` the first of `rows` of each minibatch, which may have none.
    """

    rows: np.ndarray
    places: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, order: np.ndarray, starts: np.ndarray, own_rows: np.ndarray) -> OwnMinibatches:
        """Args:
        order: `[B]` the rows of all ranks in the order of the epoch.
        starts: `[M]` where a minibatch begins in it.
        own_rows: `[b]` those of this rank.
        """
        place_of_row = np.empty_like(order)
        place_of_row[order] = np.arange(len(order))
        places = place_of_row[own_rows]
        rows = places.argsort()
        return cls(rows, places[rows], np.searchsorted(places[rows], starts))
