"""The states of a roll-out, as one table: which event leads from which state to which.

An event that has no entry for a state is refused there. `promoting` and `rolling_back` last while the registry's
aliases change. A process that finds one completes it, so it does not matter where a process ended.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from rl_eval.errors import InputError

State = Literal["idle", "shadow", "canary", "full", "paused", "promoting", "rolling_back", "pinned"]
Event = Literal[
    "begin",  # the registry has a challenger
    "begin_shadow",  # the same, where the config asks for a shadow first
    "train",  # a trigger fires: what it makes needs a roll-out that is free, and a champion that stays
    "advance",  # the evidence suffices: the next share
    "fill",  # the same at the last share below all: all units to the challenger
    "complete",  # the challenger has had all units for long enough
    "roll_back",  # evidence, errors, latency, or a step that took too long
    "pause", "resume", "abort", "promote", "pin", "unpin",  # a person's commands
    "done",  # the aliases are changed
]  # fmt: skip
STATES: Final[tuple[State, ...]] = get_args(State)
EVENTS: Final[tuple[Event, ...]] = get_args(Event)
PREVIOUS: Final = "previous"  # the state that was paused
_COMMANDS: Final[dict[Event, str]] = {  # of a person, as they are typed
    "pause": "pause", "resume": "resume", "abort": "abort", "promote": "promote", "pin": "pin", "unpin": "resume",
}  # fmt: skip

TABLE: Final[dict[State, dict[Event, State | Literal["previous"]]]] = {
    "idle": {"begin": "canary", "begin_shadow": "shadow", "train": "idle", "pin": "pinned"},
    "shadow": {
        "advance": "canary", "roll_back": "rolling_back", "pause": "paused", "abort": "rolling_back",
        "promote": "promoting", "pin": "pinned",
    },
    "canary": {
        "advance": "canary", "fill": "full", "roll_back": "rolling_back", "pause": "paused", "abort": "rolling_back",
        "promote": "promoting", "pin": "pinned",
    },
    "full": {
        "complete": "promoting", "roll_back": "rolling_back", "pause": "paused", "abort": "rolling_back",
        "promote": "promoting", "pin": "pinned",
    },
    # Nothing advances and no time counts, but what fails is still rolled back.
    "paused": {
        "roll_back": "rolling_back", "resume": PREVIOUS, "abort": "rolling_back", "promote": "promoting",
        "pin": "pinned",
    },
    "promoting": {"done": "idle"},
    "rolling_back": {"done": "idle"},
    "pinned": {"pin": "pinned", "unpin": "idle"},
}  # fmt: skip
RUNNING: Final[frozenset[State]] = frozenset({"shadow", "canary", "full", "paused"})


class RefusedEventError(InputError):
    """An event that makes no sense in the state of the roll-out."""


def next_state(state: State, event: Event, previous: State | None = None) -> State:
    """The state after an event.

    Args:
        previous: the state that was paused; needed where the state is `paused`.

    Raises:
        RefusedEventError: the event is not allowed in this state.
    """
    target = TABLE[state].get(event)
    if target is None or (target == PREVIOUS and previous not in ("shadow", "canary", "full")):
        raise RefusedEventError(f"the roll-out is {state}, where {event} is not possible: {_advice(state, event)}")
    return previous if target == PREVIOUS else target  # type: ignore[return-value]


def _advice(state: State, event: Event) -> str:
    """Why a person's command is refused, where there is more to say, and which commands are possible."""
    possible = [_COMMANDS[one] for one in TABLE[state] if one in _COMMANDS]
    if not possible:
        return "wait until its aliases have changed"
    names = list(dict.fromkeys(f"`{command}`" for command in possible))
    listed = f"{', '.join(names[:-1])} and {names[-1]} are" if len(names) > 1 else f"{names[0]} is"
    return f"{_why(state, event)}; {listed} possible now"


def _why(state: State, event: Event) -> str:
    """Why a person's command is refused."""
    if event in ("resume", "unpin"):
        return "nothing is paused or pinned"
    if event == "abort":
        return (
            "no version is the challenger; `rl-eval production pin CONFIG VERSION --reason ...` and then `resume` make "
            "an earlier version the champion again"
        )
    if event == "promote" and state == "idle":
        return "no version is the challenger"
    return {"idle": "no roll-out runs", "paused": "it is paused already", "pinned": "a version is pinned"}.get(
        state, "the roll-out goes on"
    )


def table_text() -> str:
    """The table in Markdown: a row per state, a column per event."""
    used = [event for event in EVENTS if any(event in row for row in TABLE.values())]
    head = ["state", *used]
    rows = [head, ["---"] * len(head)]
    rows += [[state, *(TABLE[state].get(event, "") for event in used)] for state in STATES]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def diagram_text() -> str:
    """The table as a Mermaid state diagram: the events between two states are on one arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, row in TABLE.items():
        for event, target in row.items():
            for to in ("shadow", "canary", "full") if target == PREVIOUS else (target,):
                arrows.setdefault((state, to), []).append(event)
    lines = [f"    {state} --> {to}: {', '.join(events)}" for (state, to), events in arrows.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> idle", *lines]) + "\n"
