"""The section `loop` of a production config."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from rl_eval.production.section import Duration, Section


class LoopConfig(Section):
    """How the control loop works.

    Attributes:
        turn: time between two turns.
        held_out: share of accepted experience that no training learns from: proofs and forgetting are measured on it.
        wrong_below: a decision whose reward is below it counts as wrong, which calibrates the bound of human review;
            None: no bound is calibrated, and nothing goes to review.
        most_reviews: decisions that wait for a person at most; newer ones replace the oldest, which the policy decides.
        reference_episodes: fixed episodes on which each champion is compared with the first; 0: none.
        reference: the environment of these episodes, a mapping with `name`; None: that of the run.
        machine: a row of the price list; None: what trainings cost is not known.
    """

    turn: Duration = 1.0
    held_out: float = Field(0.2, gt=0, lt=0.9)
    wrong_below: float | None = Field(None, allow_inf_nan=False)
    most_reviews: int = Field(500, ge=1, le=100_000)
    reference_episodes: int = Field(100, ge=0, le=10_000)
    reference: dict[str, Any] | None = None
    machine: str | None = None
