"""Walk-forward trials: does training beat the first policy on data that comes after what it is trained on?

Each trial trains as the run does, but on earlier data, and is compared with the first policy on the data that follows,
episode by episode. What follows a trial is before the test part, so a gate's data takes no part.

As progressive validation does (Blum, Kalai and Langford, *Beating the hold-out*, COLT 1999), all trials together test
on far more episodes than one validation part holds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval import agent_registry, domains, exposure
from rl_eval.config import RunConfig
from rl_eval.errors import InputError
from rl_eval.evidence import signed_rank_p
from rl_eval.training import _record, _resume_points
from rl_eval.training._init_from_run import InitialPolicy
from rl_eval.training._learner import Learner, make_learner
from rl_eval.training._validation import ValidationPart

ENOUGH = 50  # episodes of the validation part that decide without trials
ALPHA = 0.15  # chance that training is taken for better where it changes nothing
# The same for only the later half: what training gains early in a history may be gone by its end.
LATER_ALPHA = 0.3

Checkpoint = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]


@dataclass(frozen=True)
class Trials:
    """What the trials say.

    Attributes:
        trials: how many trainings there were in addition to that of the run.
        episodes: on which both policies played.
        difference: the mean of the validation metric of the trained policies minus that of the first, positive where
            training is better.
        p_value: of `signed_rank_p`; 1 without episodes.
        later_p_value: the same of the later half of the episodes.
        exposure: the cases of the trials; None without trials.
        cases: their number by part.
    """

    trials: int
    episodes: int
    difference: float
    p_value: float
    later_p_value: float
    exposure: exposure.Exposure | None
    cases: Mapping[str, int]

    @property
    def keeps_first(self) -> bool:
        """Whether the first policy is the judged one."""
        return self.p_value > ALPHA or self.later_p_value > LATER_ALPHA or self.difference <= 0

    def to_json(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "trials": self.trials,
            "episodes": self.episodes,
            "difference": self.difference,
            "p_value": self.p_value,
            "later_p_value": self.later_p_value,
            "judged": "the first policy" if self.keeps_first else "the trained policy",
        }


def walk_forward(
    config: RunConfig,
    initial: InitialPolicy | None,
    device: str,
    validation: ValidationPart,
    best: Checkpoint,
    first: Checkpoint,
) -> Trials:
    """Compare trained policies with first ones: on the validation part where that is large, else in trials.

    A trial takes an equal share of `config.total_steps`.

    Args:
        validation, best, first: of the run.
    """
    domain, count = domains.domain(config.env.name), config.validation.trials
    splits = domain.earlier_splits(config.env, count)
    differences = _differences(config, validation, best, first)
    if len(differences) >= ENOUGH or not splits:
        return _result(0, differences, None, {})
    steps = max(config.total_steps // count, 1)
    blocks: list[np.ndarray] = []
    seen: exposure.Exposure | None = None
    cases = {"train": 0, "validation": 0}
    for env in splits:
        trial = config.model_copy(update={"env": env, "total_steps": steps})
        with tempfile.TemporaryDirectory() as folder:
            try:
                learner = _learner(trial, initial, device, Path(folder))
            except InputError:  # there is nothing to learn from so early
                continue
            blocks.append(_trial(trial, learner))
        if domain.has_cases:
            own = exposure.Exposure.of_cases(env, np.empty(0, np.int64))
            seen = own if seen is None else seen.union(own)
            for part, number in (_record.case_counts(trial) or {}).items():
                cases[part] += number
    return _result(len(blocks), np.concatenate(blocks) if blocks else np.empty(0), seen, cases)


def _result(trials: int, differences: np.ndarray, seen: exposure.Exposure | None, cases: Mapping[str, int]) -> Trials:
    if not len(differences):
        return Trials(trials, 0, 0.0, 1.0, 1.0, seen, cases)
    p_value, later = signed_rank_p(differences), signed_rank_p(differences[len(differences) // 2 :])
    return Trials(trials, len(differences), float(differences.mean()), p_value, later, seen, cases)


def _learner(config: RunConfig, initial: InitialPolicy | None, device: str, folder: Path) -> Learner:
    learner = make_learner(config, folder, device)
    if initial is not None:
        learner.agent.initialize(initial.arrays, initial.meta)
    return learner


def _trial(config: RunConfig, learner: Learner) -> np.ndarray:
    """The differences of one trial, `[n]`."""
    agent, validation = learner.agent, ValidationPart(config)
    try:
        first = agent.policy_checkpoint()
        agent.start(_resume_points.env_seeds(config.seed, 0, config.agent.n_envs))
        while agent.env_steps < config.total_steps:
            agent.iterate()
        return _differences(config, validation, agent.policy_checkpoint(), first)
    finally:
        validation.close()
        learner.vector.close()


def _differences(config: RunConfig, validation: ValidationPart, trained: Checkpoint, first: Checkpoint) -> np.ndarray:
    """By how much a trained policy is better, of each episode on which both have a value, `[n]`."""
    load = agent_registry.agent(config.agent.name).load_policy
    ours, theirs = (validation.values(load(*checkpoint)) for checkpoint in (trained, first))
    return (ours - theirs)[~np.isnan(ours - theirs)]
