"""Play a policy until every criterion is decided, all of them on the same episodes."""

from __future__ import annotations

from collections.abc import Sequence

from rl_eval.errors import InputError
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.criterion_check import CriterionCheck
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.estimate_check import EstimateCheck
from rl_eval.gates.evidence_check import EvidenceCheck
from rl_eval.gates.recorded_reference import RecordedReferenceCheck
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.policy import Perturbation

# A useless policy is often known to miss after as few episodes.
FIRST_OF_CONTROL = 16


def new_check(environment: SuiteEnvironment, criterion: Criterion, *, clipped: bool = False) -> CriterionCheck:
    """The check of a criterion, before anything is played.

    Args:
        clipped: silently clip values at both bounds, as for a policy that is meant to be useless.
    """
    if criterion.spec.by == "estimate":
        return EstimateCheck(environment, criterion)
    if criterion.compared is not None and criterion.compared.played is not None:
        return RecordedReferenceCheck(environment, criterion, criterion.compared.played)
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

    Criteria under a perturbation are played for themselves, after the others.

    Returns the episodes without a perturbation, or None if there is nothing to check on them.

    Args:
        spec: names the policy; `label` is shown while it plays.
        until_one_fails: stop as soon as one is known to be missed or all are settled, even after few episodes.

    Raises:
        InputError: the policy cannot be loaded, does not fit, or returns something that is not an action.
    """
    groups: dict[Perturbation | None, list[CriterionCheck]] = {None: []}
    for check in checks:
        groups.setdefault(check.under, []).append(check)
    played = _play_group(environment, spec, label, groups.pop(None), until_one_fails=until_one_fails)
    for group in groups.values():
        if until_one_fails and any(check.missed for check in checks):
            break
        try:
            _play_group(environment, spec, label, group, until_one_fails=until_one_fails)
        except InputError as error:
            for check in group:
                check.set_error(str(error))
    return played


def _play_group(
    environment: SuiteEnvironment,
    spec: str,
    label: str,
    checks: Sequence[CriterionCheck],
    *,
    until_one_fails: bool,
) -> EpisodeBuffer | None:
    if not checks:
        return None
    most = max(check.episodes for check in checks)
    buffer = environment.play(spec, label, most, under=checks[0].under)
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


def _least_episodes(environment: SuiteEnvironment, check: CriterionCheck) -> int:
    return environment.min_episodes if isinstance(check, EvidenceCheck) else check.episodes
