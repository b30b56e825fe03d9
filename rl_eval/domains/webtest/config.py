"""The config of the webtest domain: what is tested, how long, and what a tester may do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rl_eval.domains import EnvConfig


class Config(EnvConfig):
    """The defaults are those of `conf/env/webtest.yaml`, key by key."""

    name: Literal["webtest"] = "webtest"
    mode: Literal["simulated", "browser"] = Field(
        "simulated", description="generated applications, or one in Chromium: the embedded shop, or that of base_url"
    )
    candidates: int = Field(24, ge=8, le=64, description="most actions of a page, including two of the browser")
    max_actions: int = Field(60, ge=5, le=1000, description="actions of an episode")
    mask: bool = Field(True, description="whether controls that log out or delete are illegal actions")
    applications: int = Field(200, ge=1, le=100_000, description="generated applications of the training part")
    data_seed: int = Field(0, ge=0, description="seed of the generated applications")
    base_url: str | None = Field(None, description="browser: first page of the application; null: the embedded shop")
    judgements: str | None = Field(None, description="browser: judgements.json of a report")
    timeout_s: float = Field(10.0, gt=0.0, le=120.0, description="browser: longest time for a page to load")
    testers: int = Field(1, ge=1, le=8, description="sessions that act in turn and share what they know")
    defect_share: float = Field(0.5, gt=0.0, le=1.0, description="chance that a defect of an application is on")

    @model_validator(mode="after")
    def _whole_rounds(self) -> Config:
        if self.testers > 1 and self.mode == "browser":
            raise ValueError(
                f"testers={self.testers} act in turn, which only generated applications support: use mode=simulated"
            )
        if self.max_actions % self.testers:
            raise ValueError(
                f"max_actions={self.max_actions} is not a multiple of testers={self.testers}, which act in turn: use "
                f"max_actions={self.max_actions // self.testers * self.testers}"
            )
        return self
