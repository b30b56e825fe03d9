"""Acceptance suites as data: what a `suites/*.yaml` may say, checked before anything is played."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from rl_eval.envs.base import EnvConfig
from rl_eval.errors import InputError
from rl_eval.gates.lines import Document
from rl_eval.metrics import Metric, lookup
from rl_eval.seeding import gate_seed

# Part of the format, but what they ask for is not built yet; accepting them would promise it.
_NOT_YET: tuple[tuple[str, ...], ...] = (
    ("alpha",),
    ("controls",),
    ("attainable",),
    ("leaks",),
    ("population",),
    ("units",),
    ("episodes", "max"),
    ("episodes", "return_bounds"),
)
_ITEMS_OF_THE_PLUGIN = ("controls", "held_out")


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, such as 0.8, not {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, not {value!r}")
    return float(value)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Number = Annotated[float, BeforeValidator(_number)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CriterionSpec(_Strict):
    """One condition on one metric."""

    metric: str = Field(description="the name of a metric")
    at_least: Number | None = Field(None, description="the smallest value that passes")
    at_most: Number | None = Field(None, description="the largest value that passes")
    better_than: Annotated[list[str], BeforeValidator(_listed)] | None = Field(
        None, description="policies that play the same episodes; each must be beaten (constant:* is every constant)"
    )
    margin: Number | None = Field(None, ge=0, description="with better_than: beaten by more than this")
    by: Literal["estimate", "evidence"] = Field(
        "evidence", description="estimate: compare the plain number over episodes.fixed"
    )

    @model_validator(mode="after")
    def _one_condition(self) -> CriterionSpec:
        given = [name for name in ("at_least", "at_most", "better_than") if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"has {' and '.join(given)}" if given else "has no condition"
            raise ValueError(f"{said}: give exactly one of at_least, at_most and better_than")
        if self.better_than is not None and not self.better_than:
            raise ValueError("has an empty better_than: name at least one policy, such as constant:0")
        if self.margin is not None and self.better_than is None:
            raise ValueError("has a margin without better_than: move the margin into the threshold")
        return self


class RunsSpec(_Strict):
    """How many training runs the suite judges."""

    count: int = Field(1, ge=1, le=1000, description="runs of equal config")
    same_seed: bool = Field(False, description="whether they repeat one seed, or differ in it")


class EpisodesSpec(_Strict):
    """How many held-out episodes each policy plays."""

    fixed: int | None = Field(
        None, ge=1, le=10_000_000, description="episodes for `by: estimate`; default: the whole gate set, else 100"
    )


class SuiteSpec(_Strict):
    """What one suite file says."""

    rl_eval: Literal[1] = Field(description="the version of this format")
    env: str | dict[str, Any] = Field(description="an environment's name, or a mapping with name and overrides")
    judge_on: dict[str, Any] = Field(
        default_factory=dict, description="overrides of env for judging alone: the runs were trained without them"
    )
    policy: Literal["greedy", "sampled"] = Field("greedy", description="the most likely action, or a draw")
    train: dict[str, str | int | float | bool | None] = Field(
        default_factory=dict, description="overrides of train.py that the judged runs were made with"
    )
    runs: RunsSpec = Field(default_factory=lambda: RunsSpec.model_validate({}))
    episodes: EpisodesSpec = Field(default_factory=lambda: EpisodesSpec.model_validate({}))
    gate_seed: int | None = Field(None, ge=0, le=2**32 - 1, description="default: a hash of suite name and environment")
    criteria: dict[str, CriterionSpec] = Field(min_length=1)

    @field_validator("criteria")
    @classmethod
    def _names(cls, criteria: dict[str, CriterionSpec]) -> dict[str, CriterionSpec]:
        for name in criteria:
            if not name.replace("_", "").replace("-", "").isalnum() or name in _ITEMS_OF_THE_PLUGIN:
                raise ValueError(
                    f"{name!r} cannot name a criterion: use letters, digits, - and _, "
                    f"and not {' or '.join(_ITEMS_OF_THE_PLUGIN)}"
                )
        return criteria

    @model_validator(mode="after")
    def _one_seed_or_many(self) -> SuiteSpec:
        if "seed" in self.train and self.runs.count > 1 and not self.runs.same_seed:
            raise ValueError(
                f"train.seed fixes the seed of {self.runs.count} runs that must differ in it: "
                "remove it, or say runs: {same_seed: true}"
            )
        return self


_FIELDS = {
    "": [*SuiteSpec.model_fields],
    "runs": [*RunsSpec.model_fields],
    "episodes": [*EpisodesSpec.model_fields],
    "criteria.*": [*CriterionSpec.model_fields],
}


@dataclass(frozen=True)
class Criterion:
    """A named, checked criterion.

    Attributes:
        line: where it stands in its file, from 1.
        base: for a metric over runs, the task metric it spreads over.
    """

    name: str
    spec: CriterionSpec
    metric: Metric
    line: int
    base: Metric | None = None

    @property
    def direction(self) -> Literal["at_least", "at_most"]:
        """Which side of its threshold passes."""
        if self.spec.better_than is not None:
            return "at_most" if self.metric.better == "lower" else "at_least"
        return "at_least" if self.spec.at_least is not None else "at_most"


@dataclass(frozen=True)
class Suite:
    """A suite file that has been read and checked.

    Attributes:
        path: the file; `shown` is how messages name it.
        env: the checked environment its runs were trained on.
        judged: the checked environment its episodes are played on (`env` with `judge_on`).
    """

    path: Path
    shown: str
    spec: SuiteSpec
    env: EnvConfig
    judged: EnvConfig
    criteria: tuple[Criterion, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @cached_property
    def gate_seed(self) -> int:
        """The seed of its held-out episodes, the same for every policy ever judged."""
        given = self.spec.gate_seed
        return gate_seed(self.name, self.env.name) if given is None else given


def load_suite(path: Path, shown: str | None = None) -> Suite:
    """Read and check a suite.

    Args:
        path: the YAML file.
        shown: how messages name it; default: the path as given.

    Raises:
        InputError: one sentence with file, line and key.
    """
    document = Document(path, shown)
    for location in _NOT_YET:
        _refuse_not_yet(document, location)
    try:
        spec = SuiteSpec.model_validate(document.values)
    except ValidationError as error:
        raise document.invalid(error.errors(), _FIELDS) from error
    env = _environment(document, "env", {"name": spec.env} if isinstance(spec.env, str) else spec.env)
    judged = env
    if spec.judge_on:
        judged = _environment(document, "judge_on", {**env.model_dump(), **spec.judge_on})
        if judged.name != env.name:
            raise document.error(("judge_on", "name"), "cannot be another environment: the policies would not fit")
    criteria = tuple(_criterion(document, spec, judged, name) for name in spec.criteria)
    if not any(criterion.metric.kind == "task" for criterion in criteria):
        raise document.error(
            ("criteria",),
            "none is about the policy's own episodes: add at least one on a task metric, such as mean_return or f1",
        )
    return Suite(path, shown or str(path), spec, env, judged, criteria)


def _refuse_not_yet(document: Document, location: Sequence[str]) -> None:
    values: Any = document.values
    for part in location:
        if not isinstance(values, Mapping) or part not in values:
            return
        values = values[part]
    raise document.error(location, "is not supported yet in this version: remove the key")


def _environment(document: Document, key: str, values: Mapping[str, Any]) -> EnvConfig:
    from rl_eval.envs import validate

    try:
        return validate(values)
    except ValidationError as error:
        from rl_eval.envs import domain

        fields = domain(values.get("name", "gym")).Config.model_fields
        errors = [{**each, "loc": (key, *each["loc"])} for each in error.errors()]
        raise document.invalid(errors, {key: [*fields]}) from error
    except InputError as error:
        raise document.error((key, "name"), str(error)) from error


def _criterion(document: Document, spec: SuiteSpec, env: EnvConfig, name: str) -> Criterion:
    given = spec.criteria[name]
    here = ("criteria", name)
    try:
        metric = lookup(given.metric)
        base = lookup(metric.base) if metric.base else None
    except InputError as error:
        raise document.error((*here, "metric"), str(error)) from error
    _check_served(document, (*here, "metric"), base or metric, env)
    if metric.kind == "run" and (spec.runs.count < 2 or spec.runs.same_seed != (metric.seeds == "same")):
        needed = "{count: 2, same_seed: true}" if metric.seeds == "same" else "{count: 8}"
        raise document.error(
            (*here, "metric"), f"{metric.name} needs runs of {metric.seeds} seed: say runs: {needed} in this suite"
        )
    if given.better_than is not None and (metric.kind != "task" or metric.better is None):
        why = "no policy can be asked for it" if metric.kind != "task" else "neither direction of it is better"
        raise document.error((*here, "better_than"), f"cannot be used with {metric.name}, since {why}: use at_least")
    if metric.kind in ("training", "artefact"):
        # one number of one run: there is nothing to sample, so evidence is not the default here
        if "by" in given.model_fields_set and given.by == "evidence":
            raise document.error((*here, "by"), f"{metric.name} is one number of a run: say by: estimate")
        given = given.model_copy(update={"by": "estimate"})
    if given.by == "evidence":
        raise document.error(
            (*here, "by"), "evidence, the default, is not supported yet in this version: say by: estimate"
        )
    return Criterion(name, given, metric, document.line(here), base)


def _check_served(document: Document, location: Sequence[str], metric: Metric, env: EnvConfig) -> None:
    from rl_eval.envs import domain

    name = env.name
    outcome = tuple(domain(name).OUTCOME)
    missing = [needed for needed in metric.needs if needed not in outcome]
    if missing:
        raise document.error(
            location,
            f"{metric.name} reads {missing[0]!r}, which {name} does not tell: its outcome has {', '.join(outcome)}",
        )
    unset = [setting for setting in metric.settings if getattr(env, setting, None) is None]
    if unset:
        raise document.error(location, f"{metric.name} needs env.{unset[0]}, which is not set: give it a value")
