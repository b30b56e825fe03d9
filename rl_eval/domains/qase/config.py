"""The config of the Qase domain: source of cases and results, held-out shares, and live execution."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from rl_eval.domains import EnvConfig

LEVELS = 8  # of priority: 0 last, 7 first

_Share = Annotated[float, Field(gt=0.0, lt=1.0)]
_UNITS_MS = {"ms": 1.0, "s": 1e3, "m": 60e3, "h": 3600e3}
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


class Config(EnvConfig):
    """The defaults are those of `conf/env/qase.yaml`, key by key."""

    name: Literal["qase"] = "qase"
    mode: Literal["recorded", "live"] = Field(
        "recorded", description="verdicts from the record, or from running the cases over HTTP"
    )
    data: Literal["synthetic", "qase", "history"] = Field("synthetic", description="source of cases and results")
    path: str | None = Field(None, description="qase, history: the export or CSV; null: QASE_DATA_PATH")
    results: str | None = Field(None, description="qase: path of the results, if not in path")
    cycles: int = Field(1200, ge=5, le=20_000, description="synthetic: test cycles")
    signal: bool = Field(True, description="synthetic: fields and recent verdicts say more than how often a case fails")
    data_seed: int = Field(0, ge=0, description="seed of the generator and of which cases are withheld")
    validation_share: _Share = Field(0.1, description="share of the judged cycles for model selection")
    test_share: _Share = Field(0.3, description="share of the judged cycles held out for the gate: the latest ones")
    unseen_share: float = Field(0.2, ge=0.0, lt=1.0, description="share of cases never shown in training")
    min_cases: int = Field(6, ge=2, le=10_000, description="cycles with fewer cases are not judged")
    budget: float | str | None = Field(
        None, description="time for a cycle: a share of its full time (0.25), or a time (90s, 20m, 2h); null: all of it"
    )
    weigh_time: bool | None = Field(None, description="whether pairs count time; null: only live or under a budget")
    base_url: str | None = Field(None, description="live: the service under test; null: the embedded service")
    timeout_s: float = Field(10.0, gt=0.0, le=600.0, description="live: time limit of a request")
    warmup: int = Field(40, ge=2, le=1000, description="live: cycles that run with all cases before the agent chooses")
    keep: int = Field(64, ge=1, le=10_000, description="live: number of newest cycles to learn from")
    held_out_cycles: int = Field(80, ge=1, le=10_000, description="live: builds of each held-out part")

    @property
    def timed(self) -> bool:
        """Whether a pair of cases counts the time that its order costs, rather than 1."""
        return self.mode == "live" or self.budget is not None if self.weigh_time is None else self.weigh_time

    @field_validator("budget")
    @classmethod
    def _is_budget(cls, budget: float | str | None) -> float | str | None:
        if isinstance(budget, str):
            milliseconds(budget)
        elif budget is not None and not 0.0 < budget <= 1.0:
            raise ValueError("give a share above 0 and up to 1, or a time such as 90s, 20m or 2h")
        return budget

    @model_validator(mode="after")
    def _leaves_something(self) -> Config:
        if self.validation_share + self.test_share > 0.9:
            raise ValueError(
                f"validation_share={self.validation_share:g} and test_share={self.test_share:g} leave less than "
                "a tenth of the cycles for training: lower one of them"
            )
        return self


def milliseconds(text: str) -> float:
    """A time such as `90s`, `20m`, `1.5h` or `1h30m`.

    Raises:
        ValueError: another format, or a time that is not positive.
    """
    parts = _TIME.findall(text)
    total = sum(float(number) * _UNITS_MS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or total <= 0 or not math.isfinite(total):
        raise ValueError("give a time such as 90s, 20m or 1h30m")
    return total
