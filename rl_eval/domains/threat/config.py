"""The config of the threat domain: source of the flows, shifts, and costs of decisions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from rl_eval.domains import EnvConfig
from rl_eval.domains.threat.fitted_preprocessing import FittedPreprocessing

ACTIONS = ("allow", "block", "quarantine", "alert")
ALLOW, BLOCK, QUARANTINE, ALERT = range(4)

# Rows of the cost matrix: costs of allow, block, quarantine and alert.
_Cost = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
_CostRow = tuple[_Cost, _Cost, _Cost, _Cost]
_Share = Annotated[float, Field(gt=0.0, lt=1.0)]
_Weight = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]


class Config(EnvConfig):
    """The defaults are those of `conf/env/threat.yaml`, key by key."""

    name: Literal["threat"] = "threat"
    data: Literal["synthetic", "nsl_kdd", "unsw_nb15", "csv"] = Field(
        "synthetic", description="source of the flows; csv: a file of your own of any format that is read"
    )
    path: str | None = Field(None, description="file or folder of the data; synthetic needs none")
    test_path: str | None = Field(None, description="csv: file of the test part; null: a share of env.path")
    label: str | None = Field(None, description="csv: the label column; of EVE, alert: whether Suricata raised one")
    category: str | None = Field(None, description="csv: the column of the attack type; null: the label itself")
    benign_labels: tuple[str, ...] | None = Field(
        None, description="csv: label values that mean benign; * means any text"
    )
    threat_labels: tuple[str, ...] | None = Field(
        None, description="csv: label values that mean threat, in the same way; ['*']: any that is not benign"
    )
    categorical: tuple[str, ...] = Field((), description="csv: columns to read as categories though they look numeric")
    times: tuple[str, ...] = Field(
        (), description="csv: columns to read as times though they look numeric (seconds since 1970)"
    )
    ignore: tuple[str, ...] = Field((), description="csv: columns that are not features")
    missing: Literal["error", "median", "indicator"] = Field(
        "error",
        description="numbers that are missing or infinite: refused; median: the median of training, and the end of the "
        "range; indicator: the same, and a column that says where one was missing",
    )
    split: Literal["hash", "time"] = Field(
        "hash",
        description="csv: parts by a hash of the fields, so that equal flows stay together, or by time, latest last",
    )
    time_column: str | None = Field(
        None, description="csv: the column of the time, numbers or ISO 8601, for split=time; it is not a feature"
    )
    prevalence: _Share | None = Field(None, description="resample every part to this share of threats")
    mix: dict[str, _Weight] | None = Field(
        None, description="synthetic: families that occur, and how much of their class each is; null: all, as usual"
    )
    validation_share: _Share = Field(0.15, description="share of a file's training rows kept for model selection")
    test_share: _Share = Field(0.25, description="share of a single file held out for the gate")
    train_flows: int = Field(60_000, ge=100, le=5_000_000, description="synthetic: flows of the train part")
    validation_flows: int = Field(10_000, ge=100, le=5_000_000, description="synthetic: flows of the validation part")
    test_flows: int = Field(40_000, ge=100, le=5_000_000, description="synthetic: flows of the test part")
    data_seed: int = Field(0, ge=0, description="seed of the generator, the partition and the resampling")
    shift: int = Field(200, ge=1, le=100_000, description="flows per episode")
    campaigns: bool = Field(False, description="threats of one type come in bursts, not independently")
    alert_window: int = Field(0, ge=0, le=10_000, description="flows over which alerts are counted; 0: not counted")
    flag_actions: tuple[Annotated[int, Field(ge=0, le=3)], ...] = Field(
        (BLOCK, QUARANTINE, ALERT), min_length=1, description="actions that count as flagging the flow"
    )
    costs: tuple[_CostRow, _CostRow] = Field(
        ((0.0, 1.4, 0.8, 0.5), (2.0, 0.0, 0.2, 0.5)),
        description="operational cost [benign, threat][allow, block, quarantine, alert]; never read by the reward",
    )
    preprocessing: FittedPreprocessing | None = Field(
        None, description="how observations are made from fields; null: fitted on the train part; set by init="
    )

    @field_validator("costs", mode="before")
    @classmethod
    def _prices(cls, rows: object) -> object:
        if not isinstance(rows, list | tuple) or [isinstance(r, list | tuple) and len(r) for r in rows] != [4, 4]:
            raise ValueError(
                "give two rows of four prices, of a benign flow and of a threat: "
                "[[allow,block,quarantine,alert],[allow,block,quarantine,alert]]"
            )
        return rows

    @field_validator("flag_actions")
    @classmethod
    def _distinct(cls, actions: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(actions)) != len(actions):
            raise ValueError("an action is named twice")
        return actions

    @model_validator(mode="after")
    def _parts_of_csv(self) -> Config:
        if self.data != "csv" and (self.test_path is not None or self.split != "hash" or self.time_column is not None):
            raise ValueError(f"test_path, split=time and time_column need data=csv, and it is {self.data}")
        if self.mix is not None and self.data != "synthetic":
            raise ValueError(f"mix is of the embedded data, and data is {self.data}: leave it out")
        if (self.split == "time") != (self.time_column is not None):
            raise ValueError(
                "split=time and time_column need each other: name the column of the time, or leave out both"
            )
        return self
