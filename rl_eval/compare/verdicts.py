"""How many runs of each group pass each criterion of their own verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rl_eval.compare.compared_run import ComparedRun
from rl_eval.compare.groups import RunGroup
from rl_eval.errors import InputError

if TYPE_CHECKING:
    from rl_eval.gates import SuiteVerdict

# Decisions on one criterion are comparable only where these agree.
_SUITE_KEYS = ("part", "gate_seed", "test_set", "alpha", "policy")
_CRITERION_KEYS = ("metric", "by", "direction", "threshold")


def count_passes(groups: Sequence[RunGroup]) -> dict[str, tuple[str, ...]]:
    """`<suite>/<criterion>` -> in each group, how many of its runs pass, such as `7/8`; runs not checked do not count.

    Of verdicts on the validation part the name ends in ` (validation)`.

    Raises:
        InputError: a run has no verdict or a damaged one, or two verdicts differ in gate seed, test set, threshold,
            factor, number of episodes, or in the part that was played.
    """
    first_judged: dict[str, tuple[ComparedRun, dict[str, Any]]] = {}
    decisions: dict[str, list[list[str]]] = {}
    for index, group in enumerate(groups):
        for run in group.runs:
            for suite in _suites(run):
                for row in suite.criteria:
                    if row.decision == "NEEDS_RUNS":
                        continue  # no single run decides it
                    name = f"{suite.suite}/{row.criterion}"
                    settings = {key: getattr(suite, key) for key in _SUITE_KEYS}
                    settings |= {key: getattr(row, key) for key in _CRITERION_KEYS if not row.reference}
                    settings["factor"] = row.factor
                    if row.unit == "episode" and row.decision in ("PASS", "FAIL", "INCONCLUSIVE"):
                        settings["episodes"] = row.units_max
                    first, first_settings = first_judged.setdefault(name, (run, settings))
                    for key, value in settings.items():
                        if first_settings.get(key, value) != value:
                            raise InputError(
                                f"{name} was judged with {key} {value!r} for {run.name} and {first_settings[key]!r} "
                                f"for {first.name}, so the verdicts cannot be compared: judge all of them again with "
                                "`pytest suites/<file>.yaml --rl-run <run>`, or leave out --verdicts"
                            )
                    shown = name if suite.part == "test" else f"{name} ({suite.part})"
                    table = decisions.setdefault(shown, [[] for _ in groups])
                    table[index].append(row.decision)
    return {name: tuple(map(_passes, table)) for name, table in decisions.items()}


def _passes(decisions: Sequence[str]) -> str:
    checked = [decision for decision in decisions if decision != "NOT_CHECKED"]
    if decisions and not checked:
        return "not checked"
    return f"{checked.count('PASS')}/{len(checked)}" if checked else "-"


def _suites(run: ComparedRun) -> tuple[SuiteVerdict, ...]:
    from rl_eval.gates.verdict_file import read_suite_verdicts

    if run.record is None:
        raise InputError(f"{run.name} is not a run directory and has no verdict with gate seeds: leave out --verdicts")
    try:
        return read_suite_verdicts(run.record.path)
    except InputError as error:
        raise InputError(f"{error}, or leave out --verdicts") from error
