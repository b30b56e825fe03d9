"""Build the content of `run.json` and `seen.npz`: final results, versions, counts, exposure."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from rl_eval import domains, run
from rl_eval.config import RunConfig
from rl_eval.exposure import Exposure, Fingerprints, FirstObservationRecorder, fingerprint_observations
from rl_eval.metrics import MetricUndefined, lookup
from rl_eval.provenance import git_revision, versions
from rl_eval.rewards import RewardFunction
from rl_eval.rollout import Episodes
from rl_eval.training._agent import Agent
from rl_eval.training._execution import Execution
from rl_eval.training._progress import Progress


def final_results(config: RunConfig, reward: RewardFunction, episodes: Episodes) -> dict[str, Any]:
    """The figures of the judged snapshot's episodes on the validation part, in the reward it was trained on."""
    rewards, _ = reward(episodes.outcome)
    returns = np.bincount(episodes.episode, weights=rewards, minlength=len(episodes))
    metric = lookup(config.validation.metric)
    try:
        value = float(metric.compute(episodes, config.env))
    except MetricUndefined:
        value = math.nan  # null in JSON
    return {
        "part": "validation",
        "episodes": len(episodes),
        "mean": float(returns.mean()),
        "std": float(returns.std()),
        "min": float(returns.min()),
        "max": float(returns.max()),
        "mean_length": float(episodes.lengths.mean()),
        metric.name: value,
    }


def exposure_of(
    config: RunConfig, starts: FirstObservationRecorder | None, seeds: list[list[int]], validation: Episodes
) -> Exposure:
    """The cases or episodes of training and validation, for the held-out guard.

    Args:
        starts: the first observations of training; None if the data is a finite set of cases.
        seeds: of every copy, each time the environments were started.
        validation: one try on the validation part; every try played the same episodes.
    """
    train_seeds = np.array(seeds, np.int64).ravel()
    if starts is None:
        return Exposure.of_cases(config.env, train_seeds)
    fingerprints = Fingerprints.from_hashes(*fingerprint_observations(validation.first_obs))
    return Exposure(False, starts.fingerprints(), fingerprints, train_seeds, validation.seeds, starts.unrecorded)


def case_counts(config: RunConfig) -> dict[str, int] | None:
    """Part -> its number of cases, for the parts that training used; None if there are no cases."""
    domain = domains.domain(config.env.name)
    if not domain.has_cases:
        return None
    return {part: len(domain.case_hashes(config.env, part)) for part in ("train", "validation")}


def info(config: RunConfig, agent: Agent, progress: Progress, execution: Execution) -> dict[str, Any]:
    """The content of `run.json` without status, reason, name, times of day and results."""
    learning_s = progress.wall_s - progress.validation_s
    return {
        "env": config.env.name,
        "env_id": getattr(config.env, "id", None),
        "agent": config.agent.name,
        "seed": config.seed,
        "metric": config.validation.metric,
        **counts(agent),
        "wall_s": round(progress.wall_s, 3),
        "validation_s": round(progress.validation_s, 3),
        "steps_per_s": round(agent.env_steps / learning_s, 1) if learning_s > 0 else None,
        "snapshot": run.step_name(progress.best_step) if progress.best_step is not None else None,
        "validation_score": progress.best_score,
        "versions": versions(),
        "git_revision": git_revision(),
        "config_hash": run.config_hash(config.to_dict()),
        "data_fingerprints": domains.domain(config.env.name).fingerprints(config.env),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "device": execution.device,
            "threads": execution.threads,
            "ranks": execution.ranks,
        },
        "backend": execution.backend,
        "command": " ".join(["python", *sys.argv]),
    }


def counts(agent: Agent) -> Mapping[str, int]:
    """The counters of a run; finished, in flight and cut add up to its env steps."""
    return {
        "env_steps": agent.env_steps,
        "gradient_steps": agent.gradient_steps,
        "training_epochs": agent.training_epochs,
        "episodes": agent.log.episodes,
        "steps_finished": agent.log.steps_finished,
        "steps_in_flight": int(agent.log.running_length.sum()),
        "steps_cut": agent.log.steps_cut,
    }
