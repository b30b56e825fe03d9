"""When to train: once a day, after enough accepted experience, on drift, and a full training once a month.

Time is added up from looks at the clock, and never read off it. Between two looks of one process its steady clock says
how much passed; after a restart the clock of the day does, but never less than nothing nor more than a day. So a clock
that jumps fires nothing twice: forward over a restart it counts as a day at most, back as nothing.

One training runs at a time. Whoever runs it renews its lease; where it says nothing for too long it counts as dead, and
what fired it fires again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from rl_eval.errors import InputError
from rl_eval.production.learning_config import DAY_S, TriggerConfig

Reason = Literal["daily", "experiences", "drift", "monthly"]
REASONS: tuple[Reason, ...] = ("daily", "experiences", "drift", "monthly")
LONGEST_GAP_S = DAY_S  # that a look at the clock of the day may add


@dataclass(frozen=True)
class TriggerState:
    """What is known of trainings, to be kept in the store; see `to_json`.

    Attributes:
        at: seconds since 1970 at the last look.
        process: the process that looked, and its steady clock then, in seconds.
        since_training, since_full: seconds added up since a training, and since a full one, was started.
        running: the training that runs; None: none does.
        reason: why it was started.
        silent: seconds since it was last heard of.
    """

    at: float
    process: str
    steady: float
    since_training: float = 0.0
    since_full: float = 0.0
    running: str | None = None
    reason: Reason | None = None
    silent: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TriggerState:
        """The state that `to_json` gave.

        Raises:
            InputError: it is none.
        """
        try:
            state = cls(**values)
            numbers = (state.at, state.steady, state.since_training, state.since_full, state.silent)
            texts = (state.process, state.running or "")
            valid = all(isinstance(n, int | float) and abs(n) < 1e15 for n in numbers) and min(numbers[2:]) >= 0
            valid = valid and all(isinstance(text, str) for text in texts) and state.reason in (None, *REASONS)
            if not valid or (state.running is None) != (state.reason is None):
                raise ValueError
        except (TypeError, ValueError) as error:
            raise InputError("the state of triggers is damaged: remove it, and time counts from now") from error
        return state


@dataclass(frozen=True)
class Clock:
    """One look at the time.

    Attributes:
        at: seconds since 1970.
        steady: seconds of a clock that never jumps, which is of no meaning to other processes.
        process: a name of this process, and no other's.
    """

    at: float
    steady: float
    process: str


def start(clock: Clock) -> TriggerState:
    """The state before the first training: time counts from now."""
    return TriggerState(clock.at, clock.process, clock.steady)


def look(state: TriggerState, clock: Clock) -> TriggerState:
    """The state with the time that passed since the last look."""
    if clock.process == state.process:
        passed = max(clock.steady - state.steady, 0.0)
    else:
        passed = min(max(clock.at - state.at, 0.0), LONGEST_GAP_S)
    return replace(
        state,
        at=clock.at,
        process=clock.process,
        steady=clock.steady,
        since_training=state.since_training + passed,
        since_full=state.since_full + passed,
        silent=state.silent + passed if state.running is not None else 0.0,
    )


def due(state: TriggerState, config: TriggerConfig, accepted: int, drifted: bool) -> Reason | None:
    """Why a training is due; None: none is, or one runs.

    Args:
        state: after a `look`.
        accepted: experience that no training has used.
        drifted: whether traffic is no longer what the champion learned from.
    """
    if state.running is not None:
        return None
    if config.monthly is not None and state.since_full >= config.monthly:
        return "monthly"  # whatever was collected: it starts from scratch
    if accepted < config.least:
        return None
    if drifted and config.drift and state.since_training >= config.drift_pause:
        return "drift"
    if config.experiences is not None and accepted >= config.experiences:
        return "experiences"
    if config.daily is not None and state.since_training >= config.daily:
        return "daily"
    return None


def begin(state: TriggerState, training: str, reason: Reason) -> TriggerState:
    """The state once a training has started; write it only where the one it was made from still stands.

    Raises:
        InputError: one runs already.
    """
    if state.running is not None:
        raise InputError(f"training {state.running} runs already: wait for it, or until its lease ends")
    since_full = 0.0 if reason == "monthly" else state.since_full
    return replace(state, running=training, reason=reason, silent=0.0, since_training=0.0, since_full=since_full)


def renew(state: TriggerState, training: str) -> TriggerState:
    """The state once a training was heard of.

    Raises:
        InputError: it is not the one that runs; it must end without a trace.
    """
    _require(state, training)
    return replace(state, silent=0.0)


def end(state: TriggerState, training: str) -> TriggerState:
    """The state once a training has ended, whatever came of it; raises as `renew` does."""
    _require(state, training)
    return replace(state, running=None, reason=None, silent=0.0)


def give_up_dead(state: TriggerState, config: TriggerConfig, lease: float) -> TriggerState:
    """The state without a training that said nothing for a whole lease; what had fired it is due again."""
    if state.running is None or state.silent <= lease:
        return state
    free = replace(state, running=None, reason=None, silent=0.0)
    if state.reason == "monthly":
        return replace(free, since_full=config.monthly or 0.0)
    return replace(free, since_training=config.daily or 0.0) if state.reason == "daily" else free


def _require(state: TriggerState, training: str) -> None:
    if state.running != training:
        raise InputError(f"training {training} lost its lease, and {state.running or 'none'} runs now: stop it")
