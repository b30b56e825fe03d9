"""Whether one group of runs is better than another: pure functions from scores to a decision.

What the claim is about depends on the number of runs and on their seeds, never on their scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rl_eval.compare.permutation import MeanDifference, paired_difference
from rl_eval.compare.run_evidence import BoundedDifference, PairWins, bounded_difference, least_pairs, pair_wins
from rl_eval.evidence import Interval, iqm, stratified_bootstrap
from rl_eval.evidence.bounds import finite_vector

# BETTER and WORSE: the mean over future runs. WINS and LOSES: a future run scores better more often than not.
Outcome = Literal["BETTER", "WINS", "UNDECIDED", "LOSES", "WORSE"]
REPLICATES = 10_000
MIN_BOOTSTRAP_RUNS = 5  # with fewer runs a bootstrap interval is too narrow


@dataclass(frozen=True)
class GroupScores:
    """The scores of the R runs of one group.

    Attributes:
        values: `[R]` one number per run.
        seeds: the training seed of each run; empty where runs cannot be paired.
        episodes: `[R, E]` the contribution of each episode of a common stream; the mean over E is `values`. None where
            the runs have not played the same episodes.
    """

    values: np.ndarray
    seeds: tuple[int, ...] = ()
    episodes: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class GroupComparison:
    """A candidate against the baseline. Every difference is the candidate's score minus the baseline's.

    Attributes:
        wins: pairs of runs, those of one seed first.
        same_seeds: whether all of these pairs share their seed.
        mean: of the mean over future runs; None if the scores have no known bounds, or a group has one run.
        over_episodes: over the episodes that all runs played; only about these policies. None without them.
        about: training again, or only these policies because there are too few runs.
        decision: about training again; UNDECIDED where there are too few runs.
        policies: whether these policies are better over the episodes; decided only where there are too few runs.
    """

    wins: PairWins
    same_seeds: bool
    mean: BoundedDifference | None
    over_episodes: MeanDifference | None
    about: Literal["training", "policies"]
    decision: Outcome
    policies: Literal["HIGHER", "LOWER", "UNDECIDED"]


def iqm_interval(values: np.ndarray) -> Interval | None:
    """Interquartile mean of `[R]` scores with its 95 % bootstrap interval; None for fewer than five runs."""
    if len(values) < MIN_BOOTSTRAP_RUNS:
        return None
    return stratified_bootstrap(iqm, np.asarray(values)[:, None], replicates=REPLICATES)


def compare_groups(
    candidate: GroupScores,
    baseline: GroupScores,
    *,
    higher_is_better: bool,
    bounds: tuple[float, float] | None = None,
    alpha: float = 0.05,
) -> GroupComparison:
    """Whether the candidate is better or worse than the baseline. Each claim is wrong with probability ≤ alpha.

    Args:
        bounds: the least and the most that a run can score; None: no claim about a mean.

    Raises:
        InputError: a score is not finite.
    """
    x, y, common = _paired_first(candidate, baseline)
    pairs = min(len(x), len(y))
    wins = pair_wins(x[:pairs], y[:pairs], alpha)
    mean = over_episodes = None
    if bounds is not None and pairs > 1:
        mean = bounded_difference(x, y, bounds, alpha, common)
    if candidate.episodes is not None and baseline.episodes is not None:
        over_episodes = paired_difference(candidate.episodes.mean(axis=0), baseline.episodes.mean(axis=0), alpha)
    about: Literal["training", "policies"] = "training" if pairs >= least_pairs(alpha) else "policies"
    decision: Outcome = "UNDECIDED"
    if mean is not None and (sign := _sign(mean, alpha)):
        decision = "BETTER" if (sign > 0) == higher_is_better else "WORSE"
    elif sign := _sign(wins, alpha):
        decision = "WINS" if (sign > 0) == higher_is_better else "LOSES"
    policies: Literal["HIGHER", "LOWER", "UNDECIDED"] = "UNDECIDED"
    few = about == "policies" and decision == "UNDECIDED"
    if few and over_episodes is not None and (sign := _sign(over_episodes, alpha)):
        policies = "HIGHER" if sign > 0 else "LOWER"
    return GroupComparison(wins, common == pairs, mean, over_episodes, about, decision, policies)


def _paired_first(candidate: GroupScores, baseline: GroupScores) -> tuple[np.ndarray, np.ndarray, int]:
    """The scores of both groups, those of common seeds first and in the same order, and the number of these."""
    common = sorted(set(candidate.seeds) & set(baseline.seeds))
    both = []
    for scores in (candidate, baseline):
        first = [scores.seeds.index(seed) for seed in common]
        others = sorted(set(range(len(scores.values))) - set(first))
        both.append(finite_vector(scores.values, "run")[[*first, *others]])
    return both[0], both[1], len(common)


def _sign(result: PairWins | BoundedDifference | MeanDifference, alpha: float) -> int:
    """1 if the candidate's scores are shown to be higher, -1 where lower, else 0."""
    return -1 if result.p_below <= alpha else 1 if result.p_above <= alpha else 0


def contributions(hits: np.ndarray, cases: np.ndarray) -> np.ndarray:
    """`[E]` what each episode contributes to the ratio Σhits / Σcases; their mean is that ratio.

    The ratio plus its influence function, uᵢ = r + (hᵢ − r·cᵢ) / c̄ (Cochran, *Sampling Techniques*, 1977, section
    6.4): differences of two ratios over the same episodes are then differences of means.

    Args:
        hits, cases: `[E]`; at least one case.
    """
    ratio = hits.sum() / cases.sum()
    return ratio + (hits - ratio * cases) / cases.mean()
