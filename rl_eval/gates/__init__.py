"""Acceptance suites: their schema, the runs they judge, and the verdict.

`schema` (a suite as data) <- `selection` (which runs) <- `arena` (episodes) <- `judge` -> `verdict` (as data).
Nothing here imports torch or scipy, so that collecting suites stays quick.
"""

from rl_eval.gates.commands import needs_path, train_arguments, train_command
from rl_eval.gates.judge import judge, judge_one_run, not_judged
from rl_eval.gates.schema import Criterion, CriterionSpec, Suite, SuiteSpec, load_suite
from rl_eval.gates.selection import Selection, named_runs, newest_group, says_suite, suites_for
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict

__all__ = [
    "Criterion",
    "CriterionSpec",
    "CriterionVerdict",
    "Selection",
    "Suite",
    "SuiteSpec",
    "SuiteVerdict",
    "judge",
    "judge_one_run",
    "load_suite",
    "named_runs",
    "needs_path",
    "newest_group",
    "not_judged",
    "says_suite",
    "suites_for",
    "train_arguments",
    "train_command",
]
