"""The row of the store that says where the roll-out is; servers read `share`, `shadow` and `challenger` of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from rl_eval.errors import InputError
from rl_eval.production.states import STATES, State


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
            raise InputError("the row of the roll-out is damaged: remove it, and the roll-out begins anew")
        return row

    def body(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)
