"""From numbers to decisions: statistics in pure numpy, with scipy loaded only where it is needed.

A criterion asks about the mean of a bounded variable. `capital_process` bets on candidate means,
`confidence_sequence` turns the bets into an interval that is valid at every time, and `sequential` turns the interval
into a decision that is final. On these rest `bounded_mean`, `paired_difference` and `ratio_metrics`;
`finite_population` makes them exact on finite sets. Statistics over training runs: `run_statistics`, `trend`,
`bootstrap`.
"""

from rl_eval.evidence.bootstrap import Interval, iqm, probability_of_improvement, stratified_bootstrap
from rl_eval.evidence.bounded_mean import MeanTest
from rl_eval.evidence.direction import meets
from rl_eval.evidence.history import EvidenceHistory
from rl_eval.evidence.paired_difference import PairedTest
from rl_eval.evidence.ratio_metrics import RATIO_METRICS, RatioTest, count_cases, undefined_reason
from rl_eval.evidence.result import EvidenceResult
from rl_eval.evidence.run_statistics import decide_over_runs, power_note
from rl_eval.evidence.trend import trend

__all__ = [
    "RATIO_METRICS",
    "EvidenceHistory",
    "EvidenceResult",
    "Interval",
    "MeanTest",
    "PairedTest",
    "RatioTest",
    "count_cases",
    "decide_over_runs",
    "iqm",
    "meets",
    "power_note",
    "probability_of_improvement",
    "stratified_bootstrap",
    "trend",
    "undefined_reason",
]
