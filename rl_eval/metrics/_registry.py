"""What a metric is, and how one is found by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from rl_eval.errors import InputError, nearest

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes

Kind = Literal["task", "training", "run", "artefact"]


class MetricUndefined(InputError):  # noqa: N818 - it is bad input, said as what it is
    """The metric has no value on this data, and a number would mislead."""


@dataclass(frozen=True)
class Metric:
    """A named number.

    Attributes:
        name: as criteria write it; of a family (`training.<key>`), the pattern until `lookup` fills it in.
        kind: what it is computed from, which decides the arguments of `compute`:
            task: `(episodes, env_config) -> float`;
            training: `(run) -> float`;
            run: `(values [R]) -> float`, one value of the metric `base` a run;
            artefact: `(run) -> list[str]`, the faults found; the value is 1 when there are none, else 0.
        description: one line, shown by the docs.
        needs: the outcomes it reads.
        settings: the fields of the environment's config that must not be null.
        unit: what it is a number over.
        better: which direction is better, None where neither is.
        base: for kind `run`, the task metric it spreads over.
        seeds: for kind `run`, whether the runs must share their seed or differ in it.
        variable: `(episodes, env_config) -> [units]`, where the metric is the mean of a bounded variable over
            its units: what evidence bets on.
        bounds: `(env_config) -> (low, high)` of that variable, None where the environment does not know;
            where there is no `bounds`, whoever asks must declare them.
        statistic: for kind `run`, what of the values over runs evidence can bound.
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
    bounds: Callable[[Any], tuple[float, float] | None] | None = None
    statistic: Literal["mean", "variance", "std"] | None = None


_METRICS: dict[str, Metric] = {}
_PREFIXES: dict[str, Metric] = {}  # "training." -> the family; compute takes the rest of the name first
_SUFFIXES: dict[str, Metric] = {}  # "_seed_std" -> the family over any task metric


def metric(
    kind: Kind, *, name: str | None = None, **attributes: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function; its name is the metric's and the first line of its docstring describes it.

    `training.<key>` registers a family by prefix, `<task metric>_seed_std` one by suffix.
    """

    def register(compute: Callable[..., Any]) -> Callable[..., Any]:
        described = (compute.__doc__ or "").strip().splitlines()[0]
        entry = Metric(name or compute.__name__, kind, described, compute, **attributes)
        if entry.name.endswith(">"):
            _PREFIXES[entry.name[: entry.name.index("<")]] = entry
        elif entry.name.startswith("<"):
            _SUFFIXES[entry.name[entry.name.index(">") + 1 :]] = entry
        else:
            _METRICS[entry.name] = entry
        return compute

    return register


def list_metrics() -> list[Metric]:
    """Every metric and family, by kind and name."""
    everything = [*_METRICS.values(), *_PREFIXES.values(), *_SUFFIXES.values()]
    return sorted(everything, key=lambda entry: (entry.kind, entry.name))


def lookup(name: str) -> Metric:
    """The metric of that name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    if name in _METRICS:
        return _METRICS[name]
    for prefix, family in _PREFIXES.items():
        if name.startswith(prefix) and name != prefix:
            key = name.removeprefix(prefix)
            variable = _with_key(family.variable, key) if family.variable else None
            return replace(family, name=name, compute=_with_key(family.compute, key), variable=variable)
    for suffix, family in _SUFFIXES.items():
        base = _METRICS.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if base is not None and base.kind == "task":
            return replace(family, name=name, base=base.name)
    raise InputError(f"{name!r} is not a metric: {nearest(name, _suggestions())}the metrics are {_listed()}")


def compute(name: str, episodes: Episodes, config: Any) -> float:
    """The value of a task metric.

    Args:
        name: of a task metric.
        config: the environment's config.

    Raises:
        InputError: no such task metric.
        MetricUndefined: it has no value on these episodes.
    """
    found = lookup(name)
    if found.kind != "task":
        raise InputError(f"{name!r} is not a metric of episodes, but of kind {found.kind}: name a task metric")
    return float(found.compute(episodes, config))


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better.

    Raises:
        InputError: no such metric, or neither direction of it is better.
    """
    better = lookup(name).better
    if better is None:
        raise InputError(f"neither more nor less of {name!r} is better: name another metric")
    return better == "higher"


def task_metrics(outcome: Iterable[str]) -> list[str]:
    """The task metrics that an environment with this outcome can serve, families left out."""
    told = set(outcome)
    return sorted(name for name, entry in _METRICS.items() if entry.kind == "task" and told.issuperset(entry.needs))


def _with_key(compute: Callable[..., Any], key: str) -> Callable[..., Any]:
    return lambda *arguments: compute(key, *arguments)


def _suggestions() -> list[str]:
    spread = [f"{name}{suffix}" for name, m in _METRICS.items() if m.kind == "task" for suffix in _SUFFIXES]
    return [*_METRICS, *spread, *(f"{prefix}wall_s" for prefix in _PREFIXES if prefix == "training.")]


def _listed() -> str:
    return ", ".join(entry.name for entry in list_metrics())
