"""Requests as the server answers them: checked against what is served, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.serving.bodies import MAX_BATCH, RefusedError
from rl_eval.serving.served_policy import ServedPolicy


@dataclass(frozen=True)
class Observation:
    """N observations.

    Attributes:
        rows: `[N, …]` float32, as the policy takes them.
        mask: bool `[N, A]`; None: every action is legal.
        single: whether the request had one observation, not a batch.
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
    seed: int | None = None

    @property
    def exact(self) -> bool:
        """Whether no decision may depend on the others, to the last bit.

        That is so when a gate plays episodes together, and where equal requests must have equal answers.
        """
        return self.seed is not None or (not self.record and len(self.observation.rows) > 1)


def shaped(numbers: np.ndarray, shape: tuple[int, ...], name: str, advice: str = "") -> tuple[np.ndarray, bool]:
    """Rows `[N, …]`, and whether a single one was given.

    Args:
        advice: ends the sentence about another shape.

    Raises:
        RefusedError: 422 for another shape, or too many rows.
    """
    if numbers.shape == shape:
        return numbers[None], True
    if numbers.shape[1:] != shape or not shape:
        raise RefusedError(
            422, f"{name} has the shape {list(numbers.shape)}: this policy takes {list(shape)}, or rows of it{advice}"
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
        raise RefusedError(422, f"{name} needs Discrete actions, and this policy's are continuous: remove it")
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
        raise RefusedError(422, f"unit has {len(named)} names for {len(observation.rows)} rows: give one for each row")
    return named


def network_action(action: np.ndarray, served: ServedPolicy) -> bytes:
    """An action of the environment as it is stored: int64 from 0, or float32 `[A]`.

    Raises:
        RefusedError: 422, it is not an action of this policy.
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
