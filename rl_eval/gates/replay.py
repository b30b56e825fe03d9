"""Play some episodes of a policy again, to see whether anything except the suite's seed decides what it does."""

from __future__ import annotations

import numpy as np

from rl_eval.errors import InputError
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.rollout import Episodes

PLAYED_TWICE = 3  # episodes

UNSEEDED = (
    "; the same seeds gave different results when they were played again: the policy (or the environment) draws "
    "random numbers that the suite does not seed, or keeps a memory when it is loaded again"
)
REMEMBERS = (
    "; episodes gave different results when they were played one after another: the policy probably keeps a memory "
    "across episodes and does not take `episode_start`, draws random numbers that the suite does not seed (as an ONNX "
    "graph with RandomNormal does), or its action depends on the other observations of the same call"
)


def replay_note(environment: SuiteEnvironment, spec: str, label: str, played: EpisodeBuffer, episodes: int) -> str:
    """What to add to the verdicts of a policy that acts by more than its observations and the seed; else nothing.

    A policy that draws random numbers may act differently where episodes are played in another order, so for one that
    another seed changes only the first question is asked.

    Args:
        episodes: how many `played` could have, so that the copies take up the same seeds.
    """
    count = min(PLAYED_TWICE, played.count)
    first = played.between(0, count)
    if not _gives(first, environment, spec, label, episodes):
        return UNSEEDED
    other_seed = environment.suite.gate_seed + 1
    # One after another on one copy, where they began on a copy each; or on a copy each, where there was only one.
    copies = 1 if environment.copies > 1 else count
    if count < 2 or _gives(first, environment, spec, label, count, copies=copies, seed=other_seed):
        return ""
    return REMEMBERS if _gives(first, environment, spec, label, episodes, seed=other_seed) else ""


def _gives(
    first: Episodes,
    environment: SuiteEnvironment,
    spec: str,
    label: str,
    episodes: int,
    *,
    copies: int | None = None,
    seed: int | None = None,
) -> bool:
    """Whether a policy, loaded again, does the same in the first episodes."""
    count = len(first)
    try:
        again = environment.play(spec, f"{label} (again)", episodes, copies=copies, seed=seed)
        try:
            if again.play_to(count) < count:
                return False
            second = again.between(0, count)
        finally:
            again.close()
    except InputError:
        return False
    return (
        np.array_equal(first.lengths, second.lengths)
        and np.array_equal(first.terminated, second.terminated)
        and first.outcome.keys() == second.outcome.keys()
        and all(
            np.array_equal(values, second.outcome[name], equal_nan=values.dtype.kind == "f")
            for name, values in first.outcome.items()
            if name not in environment.measured_facts
        )
    )
