"""Groups of runs that differ only in their seed; whether they can be compared, and which settings differ."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rl_eval import domains
from rl_eval.compare.compared_run import ComparedRun, flat_config
from rl_eval.domains import EnvConfig
from rl_eval.dotted_keys import differing_keys
from rl_eval.errors import InputError
from rl_eval.metrics import Metric, lookup
from rl_eval.run import INCIDENTAL_HARDWARE, resume_command

# Settings that change neither what is learned nor how: names, paths, what judges, worker processes, prices.
_INCIDENTAL = re.compile(
    rf"seed|name|resume|judge|(tracker|launcher|hydra)(\..*)?|env\.(path|workers)|hardware\.({'|'.join(INCIDENTAL_HARDWARE)})"
)
_STATUS_TEXTS = {
    "failed": "failed",
    "interrupted": "was interrupted",
    "over_budget": "stopped at its budget",
    "running": "is still running, or was killed",
}


@dataclass(frozen=True)
class RunGroup:
    """Runs whose configs differ only in the seed, in the order of their seeds: one candidate.

    Attributes:
        label: the settings that differ from the other groups, as Hydra overrides.
        left_out: how many runs were left out because they repeat a seed.
    """

    label: str
    runs: tuple[ComparedRun, ...]
    left_out: int = 0

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each run; empty where a run has none."""
        seeds = [run.seed for run in self.runs]
        return tuple(seed for seed in seeds if seed is not None) if None not in seeds else ()


@dataclass(frozen=True)
class ComparisonTask:
    """The environment and the metric that all runs are compared on.

    Attributes:
        env: the environment, with the data path of the first run; None if nothing can be played.
        metric: the task metric.
        env_name: as it is shown.
    """

    env: EnvConfig | None
    metric: Metric
    env_name: str


def common_task(runs: Sequence[ComparedRun], metric: str | None) -> ComparisonTask:
    """The environment and the metric of runs that can be compared.

    Args:
        metric: the metric that was asked for; None: the metric that the runs were selected by.

    Raises:
        InputError: they cannot be compared; the sentence names the runs and the reason.
    """
    for run in runs:
        if run.status != "finished":
            status = _STATUS_TEXTS.get(run.status, f"has the status {run.status!r}")
            fix = f"finish it with `{resume_command(Path(run.name))}`, or leave it out"
            raise InputError(f"{run.name} {status}, so its final result is unknown: {fix}")
    first = runs[0]
    env = _environment(first)
    first_settings = _task_settings(env)
    for run in runs[1:]:
        settings = _task_settings(_environment(run))
        differing = [key for key in {**first_settings, **settings} if first_settings.get(key) != settings.get(key)]
        if differing:
            key = "name" if "name" in differing else differing[0]
            values = _override_value(settings.get(key)), _override_value(first_settings.get(key))
            raise InputError(
                f"{run.name} has env.{key}={values[0]} and {first.name} has {values[1]}, "
                "so their tasks differ: compare runs of one environment"
            )
    _refuse_other_data(runs)
    return ComparisonTask(env, _metric(runs, metric), env.name)


def _environment(run: ComparedRun) -> EnvConfig:
    try:
        return domains.validate(run.section("env"))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(
            f"{run.name} has an environment that this version does not know (env.{where}): train it again"
        ) from error


def _task_settings(env: EnvConfig) -> dict[str, Any]:
    flat = flat_config({"env": domains.identity(env)}, "env")
    return {key.removeprefix("env."): value for key, value in flat.items()}


def _refuse_other_data(runs: Sequence[ComparedRun]) -> None:
    """Data files may change while the config that names them does not."""
    fingerprinted: list[tuple[ComparedRun, dict[str, Any]]] = []
    for run in runs:
        fingerprints = run.record.info.get("data_fingerprints") if run.record else None
        if isinstance(fingerprints, Mapping):
            fingerprinted.append((run, dict(fingerprints)))
    for run, fingerprints in fingerprinted[1:]:
        first, first_fingerprints = fingerprinted[0]
        for part in ("test", "validation", "train"):
            if fingerprints.get(part) != first_fingerprints.get(part):
                raise InputError(
                    f"the {part} part of the data of {run.name} differs from {first.name} (by its fingerprint"
                    "differs), so their tasks differ: compare runs of the same data"
                )


def _metric(runs: Sequence[ComparedRun], name: str | None) -> Metric:
    selected_by = {str(run.config.get("validation.metric")): run for run in reversed(runs)}
    if name is None and len(selected_by) > 1:
        metrics = ", ".join(f"{metric} ({run.name})" for metric, run in sorted(selected_by.items()))
        raise InputError(f"the runs were selected by different metrics, {metrics}: name one with --metric")
    metric = lookup(next(iter(selected_by)) if name is None else name)
    if metric.kind != "task" or metric.better is None:
        raise InputError(
            f"--metric {metric.name} cannot be compared: name a metric of episodes that has a better direction"
        )
    return metric


def _override_value(value: Any) -> str:
    """A value as it is written in an override."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def group_runs(
    runs: Sequence[ComparedRun], baseline: Sequence[ComparedRun] = (), *, gate: bool = False
) -> list[RunGroup]:
    """One group of each config: the baseline first, then the candidates in the order given.

    Args:
        runs: of the candidates; without `baseline`, the first group is the baseline.
        baseline: runs that form the baseline even if a candidate has the same config.
        gate: whether there must be a candidate.

    Raises:
        InputError: the runs of the baseline differ in more than their seed, or the candidate is missing.
    """
    parts = _by_config(baseline)
    if len(parts) > 1:
        differing = differing_keys([part[0].config for part in parts])
        raise InputError(
            f"the runs of --baseline differ in {', '.join(differing) or 'their config'}: "
            "name runs that differ only in their seed"
        )
    baseline_names = {run.name for run in baseline}
    parts += _by_config([run for run in runs if run.name not in baseline_names] or runs)
    if gate and len(parts) < 2:
        raise InputError(
            "--gate needs a candidate and a baseline, but all runs have the same config: name the baseline with "
            "--baseline"
        )
    labels = _labels([part[0].config for part in parts])
    return [_one_run_per_seed(part, label) for part, label in zip(parts, labels, strict=True)]


def _by_config(runs: Sequence[ComparedRun]) -> list[list[ComparedRun]]:
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        settings = {key: value for key, value in run.config.items() if not _INCIDENTAL.fullmatch(key)}
        groups.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(run)
    return list(groups.values())


def _one_run_per_seed(runs: Sequence[ComparedRun], label: str) -> RunGroup:
    """The run of each seed that was named last."""
    newest = {run.seed if run.seed is not None else run.name: run for run in runs}
    latest = sorted(newest.values(), key=lambda run: (run.seed is None, run.seed or 0, run.name))
    return RunGroup(label, tuple(latest), len(runs) - len(latest))


def differing_settings(groups: Sequence[RunGroup]) -> dict[str, tuple[str, ...]]:
    """Dotted key -> its value in each group, as written in an override; only keys whose values differ."""
    configs = [group.runs[0].config for group in groups]
    keys = [key for key in differing_keys(configs) if not _INCIDENTAL.fullmatch(key)]
    return {key: tuple(_override_value(config.get(key)) for config in configs) for key in keys}


def _labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = [key for key in differing_keys(configs) if not _INCIDENTAL.fullmatch(key)]
    labels = [" ".join(f"{key}={_override_value(config[key])}" for key in keys if key in config) for config in configs]
    names = [label if 0 < len(label) <= 80 else f"group {number}" for number, label in enumerate(labels, 1)]
    if len(configs) == 1:
        return ["all runs"]
    if len(configs) == 2 and not any(labels):
        return ["baseline", "candidate"]  # one config: --baseline separates the two
    return [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)]


def repeated_seeds_note(group: RunGroup) -> str:
    """How many runs do not count."""
    return f"{group.label}: {group.left_out} of its runs repeat the seed of another, and are left out"


def commit_notes(groups: Sequence[RunGroup]) -> list[str]:
    """Groups may be trained by different code even if their configs are equal."""
    commits = [{str(run.record.info.get("git_revision"))[:10] for run in group.runs if run.record} for group in groups]
    recorded = [revisions for revisions in commits if revisions]
    if all(revisions == recorded[0] for revisions in recorded):
        return []
    texts = [f"{group.label}: {', '.join(sorted(revs))}" for group, revs in zip(groups, commits, strict=True)]
    return [f"the groups were trained by different commits ({'; '.join(texts)})"]
