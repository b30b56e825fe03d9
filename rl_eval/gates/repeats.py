"""Runs that repeat each other: what differs from a suite's `train:`, and which runs make a group."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rl_eval.domains import domain, identity
from rl_eval.errors import InputError, nearest
from rl_eval.gates.suite import Suite
from rl_eval.gates.training_commands import train_command
from rl_eval.run import Run, deciding_settings, environment_of


def differing_settings(suite: Suite, run: Run) -> dict[str, Any]:
    """The keys of `train:` that a run has other values for, and these; where its data was does not count.

    Raises:
        InputError: the run does not record a key.
    """
    suite_domain = domain(suite.env.name)
    incidental = {f"env.{key}" for key in (*suite_domain.location_keys, *suite_domain.execution_keys)}
    settings = {key: value for key, value in suite.spec.train.items() if key not in incidental}
    own = {key: _setting(suite, run.config, key) for key in settings}
    return {key: value for key, value in own.items() if value != settings[key]}


def _setting(suite: Suite, config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key in a run's config; of a group such as `agent`, its name."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            keys = [str(name) for name in config]
            raise InputError(
                f"{suite.label}: train.{key} is not recorded in runs, so it cannot select them: "
                f"{nearest(key, keys)}name a key of their config ({', '.join(keys)}), dotted"
            )
        value = value[part]
    if isinstance(value, Mapping):
        if "name" not in value:
            raise InputError(
                f"{suite.label}: train.{key} is a config group, and runs do not record its choice: name the keys that "
                "it sets, such as agent.gamma"
            )
        return value["name"]
    return value


def group_key(suite: Suite, run: Run) -> str:
    """Equal for runs that differ only in their seed; with `same_seed`, only for runs of one seed."""
    return json.dumps(_comparable(run, with_seed=suite.spec.runs.same_seed), sort_keys=True, default=str)


def _comparable(run: Run, *, with_seed: bool) -> dict[str, Any]:
    """The settings that must be equal for two runs to count as repeats."""
    config = deciding_settings(run.config)
    if not with_seed:
        config.pop("seed", None)
    # Another back end draws other start states.
    return {**config, "env": identity(environment_of(run)), "backend": run.info.get("backend")}


def not_a_group(suite: Suite, runs: Sequence[Run]) -> str | None:
    """Why the runs cannot show the spread of training, or None if they can."""
    required = suite.spec.runs
    if required.count == 1:
        return None
    if len(runs) < required.count:
        return (
            f"a criterion over runs needs {required.count} finished runs, but there are only {len(runs)}: train with "
            f"`{train_command(suite)}`"
        )
    configs = [_comparable(run, with_seed=False) for run in runs]
    for run, config in zip(runs, configs, strict=True):
        if config != configs[0]:
            differing = sorted(key for key in {*config, *configs[0]} if config.get(key) != configs[0].get(key))
            return (
                f"{run.path} differs from {runs[0].path} in {', '.join(differing)}: "
                "name runs that differ only in their seed"
            )
    seeds = [run.config.get("seed") for run in runs]
    if required.same_seed and len(set(seeds)) > 1:
        return f"the runs have the seeds {', '.join(str(seed) for seed in seeds)}: name runs of one seed"
    if not required.same_seed and len(set(seeds)) < len(seeds):
        return f"the runs have the seeds {', '.join(str(seed) for seed in seeds)}: name runs of different seeds"
    return None


def started(run: Run) -> str:
    """When a run started, as text that sorts by time; empty if that is not known."""
    return str(run.info.get("started", ""))
