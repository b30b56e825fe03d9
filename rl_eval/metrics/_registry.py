"""`Metric`, the registry of metrics, and looking them up by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from rl_eval.domains import contributions
from rl_eval.errors import InputError, failure, nearest
from rl_eval.formatting import brief
from rl_eval.registry import Registry

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes

Kind = Literal["task", "training", "run", "artefact"]


class MetricUndefined(InputError):  # noqa: N818 - the name says what happened
    """The metric has no value on this data, and a number would mislead."""


@dataclass(frozen=True)
class Metric:
    """A named number; calling it computes it.

    Attributes:
        name: as criteria write it; of a family, the pattern until `lookup` fills it in: `training.<key>` is a
            family by prefix, `<task metric>_seed_std` one by suffix.
        kind: what it is computed from, which decides the arguments of `compute`:
            task: `(episodes, env_config) -> float`;
            training: `(run) -> float`;
            run: `(values [R]) -> float`, one value of the metric `base` per run;
            artefact: `(run) -> list[str]`, the faults; the value is 1 when there are none, else 0.
        description: one line, shown by the docs.
        needs: the outcomes it reads; `<name>` is the name that a family by prefix gets.
        settings: the fields of the environment's config that must not be null.
        unit: what it is a number over.
        better: which direction is better, None if neither is.
        base: for kind `run`, the task metric it spreads over.
        seeds: for kind `run`, whether the runs must share their seed or differ in it.
        variable: `(episodes, env_config) -> [units]`, where the metric is the mean of a bounded variable over
            its units, NaN if it is undefined: which evidence uses.
        undefined_units: whether its definition gives some units no value, such as APFD of a cycle without failures; for
            other metrics a unit without one is an error, unless the suite says `missing:`.
        bounds: `(env_config) -> (low, high)` of that variable, None if the environment does not know them;
            without `bounds`, a suite must declare them.
        groups: `(episodes, env_config) -> name -> bool [units]`, groups of units whose means a verdict shows too.
        statistic: for kind `run`, what of the values over runs evidence can bound.
        measured_in: the unit of the value, as reports write it behind "in"; empty if it has none.
    """

    name: str
    kind: Kind
    description: str
    compute: Callable[..., Any]
    needs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    unit: Literal["episode", "case", "run"] = "episode"
    better: Literal["higher", "lower"] | None = None
    base: str | None = None
    seeds: Literal["same", "different"] | None = None
    variable: Callable[..., Any] | None = None
    undefined_units: bool = False
    bounds: Callable[[Any], tuple[float, float] | None] | None = None
    groups: Callable[..., Any] | None = None
    statistic: Literal["mean", "variance", "std"] | None = None
    measured_in: str = ""

    def __post_init__(self) -> None:
        for part in ("compute", "variable", "bounds", "groups"):
            if (function := getattr(self, part)) is not None:
                object.__setattr__(self, part, _with_sentence(function))

    def __call__(self, *arguments: Any) -> Any:
        """The value; the arguments depend on `kind`."""
        return self.compute(*arguments)


METRICS: Registry[Metric] = Registry("rl_eval.metrics", "a metric", Metric, "name")


def metric(kind: Kind, *, name: str | None = None, **attributes: Any) -> Callable[[Callable[..., Any]], Metric]:
    """Make a metric of the decorated function, whose name and first line of docstring become the metric's.

    A metric is available once it is registered: `register`, `Domain.metrics`, or an entry point of `rl_eval.metrics`.
    """

    def make(compute: Callable[..., Any]) -> Metric:
        description = (compute.__doc__ or "").strip().splitlines()[0]
        return Metric(name or compute.__name__, kind, description, compute, **attributes)

    return make


def register(*metrics: Metric) -> None:
    """Add metrics.

    Raises:
        InputError: another metric has the name.
    """
    for entry in metrics:
        METRICS.register_named(entry)


def list_metrics() -> list[Metric]:
    """Every metric and family, by kind and name."""
    entries = METRICS.available()
    entries += contributions("metrics", Metric)
    return sorted(entries, key=lambda entry: (entry.kind, entry.name))


def lookup(name: str) -> Metric:
    """The metric of that name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    metric = _with_exact_name(name)
    if metric is not None:
        return metric
    for family in _families():
        start, _, rest = family.name.partition("<")
        end = rest.partition(">")[2]
        if start and name.startswith(start) and name != start:
            key = name.removeprefix(start)
            variable = _with_key(family.variable, key) if family.variable else None
            needs = tuple(key if needed == "<name>" else needed for needed in family.needs)
            return replace(family, name=name, compute=_with_key(family.compute, key), variable=variable, needs=needs)
        if end and name.endswith(end):
            base = _with_exact_name(name.removesuffix(end))
            if base is not None and base.kind == "task":
                return replace(family, name=name, base=base.name)
    raise InputError(
        f"{brief(repr(name), 80)} is not a metric: {nearest(name, _suggestions())}the metrics are {_names()}"
    )


def _with_exact_name(name: str) -> Metric | None:
    if "<" in name:
        return None
    if name in METRICS:
        return METRICS.get(name)
    return next((entry for entry in contributions("metrics", Metric) if entry.name == name), None)


def _families() -> list[Metric]:
    """Families by prefix, then those by suffix, whose base may be of a family by prefix."""
    entries = [entry for entry in METRICS.available() if "<" in entry.name]
    return sorted(entries, key=lambda entry: entry.name.startswith("<"))


def compute(name: str, episodes: Episodes, config: Any) -> float:
    """The value of a task metric.

    Args:
        name: of a task metric.
        config: the environment's config.

    Raises:
        InputError: no such task metric.
        MetricUndefined: it has no value on these episodes.
    """
    metric = lookup(name)
    if metric.kind != "task":
        raise InputError(f"{name!r} is not a metric of episodes, but of kind {metric.kind}: name a task metric")
    return float(metric.compute(episodes, config))


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better.

    Raises:
        InputError: no such metric, or neither direction of it is better.
    """
    better = lookup(name).better
    if better is None:
        raise InputError(f"{name!r} has no better direction: name another metric")
    return better == "higher"


def _with_sentence(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, except for errors, which become one sentence; a metric may be anybody's code."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"the metric failed with {failure(error)}") from error

    return call


def _with_key(compute: Callable[..., Any], key: str) -> Callable[..., Any]:
    return lambda *arguments: compute(key, *arguments)


def _suggestions() -> list[str]:
    entries = list_metrics()
    suffixes = [entry.name.partition(">")[2] for entry in entries if entry.name.startswith("<")]
    spread = [f"{entry.name}{suffix}" for entry in entries if entry.kind == "task" for suffix in suffixes]
    return [*(entry.name for entry in entries if "<" not in entry.name), *spread, "training.wall_s"]


def _names() -> str:
    return ", ".join(entry.name for entry in list_metrics())
