"""A replay buffer of one process that also draws what other processes have sent.

What each other process sends has a buffer of its own here, so that the steps of its environment copies stay in a row.
Transitions of all of them are equally likely to be drawn (Christianos et al., *Shared experience actor-critic for
multi-agent reinforcement learning*, NeurIPS 2020, share experience in the same way). Where messages of a process were
missed, or it was resumed, its buffer here begins again.
"""

from __future__ import annotations

import copy
import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from agents.checkpoint_arrays import with_prefix, without_prefix
from agents.replay import Batch, ReplayBuffer
from agents.step_layout import CopiesStep, StepLayout


class ReceivedMessage(Protocol):
    """What another process has sent; numbers of a sender rise by 1, except where messages were lost."""

    @property
    def sender(self) -> str:
        """The name of the process."""

    @property
    def number(self) -> int:
        """From 1."""

    @property
    def data(self) -> bytes:
        """What was sent."""


class Messages(Protocol):
    """Messages in one order for all processes; `position` is what was received last."""

    position: str

    def send(self, data: bytes) -> None:
        """To all others."""

    def receive(self) -> Sequence[ReceivedMessage]:
        """Those of others since the last call."""


@dataclass
class _Peer:
    buffer: ReplayBuffer
    number: int  # of its last message


class SharedReplay:
    """As `ReplayBuffer`, without priorities.

    Args:
        own: the buffer of this process's steps.
        make: a buffer like it, for steps of another process.
        messages: to and from the other processes.
        peers: how many others there may be.
        every: steps of each copy in a message.
        obs_size: numbers of an observation.

    Attributes:
        received: env steps of other processes so far. missed: messages that were dropped before they were received.
    """

    def __init__(
        self,
        own: ReplayBuffer,
        make: Callable[[], ReplayBuffer],
        messages: Messages,
        *,
        peers: int,
        every: int,
        obs_size: int,
    ):
        self._own, self._make, self._messages, self._limit, self._every = own, make, messages, peers, every
        self._layout = StepLayout(own.n_envs, obs_size, 0)
        self._peers: dict[str, _Peer] = {}
        self._waiting: list[CopiesStep] = []
        self._begins = True
        self.size, self.received, self.missed = own.size, 0, 0

    def __len__(self) -> int:
        """How many transitions of this process can be drawn."""
        return len(self._own)

    @property
    def filled(self) -> int:
        """As that of the buffer of this process."""
        return self._own.filled

    def keep_masks(self, actions: int) -> None:
        """Make room for an action mask; see `ReplayBuffer.keep_masks`."""
        self._own.keep_masks(actions)
        self._layout = StepLayout(self._layout.copies, self._layout.obs_size, actions)

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
        """One step of every copy of this process; see `ReplayBuffer.add`. Sends and receives when it is time.

        Raises:
            OSError: messages cannot be sent or received, one does not suit, or there are more processes than expected.
        """
        self._own.add(obs, actions, rewards, terminated, truncated, final_obs, valid, mask, final_mask)
        step = CopiesStep(obs, actions, rewards, terminated, truncated, final_obs, valid, mask, final_mask)
        self._waiting.append(copy.deepcopy(step))  # an environment may write into the arrays it gave
        if len(self._waiting) == self._every:
            self._exchange()

    def cut(self, obs: np.ndarray, mask: np.ndarray | None = None) -> None:
        """End the running episodes of this process; see `ReplayBuffer.cut`."""
        self._own.cut(obs, mask)
        self._waiting.clear()
        self._begins = True

    def _exchange(self) -> None:
        self._messages.send(self._layout.pack(self._waiting, begins=self._begins))
        self._waiting.clear()
        self._begins = False
        for message in self._messages.receive():
            try:
                self._take(message)
            except ValueError as error:  # the run can go on once that is fixed, as after a failure of the server
                raise OSError(errno.EIO, str(error), "the replay buffer") from error

    def _take(self, message: ReceivedMessage) -> None:
        steps, begins = self._layout.unpack(message.data)
        peer = self._peers.get(message.sender)
        if peer is None and len(self._peers) == self._limit:
            raise ValueError(
                f"agents.processes={self._limit + 1}: steps of another process arrive over the same server: raise "
                "agents.processes, or give it a database of its own (redis://host:port/1)"
            )
        if peer is not None and not begins:
            if message.number <= peer.number:  # sent again after the server lost it
                return
            self.missed += message.number - peer.number - 1
        if peer is None or begins or message.number != peer.number + 1:
            peer = _Peer(self._make(), message.number)
            if self._layout.actions:
                peer.buffer.keep_masks(self._layout.actions)
            self._peers[message.sender] = peer
        peer.number = message.number
        for step in steps:
            peer.buffer.add(**{field.name: getattr(step, field.name) for field in fields(step)})
            self.received += self._layout.copies

    def sample(self, batch_size: int, rng: np.random.Generator, *, beta: float = 0.0) -> Batch:
        """Draw transitions of all processes, with replacement; `index` is only valid for the batch.

        Raises:
            ValueError: this process has fewer transitions than that.
        """
        others = [peer.buffer for peer in self._peers.values() if len(peer.buffer) >= batch_size]
        if not others:
            return self._own.sample(batch_size, rng)
        buffers = [self._own, *others]
        sizes = np.array([len(buffer) for buffer in buffers], np.float64)
        counts = rng.multinomial(batch_size, sizes / sizes.sum()).tolist()
        batches = [buffer.sample(count, rng) for buffer, count in zip(buffers, counts, strict=True) if count]
        order = rng.permutation(batch_size)  # a batch may be cut into minibatches
        columns: dict[str, Any] = {}
        for field in fields(Batch):
            parts = [getattr(batch, field.name) for batch in batches]
            columns[field.name] = None if parts[0] is None else np.concatenate(parts)[order]
        return Batch(**columns)

    def update_priorities(self, index: np.ndarray, td_errors: np.ndarray) -> None:
        """Not supported.

        Raises:
            TypeError: always.
        """
        raise TypeError("shared replay has no priorities")

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything: that of this process as `ReplayBuffer.state` gives it, and what others have sent."""
        arrays, meta = self._own.state()
        others = []
        for place, (sender, peer) in enumerate(self._peers.items()):
            peer_arrays, peer_meta = peer.buffer.state()
            arrays |= with_prefix(f"peer{place}", peer_arrays)
            others.append({"sender": sender, "number": peer.number, "replay": peer_meta})
        kept = {"peers": others, "position": self._messages.position, "received": self.received, "missed": self.missed}
        return arrays, {**meta, "shared": kept}

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore what `state` gave; messages since then are received next, as far as the server still has them.

        Raises:
            ValueError: it is of another buffer.
        """
        kept = meta["shared"]
        self._own.load_state({name: array for name, array in arrays.items() if "." not in name}, meta)
        self._peers.clear()
        for place, one in enumerate(kept["peers"]):
            buffer = self._make()
            buffer.load_state(without_prefix(f"peer{place}", arrays), one["replay"])
            self._peers[one["sender"]] = _Peer(buffer, one["number"])
        self._messages.position, self.received, self.missed = kept["position"], kept["received"], kept["missed"]
        self._begins = True
