"""Acceptance suites: the file format, the runs they judge, and the verdict.

`suite` (a checked suite file) <- `selection` (which runs) <- `suite_environment` (episodes) <- `evaluation`
-> `verdict` (as data). Nothing here imports torch or scipy at import time, so that collecting suites stays quick.
"""

from rl_eval.gates.data_places import DataPlaces, parse_places
from rl_eval.gates.evaluation import evaluate_run, evaluate_suite, suite_error
from rl_eval.gates.judged_line import judged_lines
from rl_eval.gates.needs import missing_extras, require_needs
from rl_eval.gates.release import read_release, with_release
from rl_eval.gates.selection import NoRunError, Selection, named_runs, newest_group
from rl_eval.gates.suite import Suite, load_suite
from rl_eval.gates.suite_data import with_data
from rl_eval.gates.suite_files import is_suite_file, suites_for
from rl_eval.gates.suite_format import SuiteSpec
from rl_eval.gates.training_commands import needs_path, train_arguments, train_command
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict

__all__ = [
    "CriterionVerdict",
    "DataPlaces",
    "NoRunError",
    "Selection",
    "Suite",
    "SuiteSpec",
    "SuiteVerdict",
    "evaluate_run",
    "evaluate_suite",
    "is_suite_file",
    "judged_lines",
    "load_suite",
    "missing_extras",
    "named_runs",
    "needs_path",
    "newest_group",
    "parse_places",
    "read_release",
    "require_needs",
    "suite_error",
    "suites_for",
    "train_arguments",
    "train_command",
    "with_data",
    "with_release",
]
