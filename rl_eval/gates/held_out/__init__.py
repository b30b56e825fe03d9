"""The held-out guard: no case that a gate judges on may have been used in training or validation."""

from rl_eval.gates.held_out.held_out_set import TestSet, load_test_set
from rl_eval.gates.held_out.item import check_held_out
from rl_eval.gates.held_out.leak_check import LeakCheck, check_exposures, check_runs

__all__ = ["LeakCheck", "TestSet", "check_exposures", "check_held_out", "check_runs", "load_test_set"]
