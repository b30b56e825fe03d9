"""The row of the store that says where the roll-out is; servers read `share`, `shadow` and `challenger` of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rl_eval.errors import InputError
from rl_eval.production.states import STATES, Event, State, next_state


@dataclass(frozen=True)
class Row:
    """Where the roll-out is.

    Attributes:
        state, previous: the state, and the one that was paused.
        step: index of the share in `rollout.steps`.
        share: of the units that the challenger decides on.
        shadow: whether the challenger decides on all units without acting.
        challenger, champion: numbers of versions.
        target: the version that is pinned, or that a promotion is about.
        since: seconds since 1970; decisions from then on belong to the step.
        elapsed: seconds for which somebody watched the step.
        calls: version -> decisions, failures and slow ones before the roll-out began.
        reason: why the last change was made.
        outcome: how the last roll-out ended.
    """

    state: State = "idle"
    previous: State | None = None
    step: int = 0
    share: float = 0.0
    shadow: bool = False
    challenger: int | None = None
    champion: int | None = None
    target: int | None = None
    since: float = 0.0
    elapsed: float = 0.0
    calls: Mapping[str, Sequence[int]] = field(default_factory=dict)
    reason: str = ""
    outcome: str = ""

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Row:
        """The row in a document.

        Raises:
            InputError: it is of another version of this program, or damaged.
        """
        try:
            row = cls(**body)
        except TypeError as error:
            raise InputError("the row of the roll-out is of another version of this program: remove it") from error
        if row.state not in STATES or not 0.0 <= row.share <= 1.0:
            raise InputError("the row of the roll-out is damaged: remove it, and the roll-out begins again")
        return row

    def body(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)

    def after(self, event: Event, reason: str, now: float, steps: Sequence[float], version: int | None = None) -> Row:
        """The row after an event.

        Args:
            now: seconds since 1970.
            steps: the shares of the roll-out's steps.
            version: what a pin is about.

        Raises:
            RefusedEventError: the event is not allowed now.
        """
        target = next_state(self.state, event, self.previous)
        changed = dataclasses.replace(self, state=target, previous=None, reason=reason[:2000])
        if event == "pause":
            return dataclasses.replace(changed, previous=self.state)
        if event == "resume":
            return changed
        changed = dataclasses.replace(
            changed, since=now, elapsed=0.0, step=0, share=0.0, shadow=target == "shadow", target=None
        )
        if target == "canary":
            step = self.step + 1 if self.state == "canary" else 0
            return dataclasses.replace(changed, step=step, share=steps[step])
        if target == "full":
            return dataclasses.replace(changed, share=1.0)
        if target == "promoting":  # all units, until it is the champion: none goes back for the moment in between
            return dataclasses.replace(changed, target=self.challenger, share=1.0)
        return dataclasses.replace(changed, target=version, challenger=None) if target == "pinned" else changed
