"""The pytest item `::held_out` of a suite: its leak check, before anything is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rl_eval.errors import InputError, failure
from rl_eval.gates.held_out.held_out_set import load_test_set
from rl_eval.gates.held_out.leak_check import check_runs
from rl_eval.gates.selection import BarePolicy
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_environment import SuiteEnvironments
from rl_eval.gates.verdict import CriterionVerdict, item_verdict
from rl_eval.run import Run


def check_held_out(
    suite: Suite, judged: Sequence[Run | BarePolicy], environments: SuiteEnvironments
) -> tuple[CriterionVerdict, str | None]:
    """Compare the test set with what the runs were exposed to; `leaks: drop` excludes that from their environments.

    Returns:
        The verdict, an ERROR with units, the leaks, where nothing may be judged on this test set; and the fingerprint
        of the test set, None where it cannot be loaded.
    """
    blank = item_verdict(suite.name, "held_out")
    runs = [run for run in judged if isinstance(run, Run)]
    try:
        environment = environments.of(judged[0])
        # every run's data is the same wherever it lies: its fingerprints were compared
        test_set = load_test_set(environment.config, environment.seeds, environment.idle_copies())
        check = check_runs(test_set, runs, leaks=suite.spec.leaks)
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
    # without examples it could not be checked, which says nothing about the episodes themselves
    leaks = check.exact + check.same_seed if check.examples else None
    return replace(verdict, units=leaks, units_max=check.total if leaks else None), test_set.fingerprint
