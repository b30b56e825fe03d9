"""What requests observe, as rows: numbers as they are, texts and embeddings as the domain of the run reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl_eval.domains.text import TextObserver
from rl_eval.errors import InputError
from rl_eval.serving.bodies import Observed, RefusedError, StoreExperienceBody
from rl_eval.serving.requests import Observation, legal_actions, shaped
from rl_eval.serving.served_policy import ServedPolicy
from rl_eval.serving.threads import in_thread

MAX_WAITING = 1_000  # texts
LENGTH_TOLERANCE = 1e-3  # of an embedding's length of 1: what rounding its numbers to 16 bits, or to 4 digits, makes


@dataclass(frozen=True)
class State:
    """What a body says of one moment, or of N.

    Attributes:
        prefix: of the names of its keys.
    """

    prefix: str
    observation: np.ndarray | None
    embedding: np.ndarray | None
    encoder: str | None
    prompt: str | None
    task: str | None
    applied: Sequence[int] | None
    mask: np.ndarray | None


def state_of(body: Observed) -> State:
    """What a decision is asked about."""
    return State(
        "", body.observation, body.embedding, body.encoder, body.prompt, body.task, body.applied, body.mask
    )  # fmt: skip


def next_state_of(body: StoreExperienceBody) -> State:
    """What followed a decision."""
    return State(
        "next_", body.next_observation, body.next_embedding, body.encoder, body.next_prompt, body.next_task,
        body.next_applied, body.next_mask,
    )  # fmt: skip


class Observing:
    """Makes observations of states; texts in a thread, one after another, since a long one takes a while.

    Args:
        observer: reads texts; None: the domain has none.
    """

    def __init__(self, observer: TextObserver | None):
        self._observer = observer
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    @property
    def encoder(self) -> str | None:
        """The identity of the encoder; None where observations are not embeddings of texts."""
        return None if self._observer is None else self._observer.identity

    async def observation(self, state: State, served: ServedPolicy) -> Observation | None:
        """The observations of a state; None if it has none.

        Raises:
            RefusedError: 422 for another shape, an unreadable text or too little, 409 for another encoder.
        """
        prefix = state.prefix
        if state.observation is not None and (state.embedding is not None or state.prompt is not None):
            raise RefusedError(422, f"give one of {prefix}observation, {prefix}embedding and {prefix}prompt")
        if state.prompt is None and (state.task is not None or state.applied is not None):
            raise RefusedError(422, f"{prefix}task and {prefix}applied are about {prefix}prompt: give it too")
        if state.encoder is not None and state.encoder != self.encoder:
            expected = "observations that are not embeddings" if self.encoder is None else repr(self.encoder)
            raise RefusedError(409, f"encoder={state.encoder!r} is not the one of this policy: it takes {expected}")
        mask = None
        if state.prompt is not None:
            rows, mask = await self._read(state, state.prompt)
            single = True
        elif state.embedding is not None:
            rows, single = self._embedded(state.embedding, state, served)
        elif state.observation is not None:
            rows, single = shaped(
                state.observation, served.spaces.observation.shape or (), f"{prefix}observation",
                self._advice(state.observation, prefix),
            )  # fmt: skip
        else:
            return None
        if state.mask is not None:
            mask = legal_actions(state.mask, served, len(rows), single, f"{prefix}mask")
        return Observation(rows, mask, single)

    async def _read(self, state: State, text: str) -> tuple[np.ndarray, np.ndarray | None]:
        """The observation of a text, `[1, D]`, and its mask `[1, A]`."""
        observer = self._observer
        if observer is None:
            raise RefusedError(422, f"this policy reads no texts: give {state.prefix}observation")
        embedding = None
        if state.embedding is not None:
            rows, single = self._checked(state.embedding, state)
            if not single:
                raise RefusedError(422, f"{state.prefix}embedding is a batch, and {state.prefix}prompt is one text")
            embedding = rows[0]
        if self._waiting >= MAX_WAITING:
            raise RefusedError(503, f"{self._waiting:,} texts wait to be read: ask again later")
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                row, mask = await in_thread(
                    lambda: observer.observe(
                        text, task=state.task, applied=state.applied or (), embedding=embedding
                    )
                )  # fmt: skip
        except InputError as error:
            raise RefusedError(422, str(error)) from error
        finally:
            self._waiting -= 1
        return np.asarray(row, np.float32)[None], None if mask is None else mask[None]

    def _embedded(self, embedding: np.ndarray, state: State, served: ServedPolicy) -> tuple[np.ndarray, bool]:
        """The observations `[N, D]` of embeddings without their texts."""
        if self._observer is None:  # the observations of this policy may well be embeddings: nothing here knows
            return shaped(embedding, served.spaces.observation.shape or (), f"{state.prefix}embedding")
        rows, single = self._checked(embedding, state)
        try:
            return self._observer.observe_embeddings(rows), single
        except InputError as error:
            raise RefusedError(422, str(error)) from error

    def _checked(self, embedding: np.ndarray, state: State) -> tuple[np.ndarray, bool]:
        """Embeddings `[N, W]` of the run's encoder."""
        assert self._observer is not None
        if state.encoder is None:
            raise RefusedError(
                422, f"{state.prefix}embedding needs encoder, the identity of what made it: /health names the one "
                "that this policy takes"
            )  # fmt: skip
        rows, single = shaped(
            embedding, (self._observer.width,), f"{state.prefix}embedding",
            f"; a full observation is given as {state.prefix}observation",
        )  # fmt: skip
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
        if (wrong := np.flatnonzero(abs(lengths - 1.0) > LENGTH_TOLERANCE)).size:
            where = "" if single else f" in row {wrong[0]}"
            raise RefusedError(
                422, (
                    f"{state.prefix}embedding has the length {lengths[wrong[0]]:.4g}{where}: divide it by its length, "
                    "because embeddings of this encoder have length 1"
                )
            )  # fmt: skip
        return rows, single

    def _advice(self, observation: np.ndarray, prefix: str) -> str:
        """For an observation of another shape: what it seems to be."""
        if self._observer is None or observation.shape[-1] != self._observer.width:
            return ""
        return f"; an embedding is given as {prefix}embedding, with encoder"
