"""Play a policy until every criterion is decided, all of them on the same episodes."""

from __future__ import annotations

from collections.abc import Sequence

from rl_eval.evidence import RATIO_METRICS
from rl_eval.gates.criterion_check import CriterionCheck
from rl_eval.gates.estimate_check import EstimateCheck
from rl_eval.gates.evidence_check import MeanEvidenceCheck, RatioEvidenceCheck
from rl_eval.gates.suite import Criterion
from rl_eval.gates.suite_environment import SuiteEnvironment


def new_check(environment: SuiteEnvironment, criterion: Criterion, *, clipped: bool = False) -> CriterionCheck:
    """The check of a criterion, before anything is played.

    Args:
        clipped: silently clip values at both bounds, as for a policy that is meant to be useless.
    """
    if criterion.spec.by == "estimate":
        return EstimateCheck(environment, criterion)
    kind = RatioEvidenceCheck if criterion.metric.name in RATIO_METRICS else MeanEvidenceCheck
    return kind(environment, criterion, clipped)


def play_criteria(
    environment: SuiteEnvironment,
    spec: str,
    label: str,
    checks: Sequence[CriterionCheck],
    *,
    until_one_fails: bool = False,
) -> None:
    """Play until every check has its verdict.

    Args:
        spec: names the policy; `label` is shown while it plays.
        until_one_fails: stop there, which leaves the others without a verdict.

    Raises:
        InputError: the policy cannot be loaded, does not fit, or returns something that is not an action.
    """
    if not checks:
        return
    buffer = environment.play(spec, label, max(check.episodes for check in checks))
    try:
        while any(check.verdict is None for check in checks):
            if until_one_fails and any(_failed(check) for check in checks):
                return
            if not buffer.play_more():
                break
            for check in checks:
                check.update(buffer)
        for check in checks:
            check.finish()
    finally:
        buffer.close()


def _failed(check: CriterionCheck) -> bool:
    return check.verdict is not None and check.verdict.decision != "PASS"
