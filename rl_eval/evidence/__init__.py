"""From numbers to decisions: statistics in pure numpy, with scipy loaded only where it is needed.

A criterion asks about the mean of a bounded variable. `betting` bets on it at the threshold, and `sequential` turns the
capital into a decision; `share_interval` says what else all units leave possible. They are the base of `bounded_mean`,
`paired_difference`, `ratio_metrics` and `ratio_difference`; `finite_population` makes them exact on finite sets.
`two_samples` compares two means that different units show; `off_policy` estimates what a policy would have been
rewarded with on decisions of another. `signed_rank` compares two policies on a few paired units by ranks.
`power` simulates the chance that they decide. Statistics over training runs: `run_statistics`, `bounded_runs`, `trend`,
`bootstrap`.
"""

from rl_eval.evidence.bootstrap import Interval, iqm, stratified_bootstrap
from rl_eval.evidence.bounded_mean import CaseMeanTest, MeanTest
from rl_eval.evidence.bounded_runs import least_runs
from rl_eval.evidence.direction import meets
from rl_eval.evidence.history import EvidenceHistory
from rl_eval.evidence.off_policy import (
    OffPolicyEstimate,
    OffPolicyEstimates,
    off_policy_difference,
    off_policy_estimates,
)
from rl_eval.evidence.order_of_play import Change, change_in_play
from rl_eval.evidence.paired_difference import PairedTest, difference_bounds
from rl_eval.evidence.power import Power, draw_flags, draw_values, flag_rates, simulate_gates
from rl_eval.evidence.ratio_difference import JointTest, SharedCasesTest, ratio_difference_test
from rl_eval.evidence.ratio_metrics import RATIO_METRICS, RatioTest, count_cases, undefined_reason
from rl_eval.evidence.result import EvidenceResult
from rl_eval.evidence.run_statistics import decide_over_runs, power_note
from rl_eval.evidence.sequential import SequentialTest
from rl_eval.evidence.signed_rank import signed_rank_p
from rl_eval.evidence.trend import trend
from rl_eval.evidence.two_samples import MoreOftenTest, TwoSampleTest

__all__ = [
    "RATIO_METRICS",
    "CaseMeanTest",
    "Change",
    "EvidenceHistory",
    "EvidenceResult",
    "Interval",
    "JointTest",
    "MeanTest",
    "MoreOftenTest",
    "OffPolicyEstimate",
    "OffPolicyEstimates",
    "PairedTest",
    "Power",
    "RatioTest",
    "SequentialTest",
    "SharedCasesTest",
    "TwoSampleTest",
    "change_in_play",
    "count_cases",
    "decide_over_runs",
    "difference_bounds",
    "draw_flags",
    "draw_values",
    "flag_rates",
    "iqm",
    "least_runs",
    "meets",
    "off_policy_difference",
    "off_policy_estimates",
    "power_note",
    "ratio_difference_test",
    "signed_rank_p",
    "simulate_gates",
    "stratified_bootstrap",
    "trend",
    "undefined_reason",
]
