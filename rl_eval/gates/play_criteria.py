"""Play a policy until every criterion is decided, all of them on the same episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.errors import InputError
from rl_eval.gates.criterion_check import CriterionCheck
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.estimate_check import EstimateCheck
from rl_eval.gates.evidence_check import EvidenceCheck
from rl_eval.gates.suite import Criterion
from rl_eval.gates.suite_environment import SuiteEnvironment

# A useless policy is often known to miss after as few episodes.
FIRST_OF_CONTROL = 16
PLAYED_TWICE = 3  # episodes, to see whether the seed decides what a policy does


def new_check(environment: SuiteEnvironment, criterion: Criterion, *, clipped: bool = False) -> CriterionCheck:
    """The check of a criterion, before anything is played.

    Args:
        clipped: silently clip values at both bounds, as for a policy that is meant to be useless.
    """
    if criterion.spec.by == "estimate":
        return EstimateCheck(environment, criterion)
    return EvidenceCheck(environment, criterion, clipped)


def play_criteria(
    environment: SuiteEnvironment,
    spec: str,
    label: str,
    checks: Sequence[CriterionCheck],
    *,
    until_one_fails: bool = False,
) -> EpisodeBuffer | None:
    """Play until every check is settled, and at least `episodes.min`; then each has its verdict.

    Returns the episodes, or None where there is nothing to check.

    Args:
        spec: names the policy; `label` is shown while it plays.
        until_one_fails: stop as soon as one is known to be missed or all are settled, however few the episodes.

    Raises:
        InputError: the policy cannot be loaded, does not fit, or returns something that is not an action.
    """
    if not checks:
        return None
    most = max(check.episodes for check in checks)
    buffer = environment.play(spec, label, most)
    stop = FIRST_OF_CONTROL if until_one_fails else max(_least_episodes(environment, check) for check in checks)
    try:
        while True:
            # a schedule of its own: how many copies play must not decide how many episodes count
            played = buffer.play_to(min(max(stop, 1), most))
            for check in checks:
                check.update(buffer, played)
            settled = all(check.settled for check in checks) or (until_one_fails and any(c.missed for c in checks))
            if settled or played < stop or stop >= most:
                break
            stop += max(stop // 4, 16)
        for check in checks:
            check.finish()
    finally:
        buffer.close()
    return buffer


def differs_when_played_again(
    environment: SuiteEnvironment, spec: str, label: str, played: EpisodeBuffer, episodes: int
) -> bool:
    """Whether a policy, loaded again with the same seed, does something else in the first episodes.

    Args:
        episodes: how many `played` could have, so that the copies take up the same seeds.
    """
    count = min(PLAYED_TWICE, played.count)
    try:
        again = environment.play(spec, f"{label} (again)", episodes)
        try:
            if again.play_to(count) < count:
                return True
            first, second = played.between(0, count), again.between(0, count)
        finally:
            again.close()
    except InputError:
        return True
    return not (
        np.array_equal(first.lengths, second.lengths)
        and np.array_equal(first.terminated, second.terminated)
        and first.outcome.keys() == second.outcome.keys()
        and all(
            np.array_equal(values, second.outcome[name], equal_nan=values.dtype.kind == "f")
            for name, values in first.outcome.items()
        )
    )


def _least_episodes(environment: SuiteEnvironment, check: CriterionCheck) -> int:
    return environment.min_episodes if isinstance(check, EvidenceCheck) else check.episodes
