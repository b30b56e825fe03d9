"""Values of any Gymnasium space: N of them as rows of one array, as one batch for a policy, and checked.

Spaces of one array (Box, Discrete, MultiDiscrete, MultiBinary) have rows `[N, …]`. Rows of any other space are an
object array `[N]`, each a value of the space. A batch has the form of the space: a dict of batches, a tuple of batches,
an array `[N, …]`, and for Text, Sequence, Graph and OneOf a list of N values.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

NUMBERS = "fiub"  # kinds of numpy types
# How far outside a bound of a Box an action may be because of rounding, relative to the bound or 1.
ROUNDING = 1e-5
MAX_SPACE_TEXT = 160  # characters
_ARRAYS = (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)


class OneHot(gym.spaces.Box):
    """The one-hot vectors of a Discrete space.

    Attributes:
        discrete: the space whose values they mean.
    """

    def __init__(self, discrete: gym.spaces.Discrete):
        super().__init__(0, 1, (int(discrete.n),), np.int64)
        self.discrete = discrete


def has_arrays(space: gym.Space) -> bool:
    """Whether a value of the space is one array of numbers, so that N of them are one too."""
    return isinstance(space, _ARRAYS)


def as_it_is(space: gym.Space) -> gym.Space:
    """The space as the environment has it: a Discrete one where ours is its one-hot vectors."""
    return space.discrete if isinstance(space, OneHot) else space


def mask_size(action: gym.Space) -> int:
    """How many booleans an action mask has: one per action, for MultiDiscrete one per choice of each number; else 0."""
    if isinstance(action, gym.spaces.Discrete):
        return int(action.n)
    return int(action.nvec.sum()) if isinstance(action, gym.spaces.MultiDiscrete) else 0


def legal_parts(action: gym.Space, actions: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Which actions a mask allows, bool in the shape of `actions`: `[N]`, for MultiDiscrete `[N, …]`, each number.

    Args:
        mask: bool `[N, A]`, see `mask_size`.
    """
    columns = (actions - action.start).reshape(len(actions), -1)  # type: ignore[attr-defined]
    if isinstance(action, gym.spaces.MultiDiscrete):
        columns = columns + np.concatenate([[0], np.cumsum(action.nvec.reshape(-1))[:-1]])
    return np.take_along_axis(mask, columns, axis=1).reshape(actions.shape)


def describe(value: Any) -> str:
    """Type and shape of a value, as a sentence names them."""
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, bool | int | float | str | None):
        return f"{value!r:.40} ({type(value).__name__})"
    return type(value).__name__


def space_text(space: gym.Space) -> str:
    """A space in one line, as a sentence names it; bounds that differ from number to number only by their range."""
    text = " ".join(str(space).split())
    if len(text) <= MAX_SPACE_TEXT:
        return text
    if isinstance(space, gym.spaces.Box):
        ends = ([f"{bound.min():g}", f"{bound.max():g}"] for bound in (space.low, space.high))
        low, high = (" to ".join(dict.fromkeys(pair)) for pair in ends)
        return f"Box({low}, {high}, {space.shape}, {space.dtype})"
    return f"{text[:MAX_SPACE_TEXT]}…"


def as_rows(space: gym.Space, values: Sequence[Any]) -> np.ndarray:
    """N values of a space as rows."""
    if has_arrays(space):
        shape = space.shape or ()
        return np.asarray(values, space.dtype).reshape(len(values), *shape)
    rows = np.empty(len(values), object)
    for index, value in enumerate(values):
        rows[index] = value
    return rows


def blank(space: gym.Space) -> Any:
    """A value of a space where there is none yet: zeros where there are numbers."""
    if isinstance(space, gym.spaces.Dict):
        return {name: blank(part) for name, part in space.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(map(blank, space))
    if isinstance(space, gym.spaces.Box | gym.spaces.MultiBinary):
        return np.zeros(space.shape, space.dtype)
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        return space.start
    return copy.deepcopy(space).sample()  # the environment's own draws are not disturbed


def batch(space: gym.Space, rows: np.ndarray) -> Any:
    """Rows of a space as a policy gets them; one-hot vectors become the numbers that they mean.

    Values in dicts, tuples and lists are copies: a policy that writes into them changes nothing else.
    """
    if isinstance(space, OneHot):
        return rows.argmax(axis=1) + space.discrete.start
    return _batch(space, rows)


def _batch(space: gym.Space, rows: Any) -> Any:
    if isinstance(space, gym.spaces.Dict):
        return {name: _batch(part, [row[name] for row in rows]) for name, part in space.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(_batch(part, [row[index] for row in rows]) for index, part in enumerate(space))
    if has_arrays(space):
        return rows if isinstance(rows, np.ndarray) else as_rows(space, rows)
    return copy.deepcopy(list(rows))


def values_of(space: gym.Space, answer: Any) -> list[Any]:
    """The values in a batch, or in a list of them, not yet checked.

    Raises:
        ValueError: parts of different lengths, or no batch.
    """
    if isinstance(space, gym.spaces.Dict) and isinstance(answer, Mapping):
        if set(answer) != set(space):
            raise ValueError("another set of keys")
        parts = [values_of(part, answer[name]) for name, part in space.items()]
        return [dict(zip(space, values, strict=True)) for values in zip(*parts, strict=True)]
    if isinstance(space, gym.spaces.Tuple) and isinstance(answer, tuple):
        parts = [values_of(part, values) for part, values in zip(space, answer, strict=True)]
        return list(zip(*parts, strict=True))
    if (
        isinstance(answer, str | bytes)
        or not isinstance(answer, Sequence | np.ndarray)
        or getattr(answer, "shape", None) == ()
    ):
        raise ValueError("no batch")
    return list(answer)


def as_observation(value: Any, space: gym.spaces.Box) -> np.ndarray | None:
    """An observation of a Box in its type, whether finite or not; None if the space does not allow it."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # rows of different lengths
        return None
    if array.dtype.kind not in NUMBERS or array.shape != space.shape:
        return None
    if not np.can_cast(array.dtype, space.dtype, "same_kind"):
        return None
    with np.errstate(over="ignore"):  # it is then infinite, and refused as that
        converted = array.astype(space.dtype)
    return converted if converted.dtype.kind == "f" or (converted == array).all() else None


class NotInSpaceError(ValueError):
    """A value that a space does not allow; says where in the space, and what is needed."""


def checked_value(space: gym.Space, value: Any, *, action: bool = False, at: str = "") -> Any:
    """A copy of a value in the types of its space.

    Args:
        action: whether it is one; an action is in the bounds of a Box. Observations often exceed them a little.
        at: where in a Dict or Tuple it is.

    Raises:
        NotInSpaceError: the space does not allow it.
    """
    if isinstance(space, gym.spaces.Dict):
        if not isinstance(value, Mapping) or set(value) != set(space):
            keys = f" with the keys {sorted(map(str, value))[:8]}" if isinstance(value, Mapping) else ""
            raise NotInSpaceError(f"{_place(at)}{describe(value)}{keys} instead of a dict with the keys {list(space)}")
        return {
            name: checked_value(part, value[name], action=action, at=f"{at}[{name!r}]") for name, part in space.items()
        }
    if isinstance(space, gym.spaces.Tuple):
        if not isinstance(value, tuple | list) or len(value) != len(space):
            raise NotInSpaceError(f"{_place(at)}{describe(value)} instead of a tuple of {len(space)}")
        parts = enumerate(zip(space, value, strict=True))
        return tuple(checked_value(part, one, action=action, at=f"{at}[{index}]") for index, (part, one) in parts)
    if isinstance(space, gym.spaces.Box):
        return _box_value(space, value, action, at)
    if has_arrays(space):
        array = _whole_numbers(value)
        if array is None or array.shape != (space.shape or ()) or not _contains(space, array):
            shown = f"{array.tolist()}"[:60] if array is not None else describe(value)
            raise NotInSpaceError(f"{_place(at)}{shown}, which is not in {space_text(space)}")
        return array.astype(space.dtype) if array.ndim else int(array)
    try:
        inside = space.contains(value)
    except Exception:  # spaces of anyone raise anything on values of other types
        inside = False
    if not inside:
        raise NotInSpaceError(f"{_place(at)}{describe(value)}, which is not in {space_text(space)}")
    return copy.deepcopy(value)


def _box_value(space: gym.spaces.Box, value: Any, action: bool, at: str) -> np.ndarray:
    array = as_observation(value, space) if not action else _action_array(value, space)
    if array is None:
        raise NotInSpaceError(f"{_place(at)}{describe(value)}, which has not the shape and type of {space_text(space)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotInSpaceError(f"{_place(at)}{describe(value)} with a number that is not finite")
    if not action:
        return array
    rounding = ROUNDING * np.maximum(1, np.abs(array))
    if (array < space.low - rounding).any() or (array > space.high + rounding).any():
        raise NotInSpaceError(f"{_place(at)}{str(array.tolist())[:60]}, which is not in {space_text(space)}")
    converted = within(space, array)
    if converted.dtype.kind == "f" and not np.isfinite(converted).all():
        raise NotInSpaceError(f"{_place(at)}{str(array.tolist())[:60]}, which is infinite in {space.dtype}")
    if converted.dtype.kind in "iu" and not whole(array).all():
        raise NotInSpaceError(
            f"{_place(at)}{str(array.tolist())[:60]} with a fraction, which is not in {space_text(space)}"
        )
    return converted


def whole(values: np.ndarray) -> np.ndarray:
    """Which numbers are integers, or not one because of rounding; bool of the same shape."""
    if values.dtype.kind != "f":
        return np.ones(values.shape, bool)
    with np.errstate(invalid="ignore"):  # of infinite ones
        return np.abs(values - np.rint(values)) <= np.maximum(ROUNDING, np.spacing(np.abs(values)))


def within(box: gym.spaces.Box, actions: np.ndarray) -> np.ndarray:
    """Actions `[…, *shape]` of a Box, moved into its bounds and, if it has integers, rounded; in its type.

    A number that is too large for the type becomes infinite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if np.dtype(box.dtype).kind in "iu":
            rounded = np.clip(np.rint(actions), box.low, box.high).astype(box.dtype)
            return np.where(actions >= box.high, box.high, rounded)  # a float cannot be the largest int64
        return np.clip(actions, box.low, box.high).astype(box.dtype)


def _action_array(value: Any, space: gym.spaces.Box) -> np.ndarray | None:
    """An action of a Box before its bounds are checked; whole numbers and float64 are numbers as well."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "iuf" and array.shape == space.shape else None


def _contains(space: gym.Space, array: np.ndarray) -> bool:
    converted = array.astype(space.dtype)
    # compared as Python's numbers: unsigned ones and a negative start have no common integer type
    return bool((converted.astype(object) == array.astype(object)).all()) and space.contains(converted)


def _whole_numbers(value: Any) -> np.ndarray | None:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    return array if array.dtype.kind in "iu" else None


def _place(at: str) -> str:
    return f"{at}: " if at else ""
