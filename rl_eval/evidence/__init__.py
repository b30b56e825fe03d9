"""From numbers to decisions: pure statistics, numpy alone at start-up.

A criterion is a question about the mean of a bounded variable, and one engine answers it: `wealth` (bets) <-
`two_sided` (an interval at any time) <- `sequential` (a decision that latches) <- `betting` (means), `paired`
(differences) and `ratio` (F1 and its like); `finite` makes them exact on finite sets, `many` simulates. Beside it stand
the statistics over runs: `runs`, `trend`, `bootstrap`.
"""

from rl_eval.evidence.betting import Betting, confidence_sequence, decide
from rl_eval.evidence.bootstrap import (
    Interval,
    iqm,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)
from rl_eval.evidence.bounds import clip_to_bounds
from rl_eval.evidence.decision import Decision, units_needed
from rl_eval.evidence.direction import Direction, meets, wants_above
from rl_eval.evidence.many import Decisions, decide_many
from rl_eval.evidence.paired import Paired, decide_paired
from rl_eval.evidence.path import Path
from rl_eval.evidence.ratio import (
    RATIO_METRICS,
    Counts,
    RatioTest,
    counts,
    decide_ratio,
    decide_ratio_many,
    undefined,
)
from rl_eval.evidence.runs import decide_over_runs, mean_bounds, power_note, variance_bounds
from rl_eval.evidence.trend import Trend, trend

__all__ = [
    "RATIO_METRICS",
    "Betting",
    "Counts",
    "Decision",
    "Decisions",
    "Direction",
    "Interval",
    "Paired",
    "Path",
    "RatioTest",
    "Trend",
    "clip_to_bounds",
    "confidence_sequence",
    "counts",
    "decide",
    "decide_many",
    "decide_over_runs",
    "decide_paired",
    "decide_ratio",
    "decide_ratio_many",
    "iqm",
    "mean",
    "mean_bounds",
    "median",
    "meets",
    "optimality_gap",
    "performance_profile",
    "power_note",
    "probability_of_improvement",
    "stratified_bootstrap",
    "trend",
    "undefined",
    "units_needed",
    "variance_bounds",
    "wants_above",
]
