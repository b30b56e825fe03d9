"""A criterion of a suite: what it asks, and whether it can be decided in the suite's environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rl_eval import diagnostics
from rl_eval.domains import EnvConfig, domain
from rl_eval.errors import InputError
from rl_eval.evidence import RATIO_METRICS
from rl_eval.gates.compared import Compared
from rl_eval.gates.suite_format import CriterionSpec, SuiteSpec
from rl_eval.gates.yaml_document import YamlDocument
from rl_eval.metrics import Metric, lookup


@dataclass(frozen=True)
class Criterion:
    """A named, checked criterion.

    Attributes:
        line: of its file, from 1.
        unit: what is counted as one observation.
        bounds: of the value of one unit, for a number over runs of that of one run; None for ratios, and where unknown.
        base: for a metric over runs, the task metric it aggregates.
        compared: how it compares with a release, for a criterion that `--rl-against` adds; None for all others.
    """

    name: str
    spec: CriterionSpec
    metric: Metric
    line: int
    unit: Literal["episode", "case", "run"]
    bounds: tuple[float, float] | None = None
    base: Metric | None = None
    compared: Compared | None = None

    @property
    def shown_metric(self) -> str:
        """The metric as verdicts name it: `mean_return under noise 0.05`."""
        return self.metric.name + (f" under {self.spec.under.perturbation}" if self.spec.under else "")

    @property
    def direction(self) -> Literal["at_least", "at_most"]:
        """Which side of its threshold passes."""
        if self.spec.better_than is not None:
            return "at_most" if self.metric.better == "lower" else "at_least"
        return "at_least" if self.spec.at_least is not None else "at_most"


def read_criterion(document: YamlDocument, spec: SuiteSpec, env: EnvConfig, name: str) -> Criterion:
    """The criterion `name` of a suite, checked.

    Args:
        env: what its episodes are played on.

    Raises:
        InputError: one sentence with line and key.
    """
    criterion = spec.criteria[name]
    path = ("criteria", name)
    if criterion.diagnostic is not None:
        criterion = _finds_nothing(document, (*path, "diagnostic"), criterion.diagnostic)
    assert criterion.metric is not None
    try:
        metric = lookup(criterion.metric)
        base = lookup(metric.base) if metric.base else None
    except InputError as error:
        raise document.error((*path, "metric"), str(error)) from error
    _check_outcome(document, (*path, "metric"), base or metric, env)
    if metric.kind == "run" and (spec.runs.count < 2 or spec.runs.same_seed != (metric.seeds == "same")):
        needed = "{count: 2, same_seed: true}" if metric.seeds == "same" else "{count: 8}"
        raise document.error(
            (*path, "metric"), f"{metric.name} needs runs of {metric.seeds} seed: set runs: {needed} in this suite"
        )
    if criterion.margin is not None and metric.kind != "task":
        raise document.error(
            (*path, "margin"), f"is for metrics of the policy's own episodes, and {metric.name} is not one: remove it"
        )
    if criterion.under is not None and metric.kind != "task":
        raise document.error(
            (*path, "under"), f"is for metrics of the policy's own episodes, and {metric.name} is not one: remove it"
        )
    if criterion.under is not None and criterion.under.adversarial is not None and spec.policy == "sampled":
        raise document.error((*path, "under"), "adversarial needs decisions that are not drawn: set policy: greedy")
    if criterion.better_than is not None and (metric.kind != "task" or metric.better is None):
        why = (
            "it is not about a policy's own episodes" if metric.kind != "task" else "neither direction of it is better"
        )
        raise document.error((*path, "better_than"), f"cannot be used with {metric.name}, since {why}: use at_least")
    unit = evidence_unit(spec, metric, env)
    bounds = criterion.bounds or evidence_bounds(spec, base or metric, env)
    if criterion.bounds is not None and (metric.variable is None or metric.name in RATIO_METRICS):
        raise document.error((*path, "bounds"), f"{metric.name} is not a mean of values with bounds: remove it")
    if criterion.missing is not None:
        _check_missing(document, (*path, "missing"), criterion, base or metric, bounds)
    if criterion.factor is not None and bounds is not None and bounds[0] < 0:
        raise document.error(
            (*path, "factor"),
            f"{metric.name} can be negative, as low as {bounds[0]:g}, but factor needs a value that is not negative: "
            "use margin instead",
        )
    if "by" not in criterion.model_fields_set and not _is_mean(metric, env):
        criterion = criterion.model_copy(update={"by": "estimate"})
    if criterion.assume is not None and (criterion.by != "evidence" or metric.statistic is None):
        raise document.error(
            (*path, "assume"),
            f"is only for criteria over runs by evidence, such as f1_seed_mean; {metric.name} is "
            f"{'no such criterion' if criterion.by == 'evidence' else 'by: estimate'}: remove it",
        )
    if criterion.by == "evidence":
        _check_evidence(document, path, criterion, metric, env, bounds)
    else:
        unit = metric.unit
    bounds = None if metric.name in RATIO_METRICS else bounds
    return Criterion(name, criterion, metric, document.line(path), unit, bounds, base)


def _check_missing(
    document: YamlDocument,
    path: Sequence[str],
    criterion: CriterionSpec,
    metric: Metric,
    bounds: tuple[float, float] | None,
) -> None:
    """Whether the metric is a mean of values of which some can be missing."""
    if metric.variable is None or metric.name in RATIO_METRICS or metric.undefined_units:
        why = "is not a mean of values of single units"
        why = "leaves out units without a value" if metric.undefined_units else why
        raise document.error(path, f"{metric.name} {why}: remove it")
    if criterion.missing == "worst" and bounds is None:
        raise document.error(path, f"the worst value of {metric.name} is not known: set bounds, or missing: ignore")
    if criterion.missing == "worst" and metric.name != criterion.metric and not str(criterion.metric).endswith("_mean"):
        raise document.error(path, f"no value is the worst for {criterion.metric}: set missing: ignore")


def _finds_nothing(document: YamlDocument, path: Sequence[str], name: str) -> CriterionSpec:
    """The criterion of a `diagnostic:` key: its metric is 1 if the diagnostic finds nothing above a note."""
    try:
        diagnostics.lookup(name)
    except InputError as error:
        raise document.error(path, str(error)) from error
    return CriterionSpec(metric=f"diagnostic.{name}", at_least=1.0, by="estimate")


def evidence_unit(spec: SuiteSpec, metric: Metric, env: EnvConfig) -> Literal["episode", "case", "run"]:
    """What a metric by evidence counts as one observation."""
    if metric.unit != "case":
        return metric.unit
    return spec.units or ("case" if domain(env.name).independent_cases(env) else "episode")


def evidence_bounds(spec: SuiteSpec, metric: Metric, env: EnvConfig) -> tuple[float, float] | None:
    """The least and the most that a unit of a task metric can be; None if that is not known."""
    if metric.name in RATIO_METRICS:
        return 0.0, 1.0
    if metric.bounds is not None:
        return metric.bounds(env)
    return spec.episodes.return_bounds if metric.variable is not None else None


def _is_mean(metric: Metric, env: EnvConfig) -> bool:
    """Whether evidence is possible for the metric; the suite may have to give the bounds."""
    if metric.name in RATIO_METRICS or metric.statistic is not None:
        return True
    return metric.variable is not None and (metric.bounds is None or metric.bounds(env) is not None)


def _check_evidence(
    document: YamlDocument,
    path: Sequence[str],
    criterion: CriterionSpec,
    metric: Metric,
    env: EnvConfig,
    bounds: tuple[float, float] | None,
) -> None:
    if not _is_mean(metric, env):
        why = {
            "task": "is not a mean of bounded units",
            "run": "compares repeats that should not differ at all",
        }.get(metric.kind, "is one number of a run")
        raise document.error((*path, "by"), f"{metric.name} {why}: set by: estimate")
    if criterion.assume == "normal":
        return
    if criterion.factor is not None and metric.name in RATIO_METRICS:
        raise document.error(
            (*path, "factor"),
            f"is not supported for {metric.name} by evidence, since it is a ratio of counts: use margin instead of "
            "factor, or set by: estimate",
        )
    key = "at_least" if criterion.at_least is not None else "at_most"
    theta = criterion.at_least if criterion.at_least is not None else criterion.at_most
    if metric.kind == "run":
        bounds = _bounds_over_runs(document, path, metric, bounds)
    if bounds is None:
        raise document.error(
            path,
            f"{metric.name} by evidence, the default, needs the lowest and highest possible return of an episode: set "
            "episodes: {return_bounds: [low, high]}, or by: estimate",
        )
    if theta is not None and not bounds[0] <= theta <= bounds[1]:
        raise document.error(
            (*path, key), f"{theta:g} is outside the range of {metric.name}, {bounds[0]:g} to {bounds[1]:g}"
        )
    if theta == bounds[0 if key == "at_least" else 1]:
        raise document.error(
            (*path, key),
            f"every value of {metric.name} meets {theta:g}, because its range is {bounds[0]:g} to {bounds[1]:g}: give "
            f"a {'higher' if key == 'at_least' else 'lower'} number, or remove the criterion",
        )


def _bounds_over_runs(
    document: YamlDocument, path: Sequence[str], metric: Metric, bounds: tuple[float, float] | None
) -> tuple[float, float]:
    """The least and the most that a number over runs can be.

    Args:
        bounds: of the value of one run.
    """
    if bounds is None:
        raise document.error(
            path,
            f"{metric.name} by evidence, the default, needs the lowest and highest possible {metric.base}: set "
            "episodes: {return_bounds: [low, high]} if it is a mean of returns, assume: normal, or by: estimate",
        )
    width = bounds[1] - bounds[0]
    return {"mean": bounds, "variance": (0.0, width**2 / 4), "std": (0.0, width / 2)}[metric.statistic or "mean"]


def _check_outcome(document: YamlDocument, path: Sequence[str], metric: Metric, env: EnvConfig) -> None:
    name = env.name
    facts = domain(name).facts(env)
    missing = [needed for needed in metric.needs if needed not in facts]
    if missing:
        raise document.error(
            path,
            f"{metric.name} reads {missing[0]!r}, which {name} does not report: its outcome has {', '.join(facts)}",
        )
    unset = [setting for setting in metric.settings if getattr(env, setting, None) is None]
    if unset:
        raise document.error(path, f"{metric.name} needs env.{unset[0]}, which is not set: give it a value")
