"""Whether copies of an environment play the same episodes, since it does not obey its seed; then they are no evidence.

An environment whose generator is made with a constant plays one sequence of episodes, in each copy the same one. One
without randomness has the same episode for every seed: there its return is exactly what was seen.
"""

from __future__ import annotations

import numpy as np

from rl_eval.errors import InputError
from rl_eval.exposure import fingerprint_observations
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.rollout import Episodes

LOOKED_AT = 64  # episodes, among which starts repeat where copies play the same ones
PLAYED_AGAIN = 8  # episodes

SAME_IN_EACH_COPY = (
    "nothing can be claimed, since the environment does not obey its seed, and with different seeds its copies play "
    "the same episodes: draw all that is random from self.np_random, after super().reset(seed=seed)"
)
ONE_EPISODE = "; every episode was the same, step by step: there is no randomness in what was played"


def copies_play_the_same(environment: SuiteEnvironment, spec: str, label: str, played: EpisodeBuffer) -> bool:
    """Whether episodes of different seeds are the same in fresh copies, and differ one after another in one copy.

    Where the environment obeys its seed, an episode is the same on any copy, so that both are the same. Only where
    starts repeat anything is played again.
    """
    starts = fingerprint_observations(played.between(0, LOOKED_AT).first_obs)[0]
    count = min(PLAYED_AGAIN, len(starts))
    if environment.copies < 2 or len(np.unique(starts)) == len(starts):
        return False
    try:
        apart, in_turn = (_play_again(environment, spec, label, count, copies) for copies in (count, 1))
    except InputError:
        return False
    same_starts = _same_starts(apart) and not _same_starts(in_turn)
    return same_starts or (_are_same(apart) and not _are_same(in_turn))


def is_one_episode(played: EpisodeBuffer) -> bool:
    """Whether all episodes, two or more, had the same start, length and facts in every step."""
    return played.count > 1 and _are_same(played.between(0, played.count))


def _play_again(environment: SuiteEnvironment, spec: str, label: str, count: int, copies: int) -> Episodes:
    again = environment.play(spec, f"{label} (again)", count, copies=copies)
    try:
        return again.between(0, count)
    finally:
        again.close()


def _same_starts(episodes: Episodes) -> bool:
    return len(np.unique(fingerprint_observations(episodes.first_obs)[0])) == 1


def _are_same(episodes: Episodes) -> bool:
    if len(np.unique(episodes.lengths)) > 1 or len(np.unique(episodes.terminated)) > 1 or not _same_starts(episodes):
        return False
    steps = [np.asarray(values).reshape(len(episodes), -1) for values in episodes.outcome.values()]
    return all(np.array_equal(rows, np.broadcast_to(rows[:1], rows.shape), equal_nan=True) for rows in steps)
