"""What a comparison shows, in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rl_eval.compare.permutation import MeanDifference
from rl_eval.compare.run_evidence import BoundedDifference, least_pairs
from rl_eval.compare.statistics import GroupComparison
from rl_eval.formatting import number

if TYPE_CHECKING:
    from rl_eval.compare.comparison import Comparison

_RELATIONS = {
    "WORSE": "is worse in the mean than",
    "LOSES": "loses more often than it wins against",
    "UNDECIDED": "is not shown to differ from",
    "WINS": "wins more often than it loses against",
    "BETTER": "is better in the mean than",
}


def sentence(result: Comparison, index: int) -> str:
    """What is shown of candidate `index` (from 0), and by what, in one sentence."""
    comparison, metric = result.comparisons[index], result.task.metric.name
    candidate, baseline = result.groups[index + 1], result.groups[0]
    means = [number(float(result.scores[group].values.mean())) for group in (index + 1, 0)]
    numbers = f"{metric} {means[0]} against {means[1]}"
    counts = f"{len(candidate.runs)} and {len(baseline.runs)} runs"
    relation = _RELATIONS[comparison.decision]
    if comparison.mean is not None and comparison.decision in ("BETTER", "WORSE"):
        return (
            f"{candidate.label} {relation} {baseline.label}: {numbers}, "
            f"difference {difference_text(comparison.mean, result.alpha)} over {counts}"
        )
    if comparison.about == "policies":
        few = "one run of each shows" if counts == "1 and 1 runs" else f"{counts} show"
        text = (
            f"{candidate.label} against {baseline.label}: {numbers}; {few} nothing about repeated training, which "
            f"needs at least {least_pairs(result.alpha)} of each, with different seeds"
        )
        return text + _policies_text(result, comparison)
    wins = comparison.wins
    better = wins.wins if result.higher_is_better else wins.losses
    ties = f", {wins.ties} ties" if wins.ties else ""
    seeds = " of the same seed" if comparison.same_seeds else ""
    p = number(min(wins.p_below, wins.p_above), 2)
    return (
        f"{candidate.label} {relation} {baseline.label}: {numbers}, better in {better} of "
        f"{wins.wins + wins.losses + wins.ties} pairs of runs{seeds}{ties}, p = {p}; {_mean_text(result, comparison)}"
    )


def _policies_text(result: Comparison, comparison: GroupComparison) -> str:
    difference = comparison.over_episodes
    if difference is None:
        return ""
    shown = {"HIGHER": "score higher", "LOWER": "score lower", "UNDECIDED": "are not shown to differ"}
    return (
        f"; over the {difference.count:,} episodes these policies {shown[comparison.policies]}, "
        f"difference {difference_text(difference, result.alpha)}"
    )


def _mean_text(result: Comparison, comparison: GroupComparison) -> str:
    if comparison.mean is None:
        return (
            f"nothing is claimed about the means, because {result.task.metric.name} has no known bounds: give them "
            "with --bounds LOW HIGH"
        )
    if comparison.mean.least_runs is None:
        return "the means are too close for any number of runs"
    return (
        "nothing is shown about the means, because a rare collapse may be missing in so few runs: with these "
        f"means it takes at least {comparison.mean.least_runs:,} runs of each"
    )


def difference_text(difference: MeanDifference | BoundedDifference, alpha: float) -> str:
    """`+0.012 in [0.004, 0.02] (90 %), p = 0.0039`."""
    low, high = ("?" if math.isinf(end) else number(end, 3) for end in (difference.low, difference.high))
    p = min(difference.p_below, difference.p_above)
    sign = "+" if difference.estimate > 0 else ""
    return f"{sign}{number(difference.estimate, 3)} in [{low}, {high}] ({100 - 200 * alpha:g} %), p = {number(p, 2)}"
