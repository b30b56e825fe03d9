"""Whether one group of runs is better than another: pure functions from scores to a decision.

Which test decides depends on the number of runs and on their seeds, never on their scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rl_eval.compare.permutation import MeanDifference, paired_difference, smallest_p, unpaired_difference
from rl_eval.evidence import Interval, iqm, probability_of_improvement, stratified_bootstrap

Outcome = Literal["BETTER", "WORSE", "UNDECIDED"]
# The units of the deciding test. `seeds` and `runs` tell about new trainings, `episodes` only about these policies.
Basis = Literal["seeds", "runs", "episodes", "nothing"]
REPLICATES = 10_000


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
        improvement: probability that a run of the candidate beats one of the baseline, ties counting half, with its
            bootstrap interval.
        over_runs: over all runs, unpaired.
        over_seeds: over pairs of runs with the same seed; None where there are fewer than two.
        over_episodes: over the episodes that all runs played; it tells only about these policies. None without them.
        basis: which of these differences decides.
    """

    improvement: Interval
    over_runs: MeanDifference
    over_seeds: MeanDifference | None
    over_episodes: MeanDifference | None
    basis: Basis
    decision: Outcome

    @property
    def deciding(self) -> MeanDifference | None:
        """The difference that decides; None where there is none."""
        differences = {"seeds": self.over_seeds, "runs": self.over_runs, "episodes": self.over_episodes}
        return differences.get(self.basis)


def iqm_interval(values: np.ndarray) -> Interval | None:
    """Interquartile mean of `[R]` scores with its 95 % bootstrap interval; None for one run, which has no spread."""
    if len(values) < 2:
        return None
    return stratified_bootstrap(iqm, np.asarray(values)[:, None], replicates=REPLICATES)


def compare_groups(
    candidate: GroupScores, baseline: GroupScores, *, higher_is_better: bool, alpha: float = 0.05
) -> GroupComparison:
    """Whether the candidate is better or worse than the baseline. Each error has a probability of at most alpha.

    Raises:
        InputError: a score is not finite.
    """
    sign = 1.0 if higher_is_better else -1.0
    improvement = stratified_bootstrap(
        probability_of_improvement,
        sign * candidate.values[:, None],
        sign * baseline.values[:, None],
        replicates=REPLICATES,
    )
    over_runs = unpaired_difference(candidate.values, baseline.values, alpha)
    common = sorted(set(candidate.seeds) & set(baseline.seeds))
    over_seeds = over_episodes = None
    if len(common) > 1:
        x, y = (_values_of_seeds(scores, common) for scores in (candidate, baseline))
        over_seeds = paired_difference(x, y, alpha)
    if candidate.episodes is not None and baseline.episodes is not None:
        over_episodes = paired_difference(candidate.episodes.mean(axis=0), baseline.episodes.mean(axis=0), alpha)
    basis = _basis(candidate, baseline, over_episodes is not None, alpha)
    deciding = {"seeds": over_seeds, "runs": over_runs, "episodes": over_episodes}.get(basis)
    return GroupComparison(improvement, over_runs, over_seeds, over_episodes, basis, _outcome(deciding, sign, alpha))


def _values_of_seeds(scores: GroupScores, seeds: list[int]) -> np.ndarray:
    return np.array([scores.values[scores.seeds.index(seed)] for seed in seeds])


def _basis(candidate: GroupScores, baseline: GroupScores, has_episodes: bool, alpha: float) -> Basis:
    counts = len(candidate.values), len(baseline.values)
    same_seeds = bool(candidate.seeds) and set(candidate.seeds) == set(baseline.seeds)
    if same_seeds and smallest_p(*counts, paired=True) <= alpha:
        return "seeds"
    if min(counts) > 1 and smallest_p(*counts, paired=False) <= alpha:  # one run alone has no spread
        return "runs"
    return "episodes" if has_episodes else "nothing"


def _outcome(difference: MeanDifference | None, sign: float, alpha: float) -> Outcome:
    if difference is None:
        return "UNDECIDED"
    worse, better = (difference.p_below, difference.p_above)[:: 1 if sign > 0 else -1]
    return "WORSE" if worse <= alpha else "BETTER" if better <= alpha else "UNDECIDED"


def contributions(hits: np.ndarray, cases: np.ndarray) -> np.ndarray:
    """`[E]` what each episode contributes to the ratio Σhits / Σcases; their mean is that ratio.

    The ratio plus its influence function, uᵢ = r + (hᵢ − r·cᵢ) / c̄ (Cochran, *Sampling Techniques*, 1977, section
    6.4): differences of two ratios over the same episodes are then differences of means.

    Args:
        hits, cases: `[E]`; at least one case.
    """
    ratio = hits.sum() / cases.sum()
    return ratio + (hits - ratio * cases) / cases.mean()
