"""When to train: once a day, after enough accepted experience, on drift, and a full training once a month.

Time is added up from looks at the clock, and never read off it. Between two looks of one process its steady clock says
how much passed; after a restart the clock of the day does, but never less than nothing or more than a day. So a clock
that jumps fires nothing twice: forward over a restart it counts as a day at most, back as nothing.

The store lets one training run at a time, and hands one whose process has died to the next. `Schedule` keeps the time
in a document of the store, which several processes may watch. A training that is due stays due until one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, get_args

from rl_eval.errors import InputError
from rl_eval.production.learning_config import DAY_S, TriggerConfig

Reason = Literal["daily", "experiences", "drift", "monthly"]
FULL: Reason = "monthly"  # a training from scratch, on all experience that is kept
LONGEST_GAP_S = DAY_S  # that a look at the clock of the day may add
DOCUMENT = "trigger"
ATTEMPTS = 20  # to write the document while others do


@dataclass(frozen=True)
class Clock:
    """One look at the time.

    Attributes:
        at: seconds since 1970.
        steady: seconds of a clock that never jumps, which means nothing to other processes.
        process: a name of this process, and no other's.
    """

    at: float
    steady: float
    process: str


@dataclass(frozen=True)
class TriggerState:
    """The time since trainings.

    Attributes:
        at, steady, process: of the last look.
        since_training, since_full: seconds added up since a training, and since a full one, was started.
        due: why a training was due at the last look, and had not begun; None: none was.
    """

    at: float
    steady: float
    process: str
    since_training: float = 0.0
    since_full: float = 0.0
    due: Reason | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TriggerState:
        """The state that `to_json` gave.

        Raises:
            InputError: it is not one.
        """
        try:
            state = cls(**values)
            numbers = (state.at, state.steady, state.since_training, state.since_full)
            valid = all(isinstance(n, int | float) and abs(n) < 1e15 for n in numbers) and min(numbers[2:]) >= 0
            if not valid or not isinstance(state.process, str) or state.due not in (None, *get_args(Reason)):
                raise ValueError
        except (TypeError, ValueError) as error:
            raise InputError("the state of triggers is damaged: remove it, and time counts from now") from error
        return state


def start(clock: Clock) -> TriggerState:
    """The state before the first training: time counts from now."""
    return TriggerState(clock.at, clock.steady, clock.process)


def look(state: TriggerState, clock: Clock) -> TriggerState:
    """The state with the time that passed since the last look."""
    if clock.process == state.process:
        passed = max(clock.steady - state.steady, 0.0)
    else:
        passed = min(max(clock.at - state.at, 0.0), LONGEST_GAP_S)
    since_training, since_full = state.since_training + passed, state.since_full + passed
    return replace(
        state, at=clock.at, steady=clock.steady, process=clock.process, since_training=since_training,
        since_full=since_full,
    )  # fmt: skip


def due(state: TriggerState, config: TriggerConfig, accepted: int, drifted: bool) -> Reason | None:
    """Why a training is due; None: none is.

    Args:
        state: after a `look`.
        accepted: experience that no training has.
        drifted: whether traffic is no longer what the champion learned from.
    """
    if config.monthly is not None and state.since_full >= config.monthly:
        return FULL  # no matter what was collected: it starts from scratch
    if accepted < config.least:
        return None
    if drifted and config.drift and state.since_training >= config.drift_pause:
        return "drift"
    if config.experiences is not None and accepted >= config.experiences:
        return "experiences"
    if config.daily is not None and state.since_training >= config.daily:
        return "daily"
    return None


def began(state: TriggerState, reason: Reason) -> TriggerState:
    """The state once a training has begun."""
    return replace(state, since_training=0.0, since_full=0.0 if reason == FULL else state.since_full, due=None)


class Documents(Protocol):
    """What a `Schedule` needs of the store: a document by name, written only where it still has its number."""

    def document(self, name: str) -> Any: ...  # noqa: D102
    def swap_document(self, number: int, body: dict[str, Any], name: str) -> bool: ...  # noqa: D102


class Schedule:
    """The triggers of one policy, on the state in the store."""

    def __init__(self, store: Documents, config: TriggerConfig):
        self._store, self._config = store, config

    def due(self, clock: Clock, accepted: int, drifted: bool) -> Reason | None:
        """Look at the clock, and say why a training is due; `began` has to follow once the store has started it."""
        return self._change(clock, lambda state: replace(state, due=due(state, self._config, accepted, drifted))).due

    def began(self, clock: Clock, reason: Reason) -> None:
        """A training has begun."""
        self._change(clock, lambda state: began(state, reason))

    def _change(self, clock: Clock, change: Callable[[TriggerState], TriggerState]) -> TriggerState:
        for _ in range(ATTEMPTS):
            document = self._store.document(DOCUMENT)
            state = look(TriggerState.from_json(document.body), clock) if document.number else start(clock)
            state = change(state)
            if self._store.swap_document(document.number, state.to_json(), DOCUMENT):
                return state
        raise InputError("the state of triggers changes all the time: let fewer processes watch it")
