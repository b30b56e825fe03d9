"""The sections `registry`, `audit` and `rollout` of a production config."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rl_eval.production.collection_config import RETENTION_S
from rl_eval.production.section import Duration, FileName, Section

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class RegistryConfig(Section):
    """Where versions and aliases are kept.

    Attributes:
        kind: a folder, or the model registry of MLflow in SQLite (extra `mlflow`).
        path: of its folder; a relative one is below the folder of embedded parts.
        key_file: the owner's key; with one, versions are signed, and those without its signature are refused.
    """

    kind: Literal["folder", "mlflow"] = "folder"
    path: FileName = "registry"
    key_file: FileName | None = None


class AuditConfig(Section):
    """The audit log: a file; a relative one is below the folder of embedded parts."""

    file: FileName = "audit.jsonl"


class StepConfig(Section):
    """How long a step lasts, and on how many units it is decided.

    Attributes:
        min: before it, nothing is promoted.
        max: after it, what is not decided is rolled back. Units are kept for 7 days, so it is shorter.
        units: of the evidence of a step. They are spread evenly over `min`, so that no busy hour decides for a day.
    """

    min: Duration = 86_400.0
    max: Duration = 6 * 86_400.0
    units: int = Field(20_000, ge=100, le=1_000_000)

    @model_validator(mode="after")
    def _ordered(self) -> StepConfig:
        if not self.min < self.max <= RETENTION_S:
            raise ValueError("min must be below max, and max at most 7d, for as long as decisions are kept")
        return self


class GuardConfig(Section):
    """What is rolled back at once.

    Attributes:
        error_margin: the share of failed decisions may be larger than the champion's by this.
        slow: seconds; a decision that takes longer is slow.
        slow_margin: the share of slow decisions may be larger than the champion's by this.
    """

    error_margin: float = Field(0.01, ge=0.0, lt=1.0)
    slow: Duration = 0.25
    slow_margin: float = Field(0.01, ge=0.0, lt=1.0)


class RolloutConfig(Section):
    """How a challenger takes over.

    Attributes:
        steps: shares of units, ascending; then all.
        shadow: whether it first decides on all units without acting.
        margin: the challenger is promoted once its mean reward is shown to be no lower than the champion's by this.
        low, high: bounds of a unit's reward; they have to hold. Where they are left out, those of `quality.reward`.
        alpha: chance that an equal or better challenger is rolled back on evidence, and that one worse by more than
            the margin passes a step.
        independent: what counts once: a unit, with its first decision in a step, or every decision.
        reward_window: a decision counts once it is this old, in the order of decisions.
        missing: what a decision counts whose reward did not come by then: the lowest reward, or nothing.
    """

    steps: list[Share] = Field([0.1, 0.5], min_length=1, max_length=10)
    shadow: bool = False
    margin: float = Field(0.05, ge=0.0)
    low: float = Field(0.0, ge=-1e9, le=1e9)
    high: float = Field(1.0, ge=-1e9, le=1e9)
    alpha: float = Field(0.05, ge=1e-6, le=0.25)
    independent: Literal["units", "decisions"] = "units"
    reward_window: Duration = 3_600.0
    missing: Literal["low", "leave_out"] = "low"
    step: StepConfig = StepConfig()
    guards: GuardConfig = GuardConfig()

    @model_validator(mode="after")
    def _consistent(self) -> RolloutConfig:
        if not self.low < self.high:
            raise ValueError("low must be below high: they are the bounds of a reward")
        if self.margin > self.high - self.low:
            raise ValueError("margin is larger than any difference of rewards between low and high")
        if not all(first < second for first, second in pairwise(self.steps)):
            raise ValueError("steps must be ascending shares, such as [0.1, 0.5]")
        if self.reward_window >= self.step.max:
            raise ValueError("reward_window must be shorter than step.max, or no decision ever counts")
        return self
