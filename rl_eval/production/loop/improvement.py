"""Improvement over time: each champion against the first, on the same fixed episodes, with an interval."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from rl_eval import domains, judged_policy, rollout, seeding
from rl_eval.errors import InputError
from rl_eval.production.loop.versions import champion_number, local_run
from rl_eval.production.parts import Parts
from rl_eval.production.watch.figures import IMPROVEMENT
from rl_eval.run import Run, environment_of, read_preprocessing

CONFIDENCE = 0.95
MOST_CHAMPIONS = 100
COPIES = 16


def measure_champion(parts: Parts) -> bool:
    """Compare the champion with the first one, once each; returns whether something new was measured.

    Raises:
        InputError: its environment cannot be played here, or a part is away.
    """
    count = parts.config.loop.reference_episodes
    if not count:
        return False
    document = parts.store.document(IMPROVEMENT)
    measured = list(document.body.get("champions", []))
    number = champion_number(parts)
    if any(row["version"] == number for row in measured):
        return False
    first = measured[0]["version"] if measured else number
    difference = low = high = 0.0
    if first != number:
        own, other = (returns(parts, of, count) for of in (local_run(parts, number), local_run(parts, first)))
        if own.shape != other.shape:
            raise InputError(f"versions {number} and {first} play other episodes: start a new `name`")
        paired = own - other
        half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * float(paired.std(ddof=1)) / len(paired) ** 0.5
        difference = float(paired.mean())
        low, high = difference - half, difference + half
    row = {"version": number, "difference": difference, "low": low, "high": high, "episodes": count}
    body = {"champions": [*measured[:1], *measured[1:][-MOST_CHAMPIONS:], row]}
    return parts.store.swap_document(document.number, body, IMPROVEMENT)


def returns(parts: Parts, run: Run, count: int) -> np.ndarray:
    """`[E]` returns of a policy, as it is served, on the reference episodes: the validation part of the environment.

    Actions are drawn, as servers draw them.

    Raises:
        InputError: the environment cannot be played here.
    """
    config = environment_of(run)
    if parts.config.loop.reference is not None:
        chosen = domains.validate(dict(parts.config.loop.reference))
        config = domains.domain(chosen.name).with_preprocessing(chosen, read_preprocessing(run))
    domain = domains.domain(config.name)
    config = domain.in_one_process(config)
    limit = domain.episodes(config, "validation")
    seeds = seeding.episode_seeds(0, count, "reference") if limit is None else list(range(min(limit, count)))
    copies = min(len(seeds), COPIES, domain.most_copies(config))
    vector = domains.make(config, n_envs=copies, part="validation", autoreset=False)
    try:
        judged = judged_policy.load(run.path, config, vector)
        episodes = rollout.play(_WithRewards(vector), judged, seeds=seeds, greedy=False)  # type: ignore[arg-type]
    finally:
        vector.close()
    return episodes.per_episode(_REWARD)


_REWARD = "reward_of_step"


class _WithRewards:
    """A vector whose rewards are among the facts of each step."""

    def __init__(self, vector: Any):
        self._vector = vector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vector, name)

    def step(self, actions: np.ndarray) -> Any:
        """As the vector's."""
        observations, rewards, terminated, truncated, infos = self._vector.step(actions)
        outcome = {**infos.get("outcome", {}), _REWARD: np.array(rewards, np.float64)}
        return observations, rewards, terminated, truncated, {**infos, "outcome": outcome}
