"""The keys of a suite file, `suites/*.yaml`, as pydantic models."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from rl_eval.exposure import ROUNDINGS
from rl_eval.formatting import brief
from rl_eval.policy import Perturbation

# Items that pytest shows in addition to the criteria.
ITEMS = ("controls", "attainable", "held_out")
CONTROLS = ("random", "constant:*", "untrained")


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, such as 0.8, not {brief(repr(value), 60)}")
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, not {value!r}")
    return float(value)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _require_order(bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    if bounds is not None and bounds[0] >= bounds[1]:
        raise ValueError(f"[{bounds[0]:g}, {bounds[1]:g}] is not a range: give the lower bound first")
    return bounds


Number = Annotated[float, BeforeValidator(_number)]
NotNegative = Annotated[float, Field(ge=0), BeforeValidator(_number)]
Positive = Annotated[float, Field(gt=0), BeforeValidator(_number)]
Scalar = str | int | float | bool | None
Policies = Annotated[list[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class UnderSpec(_Strict):
    """What happens to observations while a criterion is decided, on the same episodes.

    Sizes are in the units of the observation. Changed observations stay in its space. The policies of better_than and
    the useless policies play under the same perturbation.
    """

    noise: Positive | None = Field(
        None, description="standard deviation of a normal draw that each number of a Box gets, also in a Dict or Tuple"
    )
    drop_features: Annotated[float, Field(gt=0, le=1), BeforeValidator(_number)] | None = Field(
        None, description="probability that a number of a Box, also in a Dict or Tuple, is 0, drawn in each step"
    )
    delay: int | None = Field(None, ge=1, le=1000, description="steps by which observations, of any space, come late")
    adversarial: Positive | None = Field(
        None,
        description="each number of a Box is changed by at most this. An adversary tries eight random changes for each "
        "decision and, if the policy gives probabilities (runs, ONNX with logits; at most 64 numbers), four steps "
        "along their gradient. It takes what turns the decision, or moves a continuous action most. Another attack may "
        "find more, so PASS is about these attacks. A policy with memory cannot be attacked",
    )

    @model_validator(mode="after")
    def _one(self) -> UnderSpec:
        if len(self._given()) != 1:
            raise ValueError(f"has {' and '.join(self._given()) or 'nothing'}: give exactly one perturbation")
        return self

    def _given(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @property
    def perturbation(self) -> Perturbation:
        """It, as policies take it."""
        (kind,) = self._given()
        return Perturbation(kind, getattr(self, kind))  # type: ignore[arg-type]


class CriterionSpec(_Strict):
    """One condition on one metric, or a diagnostic that must find nothing above a note."""

    metric: str | None = Field(None, description="the name of a metric")
    diagnostic: str | None = Field(None, description="instead of a metric: a diagnostic of `rl-eval doctor`")
    at_least: Number | None = Field(None, description="the smallest value that passes")
    at_most: Number | None = Field(None, description="the largest value that passes")
    better_than: Policies | None = Field(
        None, description="policies that play the same episodes; each must be beaten (constant:* is every constant)"
    )
    margin: NotNegative | None = Field(
        None,
        description="with better_than: beaten by more than this; with at_least or at_most: how much worse than the "
        "release of `--rl-against` it may be, which does not move the bar",
    )
    factor: Positive | None = Field(
        None,
        description="with better_than: the bar is the other policy's value times this factor; stricter below 1 if "
        "lower is better, above 1 if higher is better. The metric cannot be negative; by evidence it must be a mean, "
        "so not F1, precision, recall, false-positive rate or accuracy: use margin there",
    )
    under: UnderSpec | None = Field(
        None, description="the policy, and what it is compared with, plays with perturbed observations"
    )
    bounds: Annotated[tuple[Number, Number], BeforeValidator(_as_tuple)] | None = Field(
        None,
        description="lowest and highest value of an episode; default: those of the metric, for returns "
        "episodes.return_bounds",
    )
    missing: Literal["worst", "ignore"] | None = Field(
        None,
        description="what an episode or case without a value counts as, such as one that ends without the fact. worst: "
        "the worst of its bounds, for the policy and for those of better_than; ignore: nothing, and the verdict says "
        "how many; default: it is an error. A metric that is undefined for some units by its definition, such as apfd "
        "of a cycle without failures, leaves them out",
    )
    by: Literal["estimate", "evidence"] = Field(
        "evidence",
        description="evidence, the default if the metric allows it: decide when the error is at most alpha; estimate: "
        "compare the plain number over episodes.fixed",
    )
    assume: Literal["normal"] | None = Field(
        None,
        description="for a metric over runs by evidence: assume that the runs are normally distributed. It decides "
        "with few runs, and is wrong if some runs collapse; without it only the bounds of the metric are assumed",
    )

    @field_validator("bounds")
    @classmethod
    def _in_order(cls, bounds: tuple[float, float] | None) -> tuple[float, float] | None:
        return _require_order(bounds)

    @model_validator(mode="after")
    def _one_condition(self) -> CriterionSpec:
        if (self.metric is None) == (self.diagnostic is None):
            which = "neither metric nor" if self.metric is None else "both metric and"
            raise ValueError(f"has {which} diagnostic: give one of them")
        conditions = [name for name in ("at_least", "at_most", "better_than") if getattr(self, name) is not None]
        if self.diagnostic is not None:
            extra = sorted(self.model_fields_set - {"diagnostic"})
            if extra:
                raise ValueError(f"has diagnostic and {extra[0]}: remove {extra[0]}, which only a metric takes")
            return self
        if len(conditions) != 1:
            what = f"has {' and '.join(conditions)}" if conditions else "has no condition"
            raise ValueError(f"{what}: give exactly one of at_least, at_most and better_than")
        if self.better_than is not None and not self.better_than:
            raise ValueError("has an empty better_than: name at least one policy, such as constant:0")
        if self.factor is not None and self.better_than is None:
            raise ValueError("has a factor without better_than: move the factor into the threshold")
        return self


class RunsSpec(_Strict):
    """How many training runs the suite judges."""

    count: int = Field(1, ge=1, le=1000, description="number of runs with equal config")
    same_seed: bool = Field(False, description="true: the runs repeat one seed; false: each has another seed")


class EpisodesSpec(_Strict):
    """How many held-out episodes each policy plays, and what an episode can return."""

    min: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="fewest episodes to play, even if evidence decides sooner; default: the whole test set, else 100",
    )
    max: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="most episodes to play; then `by: evidence` is INCONCLUSIVE; default: the whole test set, else 400",
    )
    fixed: int | None = Field(
        None, ge=1, le=10_000_000, description="episodes for `by: estimate`; default: the whole test set, else 100"
    )
    return_bounds: Annotated[tuple[Number, Number], BeforeValidator(_as_tuple)] | None = Field(
        None, description="lowest and highest return that an episode can have"
    )

    @model_validator(mode="after")
    def _min_below_max(self) -> EpisodesSpec:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"has min {self.min} above max {self.max}: lower min")
        return self

    @field_validator("return_bounds")
    @classmethod
    def _in_order(cls, bounds: tuple[float, float] | None) -> tuple[float, float] | None:
        return _require_order(bounds)


class NearDuplicatesSpec(_Strict):
    """Which cases are almost equal to one of training or validation, and how many of them are not leaks.

    A near-duplicate looks to the policy like another case after rounding, or in all fields except one.
    """

    share: Number = Field(
        0.01, ge=0, le=1, description="share of the test set; if more cases are near-duplicates, all of them are leaks"
    )
    rounding: Number = Field(
        0.01,
        description="observations are rounded to multiples of it, after preprocessing: 0.001, 0.01 or 0.1",
        json_schema_extra={"enum": list(ROUNDINGS)},
    )

    @field_validator("rounding")
    @classmethod
    def _is_recorded(cls, rounding: float) -> float:
        if rounding not in ROUNDINGS:
            raise ValueError(f"runs do not record {rounding:g}: give one of {', '.join(map(str, ROUNDINGS))}")
        return rounding


class SuiteSpec(_Strict):
    """One suite file."""

    rl_eval: Literal[1] = Field(description="the version of this format")
    plugins: list[str] = Field(
        default_factory=list,
        description="modules to import first, from the folder of this file or from sys.path; needs --rl-trust",
    )
    needs: list[str] = Field(
        default_factory=list,
        description="extras whose packages must be installed, or data; if one is missing, `--rl-data` deselects the "
        "suite; without --rl-data it is an error with the command that installs it",
    )
    env: str | dict[str, Any] = Field(description="an environment's name, or a mapping with name and overrides")
    judge_on: dict[str, Any] = Field(
        default_factory=dict, description="overrides of env that only judging uses; the runs were trained without them"
    )
    data: str | None = Field(
        None, description="the name of the data in --rl-data; default: env.data, with dashes for underscores"
    )
    data_sha256: str | None = Field(
        None,
        description="SHA-256 of the judged data, as `sha256sum FILE` prints it; other data is an error that shows both "
        "digests; for data without files, take it from there. For a folder: of what `sha256sum` prints for its files, "
        "sorted by their paths in the folder. For env.path and env.test_path: of what `sha256sum PATH TEST_PATH` "
        "prints, with paths relative to the folder that holds both",
    )
    policy: Literal["greedy", "sampled"] = Field(
        "greedy", description="greedy: the most likely action; sampled: an action drawn from the policy"
    )
    train: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="overrides of train.py that the judged runs were made with"
    )
    runs: RunsSpec = Field(default_factory=lambda: RunsSpec.model_validate({}), description="which runs are judged")
    alpha: Number = Field(
        0.05,
        ge=1e-9,
        lt=0.5,
        description="for each criterion: the highest chance that a policy below the bar is accepted, and that one "
        "above is rejected",
    )
    episodes: EpisodesSpec = Field(
        default_factory=lambda: EpisodesSpec.model_validate({}), description="how many held-out episodes are played"
    )
    population: Literal["source", "set"] = Field(
        "source",
        description="what evidence is about. source: future cases; set: exactly the cases of a finite test set",
    )
    copies: Literal["once", "weigh"] = Field(
        "once",
        description="population source: whether exact copies of a case count once, or as often as they appear",
    )
    units: Literal["case", "episode"] | None = Field(
        None, description="unit of metrics over cases; default: case if decisions are independent, else episode"
    )
    gate_seed: int | None = Field(None, ge=0, le=2**32 - 1, description="default: a hash of suite name and environment")
    controls: Policies = Field(
        default_factory=lambda: list(CONTROLS),
        description="useless policies; if one of them passes every task criterion, the suite measures nothing; "
        "default: random, constant:* and untrained",
    )
    attainable: str | None = Field(
        None, description="a policy that must pass every task criterion, else the suite demands what nothing reaches"
    )
    leaks: Literal["refuse", "drop", "report"] = Field(
        "refuse",
        description="held-out episodes or cases that took part in training or validation. refuse: nothing is judged; "
        "drop: they are left out; report: they are kept and reported",
    )
    near_duplicates: NearDuplicatesSpec = Field(
        default_factory=lambda: NearDuplicatesSpec.model_validate({}),
        description="which cases count as almost equal to a case of training",
    )
    criteria: dict[str, CriterionSpec] = Field(min_length=1, description="name -> one condition on one metric")

    @field_validator("criteria")
    @classmethod
    def _names(cls, criteria: dict[str, CriterionSpec]) -> dict[str, CriterionSpec]:
        for name in criteria:
            if not name.replace("_", "").replace("-", "").isalnum() or name in ITEMS:
                raise ValueError(
                    f"{brief(repr(name), 80)} cannot name a criterion: "
                    f"use letters, digits, - and _, and not {' or '.join(ITEMS)}"
                )
        return criteria

    @field_validator("data_sha256")
    @classmethod
    def _is_sha256(cls, digest: str | None) -> str | None:
        if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError("must be 64 hexadecimal digits in lower case, as `sha256sum FILE` prints them")
        return digest

    @model_validator(mode="after")
    def _one_seed_or_many(self) -> SuiteSpec:
        if "seed" in self.train and self.runs.count > 1 and not self.runs.same_seed:
            raise ValueError(
                f"train.seed fixes the seed of {self.runs.count} runs that must differ in it: remove it, or set runs: "
                "{same_seed: true}"
            )
        return self


# Dotted parent key -> the keys allowed there, for messages.
FIELDS = {
    "": [*SuiteSpec.model_fields],
    "runs": [*RunsSpec.model_fields],
    "episodes": [*EpisodesSpec.model_fields],
    "near_duplicates": [*NearDuplicatesSpec.model_fields],
    "criteria.*": [*CriterionSpec.model_fields],
    "criteria.*.*": [*UnderSpec.model_fields],
}
