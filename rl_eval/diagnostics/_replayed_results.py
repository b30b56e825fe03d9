"""The judged snapshot, played again on the validation episodes whose results `run.json` reports."""

from __future__ import annotations

import platform
from collections.abc import Mapping

import numpy as np

from rl_eval import domains, seeding
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.judged_policy import play_judged_policy
from rl_eval.provenance import versions
from rl_eval.rewards import RewardFunction
from rl_eval.run import finite

COPIES = 25  # as in training, since other batch sizes can round differently
MAX_STEPS = 30_000  # of all episodes together; longer ones take too long


def replayed_returns(run: DiagnosedRun) -> np.ndarray | None:
    """`[E]` the returns in the training reward that `results` in run.json summarises; None if they cannot be played."""
    results, episodes = run.info.get("results"), run.setting("validation.episodes")
    config = run.environment
    if not isinstance(results, Mapping) or not isinstance(episodes, int) or config is None or run.snapshot is None:
        return None
    if getattr(config, "base_url", None) is not None:
        return None  # somebody's own service may answer differently now
    length = finite(results.get("mean_length"))
    limit = domains.domain(config.name).episodes(config, "validation")
    count = episodes if limit is None else min(episodes, limit)
    if results.get("episodes") != count or length is None or not 0 < count * length <= MAX_STEPS:
        return None
    seeds = seeding.episode_seeds(run.seed, count, "select") if limit is None else list(range(count))
    try:
        reward = RewardFunction.from_config(run.setting("reward.terms"))
        play = play_judged_policy(run.path, config, seeds=seeds, seed=run.seed, max_steps=MAX_STEPS, max_copies=COPIES)
        rewards, _ = reward(play.episodes.outcome)
        return np.bincount(play.episodes.episode, weights=rewards, minlength=len(play.episodes))
    except Exception as error:  # the environment or its data may be anyone's
        run.add_missing("the judged snapshot, played again", error)
        return None


def same_machine(run: DiagnosedRun) -> bool:
    """Whether the run was trained with these versions on this kind of machine, so that equal bytes are expected."""
    hardware = run.info.get("hardware")
    recorded = hardware if isinstance(hardware, Mapping) else {}
    current = (versions(), platform.machine(), platform.system())
    return (run.info.get("versions"), recorded.get("machine"), recorded.get("system")) == current
