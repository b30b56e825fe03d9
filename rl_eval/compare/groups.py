"""Which runs belong together, whether they can be compared, and what differs between them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from rl_eval import envs
from rl_eval.compare.entry import Entry, flat_config
from rl_eval.envs.base import EnvConfig
from rl_eval.errors import InputError
from rl_eval.metrics import Metric, lookup
from rl_eval.terminal import differing_keys

# Neither what is learned nor how: names, places, and how many processes step the copies.
_INCIDENTAL = re.compile(r"seed|name|resume|(tracker|hydra)(\..*)?|env\.(path|workers)")
# Of the environment, what training was stepped by, which changes no task: all are played on the same one.
_NOT_THE_TASK = frozenset({"path", "workers", "backend"})
_STATED = {
    "failed": "failed",
    "interrupted": "was interrupted",
    "running": "is still running, or was killed",
}


@dataclass(frozen=True)
class Group:
    """Runs of equal config but for the seed, in the order of their seeds: one candidate.

    Attributes:
        label: the settings that tell it from the other groups, as Hydra overrides.
        left_out: runs that repeat a seed, and so show nothing that another does not.
    """

    label: str
    entries: tuple[Entry, ...]
    left_out: int = 0

    @property
    def seeds(self) -> tuple[int, ...]:
        """One a run; empty where a run does not say."""
        known = [entry.seed for entry in self.entries]
        return tuple(seed for seed in known if seed is not None) if None not in known else ()


@dataclass(frozen=True)
class Task:
    """What all runs have in common: what is compared.

    Attributes:
        env: the environment; its data lies where the first run found it.
        metric: the task metric.
    """

    env: EnvConfig
    metric: Metric


def common_task(entries: Sequence[Entry], metric: str | None) -> Task:
    """The environment and the metric of runs that can be compared.

    Args:
        metric: as the person asked; None: what the runs themselves were selected by.

    Raises:
        InputError: they cannot be compared; the sentence names the runs and the reason.
    """
    for entry in entries:
        if entry.status != "finished":
            how = _STATED.get(entry.status, f"has the status {entry.status!r}")
            cure = f"finish it with `python train.py resume={entry.name}`, or leave it out"
            raise InputError(f"{entry.name} {how}, so what it would have reached is not known: {cure}")
    first = entries[0]
    env = _environment(first)
    ours = _identity(env)
    for entry in entries[1:]:
        other = _environment(entry)
        theirs = _identity(other)
        differing = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        if differing:
            key = "name" if "name" in differing else differing[0]
            raise InputError(
                f"{entry.name} has env.{key}={_typed(theirs.get(key))} and {first.name} has {_typed(ours.get(key))}, "
                "so they face different tasks: compare runs of one environment"
            )
    _refuse_other_data(entries)
    return Task(env, _metric(entries, metric))


def _environment(entry: Entry) -> EnvConfig:
    try:
        return envs.validate(entry.section("env"))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(
            f"{entry.name} has an environment that this version does not know (env.{where}): train it again"
        ) from error


def _identity(env: EnvConfig) -> dict[str, Any]:
    flat = flat_config({"env": env.model_dump(mode="json")}, "env")
    named = {key.removeprefix("env."): value for key, value in flat.items()}
    return {key: value for key, value in named.items() if key not in _NOT_THE_TASK}


def _refuse_other_data(entries: Sequence[Entry]) -> None:
    """Data files may change while the config that names them does not."""
    known: list[tuple[Entry, dict[str, Any]]] = []
    for entry in entries:
        prints = entry.run.info.get("data_fingerprints") if entry.run else None
        if isinstance(prints, Mapping):
            known.append((entry, dict(prints)))
    for entry, prints in known[1:]:
        first, ours = known[0]
        for part in ("gate", "select", "train"):
            if prints.get(part) != ours.get(part):
                raise InputError(
                    f"the {part} part of the data of {entry.name} is not that of {first.name} (its fingerprint "
                    "differs), so they face different tasks: compare runs of the same data"
                )


def _metric(entries: Sequence[Entry], asked: str | None) -> Metric:
    chosen = {str(entry.config.get("select.metric")): entry for entry in reversed(entries)}
    if asked is None and len(chosen) > 1:
        said = ", ".join(f"{name} ({entry.name})" for name, entry in sorted(chosen.items()))
        raise InputError(f"the runs were selected by different metrics, {said}: say which to compare with --metric")
    metric = lookup(next(iter(chosen)) if asked is None else asked)
    if metric.kind != "task" or metric.better is None:
        raise InputError(
            f"--metric {metric.name} cannot be compared: name a metric of episodes of which more or less is better"
        )
    return metric


def _typed(value: Any) -> str:
    """A value as it is typed in an override."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def group(entries: Sequence[Entry], baseline: Sequence[Entry] = ()) -> list[Group]:
    """The baseline first, then the candidates in the order in which they were named.

    Args:
        entries: of the candidates; without `baseline`, the first group is the baseline.
        baseline: runs that are the baseline though their config may be that of a candidate.

    Raises:
        InputError: the runs named as the baseline differ in more than their seed.
    """
    parts = _by_config(baseline)
    if len(parts) > 1:
        differing = differing_keys([part[0].config for part in parts])
        raise InputError(
            f"the runs of --baseline differ in {', '.join(differing) or 'their config'}: "
            "name runs that differ in nothing but their seed"
        )
    named = {entry.name for entry in baseline}
    parts += _by_config([entry for entry in entries if entry.name not in named] or entries)
    labels = _labels([part[0].config for part in parts])
    return [_one_a_seed(part, label) for part, label in zip(parts, labels, strict=True)]


def _by_config(entries: Sequence[Entry]) -> list[list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        kept = {key: value for key, value in entry.config.items() if not _INCIDENTAL.fullmatch(key)}
        groups.setdefault(json.dumps(kept, sort_keys=True, default=str), []).append(entry)
    return list(groups.values())


def _one_a_seed(entries: Sequence[Entry], label: str) -> Group:
    """The newest run of each seed, by the order in which they were named."""
    newest = {entry.seed if entry.seed is not None else entry.name: entry for entry in entries}
    kept = sorted(newest.values(), key=lambda entry: (entry.seed is None, entry.seed or 0, entry.name))
    return Group(label, tuple(kept), len(entries) - len(kept))


def differences(groups: Sequence[Group]) -> dict[str, tuple[str, ...]]:
    """Dotted key -> its value in each group, as typed in an override; only keys whose values differ."""
    configs = [group.entries[0].config for group in groups]
    kept = [key for key in differing_keys(configs) if not _INCIDENTAL.fullmatch(key)]
    return {key: tuple(_typed(config.get(key)) for config in configs) for key in kept}


def _labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    kept = [key for key in differing_keys(configs) if not _INCIDENTAL.fullmatch(key)]
    labels = [" ".join(f"{key}={_typed(config.get(key))}" for key in kept) for config in configs]
    names = [label if 0 < len(label) <= 80 else f"group {which}" for which, label in enumerate(labels, 1)]
    if len(configs) == 1:
        return ["all runs"]
    if len(configs) == 2 and not any(labels):
        return ["baseline", "candidate"]  # one config: the person said which is which
    return [name if names.count(name) == 1 else f"{name} ({which})" for which, name in enumerate(names, 1)]
