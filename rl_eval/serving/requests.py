"""Requests as the server answers them: checked against what is served, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.domains.text import TextObserver
from rl_eval.errors import InputError
from rl_eval.serving.bodies import MAX_BATCH, Observed, RefusedError
from rl_eval.serving.served_policy import ServedPolicy


@dataclass(frozen=True)
class Observation:
    """N observations.

    Attributes:
        rows: `[N, …]` float32, as the policy takes them.
        mask: bool `[N, A]`; None: every action is legal.
        single: whether the request had one observation and no batch.
    """

    rows: np.ndarray
    mask: np.ndarray | None
    single: bool


@dataclass(frozen=True)
class SelectRequest:
    """A request for N decisions."""

    observation: Observation
    greedy: bool
    units: list[str] | None
    record: bool

    @property
    def exact(self) -> bool:
        """Whether no decision may depend on the others, to the last bit, as when a gate plays episodes together."""
        return not self.record and len(self.observation.rows) > 1


def observation_of(body: Observed, served: ServedPolicy, observer: TextObserver | None) -> Observation:
    """What a body observed.

    Raises:
        RefusedError: 422 for another shape, 409 for another encoder.
    """
    observed = [name for name in ("observation", "embedding", "prompt") if getattr(body, name) is not None]
    if len(observed) != 1:
        listed = "none of them" if not observed else " and ".join(observed)
        raise RefusedError(422, f"give one of observation, embedding and prompt, not {listed}")
    if body.encoder is not None and (observer is None or body.encoder != observer.identity):
        expected = "observations that are no embeddings" if observer is None else repr(observer.identity)
        raise RefusedError(409, f"encoder={body.encoder!r} is another one: this policy takes {expected}")
    if body.prompt is not None:
        row, mask = read_text(body.prompt, observer)
        rows, single = row[None], True
        mask = None if mask is None else mask[None]
    else:
        mask = None
        rows, single = shaped(getattr(body, observed[0]), served.spaces.observation.shape or (), observed[0])
    if body.mask is not None:
        mask = legal_actions(body.mask, served, len(rows), single, "mask")
    return Observation(rows, mask, single)


def read_text(text: str, observer: TextObserver | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The observation of a text, `[D]`, and its mask.

    Raises:
        RefusedError: 422, texts cannot be read here, or not this one.
    """
    if observer is None:
        raise RefusedError(422, "this policy reads no texts: give observation")
    try:
        row, mask = observer.observe(text)
    except InputError as error:
        raise RefusedError(422, str(error)) from error
    return np.asarray(row, np.float32), mask


def shaped(numbers: np.ndarray, shape: tuple[int, ...], name: str) -> tuple[np.ndarray, bool]:
    """Rows `[N, …]`, and whether a single one was given.

    Raises:
        RefusedError: 422 for another shape, or too many rows.
    """
    if numbers.shape == shape:
        return numbers[None], True
    if numbers.shape[1:] != shape or not shape:
        raise RefusedError(
            422, f"{name} has the shape {list(numbers.shape)}: this policy takes {list(shape)}, or rows of it"
        )
    if len(numbers) > MAX_BATCH:
        raise RefusedError(422, f"{name} has {len(numbers):,} rows: a batch has at most {MAX_BATCH:,}")
    return numbers, False


def legal_actions(flags: np.ndarray, served: ServedPolicy, rows: int, single: bool, name: str) -> np.ndarray:
    """A mask `[N, A]`.

    Raises:
        RefusedError: 422 for another shape, or a row without a legal action.
    """
    if served.actions is None:
        raise RefusedError(422, f"{name} needs Discrete actions, and this policy's are continuous: leave it out")
    mask = flags[None] if single and flags.ndim == 1 else flags
    if mask.shape != (rows, served.actions):
        expected = [served.actions] if single else [rows, served.actions]
        raise RefusedError(422, f"{name} has the shape {list(flags.shape)}: it must be {expected}")
    if not mask.any(axis=1).all():
        raise RefusedError(
            422, f"{name} allows no action in row {int((~mask.any(axis=1)).argmax())}: one must be legal"
        )
    return mask


def units_of(units: str | list[str] | None, observation: Observation) -> list[str] | None:
    """A unit for each row.

    Raises:
        RefusedError: 422, another number of them.
    """
    if units is None:
        return None
    named = [units] if isinstance(units, str) else units
    if len(named) != len(observation.rows):
        raise RefusedError(422, f"unit names {len(named)}, and there are {len(observation.rows)} rows: name one each")
    return named


def network_action(action: np.ndarray, served: ServedPolicy) -> bytes:
    """An action of the environment as it is stored: int64 from 0, or float32 `[A]`.

    Raises:
        RefusedError: 422, it is no action of this policy.
    """
    space: Any = served.spaces.action
    if served.actions is not None:
        number = int(action) - int(space.start) if action.shape == () else -1
        if not 0 <= number < served.actions:
            raise RefusedError(
                422, f"action must be a whole number from {space.start} to {space.start + served.actions - 1}"
            )
        return np.int64(number).tobytes()
    if action.shape != space.shape:
        raise RefusedError(422, f"action has the shape {list(action.shape)}: it must be {list(space.shape)}")
    return action.astype(np.float32).tobytes()
