"""The pytest item `::held_out` of a suite: its leak check, before anything is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rl_eval.errors import InputError, failure
from rl_eval.gates.held_out.held_out_set import TestSet, load_test_set
from rl_eval.gates.held_out.leak_check import check_runs
from rl_eval.gates.selection import BarePolicy
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_environment import SuiteEnvironments
from rl_eval.gates.verdict import CriterionVerdict, item_verdict
from rl_eval.run import Run

WITHOUT_RUN = "the policy has no training run, so what it was trained on is not known"


class _TestSets:
    """The test set as each environment shows it; those of runs with one preprocessing are one."""

    def __init__(self, environments: SuiteEnvironments) -> None:
        self._environments = environments
        self._loaded: dict[int, TestSet] = {}

    def of(self, judged: Run | BarePolicy) -> TestSet:
        environment = self._environments.of(judged)
        if id(environment) not in self._loaded:
            vector = environment.idle_copies()
            self._loaded[id(environment)] = load_test_set(environment.config, environment.seeds, vector)
        return self._loaded[id(environment)]


def check_held_out(
    suite: Suite, judged: Sequence[Run | BarePolicy], environments: SuiteEnvironments
) -> tuple[CriterionVerdict, str | None]:
    """Compare the test set with what the runs were exposed to; `leaks: drop` excludes that from their environments.

    Returns:
        The verdict, an ERROR with units, the leaks, where nothing may be judged on this test set; NOT_CHECKED where a
        policy has no record of what it was trained on; and the fingerprint of the test set, None if it cannot be
        loaded.
    """
    blank = item_verdict(suite.name, "held_out")
    runs = [run for run in judged if isinstance(run, Run)]
    try:
        # every run's data is the same in any place: its fingerprints were compared; what a policy sees of it is not
        test_sets = _TestSets(environments)
        test_set = test_sets.of(judged[0])
        if not runs:
            return _not_checked(blank, test_set, WITHOUT_RUN), test_set.fingerprint
        check = check_runs(
            [test_sets.of(run) for run in runs], runs, leaks=suite.spec.leaks, near=suite.spec.near_duplicates
        )
        if check.decision == "PASS" and len(runs) < len(judged):
            others = "the other policies have no training run, so what they were trained on is not known"
            check = replace(check, decision="NOT_CHECKED", detail=f"{check.detail}; {others}")
        if check.excluded is not None:
            for run in judged:
                environments.of(run)
            for environment in environments:
                environment.exclude(check.unit, check.excluded)
    except InputError as error:
        return replace(blank, detail=str(error)), None
    except (Exception, SystemExit) as error:  # foreign code raises anything
        return replace(blank, detail=f"the test set cannot be loaded: {failure(error)}"), None
    verdict = replace(blank, decision=check.decision, detail=check.detail, unit=check.unit)
    if check.decision == "PASS":
        return replace(verdict, units=check.total, units_max=check.total), test_set.fingerprint
    if check.decision == "NOT_CHECKED":
        return _not_checked(blank, test_set, check.detail), test_set.fingerprint
    # without examples it could not be checked, which says nothing about the episodes themselves
    leaks = check.leaked or None
    return replace(verdict, units=leaks, units_max=check.total if leaks else None), test_set.fingerprint


def _not_checked(blank: CriterionVerdict, test_set: TestSet, reason: str) -> CriterionVerdict:
    total = len(test_set)
    return replace(blank, decision="NOT_CHECKED", detail=reason, unit=test_set.unit, units=0, units_max=total)
