"""What a champion learned from: the experience of its training, or its own environment played again."""

from __future__ import annotations

import numpy as np

from rl_eval import domains
from rl_eval.errors import InputError
from rl_eval.production.loop.experience import observations, split
from rl_eval.production.parts import Parts
from rl_eval.production.store import Experience
from rl_eval.run import Run
from rl_eval.serving.source import load

COPIES = 8  # of an environment that a champion is played in
LATEST = 1_000  # trainings that are searched


def champion_observations(parts: Parts, champion: int, run: Run, rows: int) -> np.ndarray:
    """Observations `[B, D]` that a champion learned from: drift is measured from them, and EWC holds weights by them.

    Args:
        champion: its number in the registry.
        rows: B, at most.

    Raises:
        InputError: its environment cannot be made here.
    """
    stored = _trained_on(parts, champion)
    if stored:
        return observations(stored)[-rows:]
    return observations_of_run(run, rows, trust=parts.config.serve.trust)


def _trained_on(parts: Parts, champion: int) -> list[Experience]:
    """What a version's training learned from, as far as it is kept; empty where it was trained elsewhere."""
    name = parts.registry.version(champion).lineage.verdict.get("training")
    own = next((training for training in parts.store.trainings(LATEST) if training.name == name), None)
    return [] if own is None else split(parts.store.experiences_of(own), parts.config.loop.held_out)[0]


def observations_of_run(run: Run, count: int, *, trust: bool = False) -> np.ndarray:
    """Observations `[count, D]` that a run's policy meets on the training part of its environment.

    Args:
        count: at least 1.

    Raises:
        InputError: the run is damaged, or its environment is not here.
    """
    source = load(str(run.path), seed=0, trust=trust)
    if source.env_config is None:
        raise InputError(f"{run.path} is of an environment that is not here: install its domain")
    vector = domains.make(source.env_config, n_envs=COPIES, part="train")
    try:
        rng = np.random.default_rng(0)
        collected: list[np.ndarray] = []
        observed, infos = vector.reset(seed=0)
        while len(collected) * COPIES < count:
            flat = np.asarray(observed, np.float32).reshape(COPIES, -1)
            collected.append(flat.copy())
            mask = infos.get("action_mask")
            decided = source.policy.decide(np.asarray(observed), np.zeros(COPIES, bool), mask, rng)
            observed, _, _, _, infos = vector.step(decided.actions)
    finally:
        vector.close()
    return np.concatenate(collected)[:count]
