"""Whether the files of a run are complete, and whether its own numbers agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.metrics._registry import metric

if TYPE_CHECKING:
    from rl_eval.run import Run


@metric("artefact", unit="run", better="higher")
def artefacts_complete(run: Run) -> list[str]:
    """1 when the policy snapshot, every other snapshot, metrics, results and config are there and readable, else 0."""
    from rl_eval.run import read_checkpoint, read_metrics, read_run

    faults = []
    checks: list[Callable[[], object]] = [lambda: read_run(run.path), run.judged_snapshot]
    checks += [partial(read_checkpoint, path, "policy") for path in run.snapshots()]
    for check in checks:
        try:
            check()
        except InputError as error:
            faults.append(str(error))
    try:
        rows = read_metrics(run.path / "metrics.csv")
        if not rows or not len(next(iter(rows.values()))):
            faults.append(f"{run.path / 'metrics.csv'} has no row")
    except InputError as error:
        faults.append(str(error))
    if not run.info.get("results"):
        faults.append(f"{run.path / 'run.json'} has no results")
    return faults


@metric("artefact", unit="run", better="higher")
def numbers_agree(run: Run) -> list[str]:
    """1 when the run's step counts and final figures agree in all files that have them, else 0."""
    from rl_eval.run import read_metrics

    try:
        logged = read_metrics(run.path / "metrics.csv").get("env_steps", np.zeros(0))
    except InputError as error:
        return [str(error), *disagreements(run.info, run.config, None)]
    return disagreements(run.info, run.config, logged)


def disagreements(info: Mapping[str, Any], config: Mapping[str, Any], logged: np.ndarray | None) -> list[str]:
    """A sentence for each pair of figures of a run that contradict each other.

    Args:
        info: `run.json`.
        config: `config.yaml`.
        logged: `env_steps` of `metrics.csv`, `[rows]`; None if it cannot be read.
    """
    faults = []
    env_steps = info.get("env_steps")
    if not isinstance(env_steps, int):
        return [f"run.json says {env_steps!r} env_steps, which is not a count"]
    parts: dict[str, Any] = {name: info.get(f"steps_{name}") for name in ("finished", "in_flight", "cut")}
    missing = [name for name, value in parts.items() if not isinstance(value, int)]
    if missing:
        faults.append(f"run.json does not say steps_{missing[0]}")
    elif sum(parts.values()) != env_steps:
        counted = " + ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in parts.items())
        faults.append(f"run.json says {env_steps:,} env_steps, but its episodes have {counted}")
    if logged is not None and (not len(logged) or logged[-1] != env_steps):
        last = f"{logged[-1]:,.0f}" if len(logged) else "none"
        faults.append(f"run.json says {env_steps:,} env_steps, but the last of metrics.csv is {last}")
    return faults + _final_figures(info, config)


def _final_figures(info: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """The final results must be possible as the figures of one set of episodes."""
    stored = info.get("results")
    results: Mapping[str, Any] = stored if isinstance(stored, Mapping) else {}
    figures = [results.get(name) for name in ("min", "mean", "max", "std")]
    low, mean, high, std = (float(value) if isinstance(value, int | float) else math.nan for value in figures)
    if not all(math.isfinite(value) for value in (low, mean, high, std)):
        return ["run.json does not say results.mean, std, min and max as numbers"]
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    widest = (high - low) / math.sqrt(2)  # the sample std of two episodes at the ends, and no sample has more
    if not low - slack <= mean <= high + slack or not -slack <= std <= widest + slack:
        return [f"run.json says a mean of {mean:.6g} ± {std:.6g} between {low:.6g} and {high:.6g}, which is impossible"]
    # the judged snapshot was scored when it was chosen and again at the end, on the same episodes
    first_score = info.get("validation_score")
    validation = config.get("validation")
    metric_name = validation.get("metric") if isinstance(validation, Mapping) else None
    final_score = results.get(str(metric_name))
    if isinstance(first_score, int | float) and isinstance(final_score, int | float) and first_score != final_score:
        return [
            f"run.json says a {metric_name} of {first_score:.6g} as validation_score and {final_score:.6g} in results"
        ]
    return []
