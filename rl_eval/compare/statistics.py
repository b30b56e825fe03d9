"""What two groups of runs show of one another: pure functions from scores to a decision.

Which test decides is fixed by how many runs there are and by their seeds, never by what they scored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rl_eval.compare.permutation import Difference, paired_difference, smallest_p, unpaired_difference
from rl_eval.evidence import Interval, iqm, probability_of_improvement, stratified_bootstrap

Decision = Literal["BETTER", "WORSE", "UNDECIDED"]
# What a decision rests on. `seeds` and `runs` speak of training anew, `episodes` of these very policies.
Basis = Literal["seeds", "runs", "episodes", "nothing"]
REPLICATES = 10_000


@dataclass(frozen=True)
class Scores:
    """What the R runs of one group reached.

    Attributes:
        values: `[R]` one number a run.
        seeds: of training, one a run; empty where they are not to be paired.
        episodes: `[R, E]` how each episode of a common stream contributed, with the mean `values`; None where the runs
            have not played the same episodes.
    """

    values: np.ndarray
    seeds: tuple[int, ...] = ()
    episodes: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Versus:
    """A candidate beside the baseline; every difference is the candidate's score minus the baseline's.

    Attributes:
        improvement: probability that a run of the candidate beats one of the baseline, ties counting half, with its
            bootstrap interval.
        over_runs: over runs as they come.
        over_seeds: over the runs of the seeds that both have; None where there are fewer than two.
        over_episodes: over the episodes that all runs played, which speaks of these policies alone; None without.
        basis: which of these decided.
    """

    improvement: Interval
    over_runs: Difference
    over_seeds: Difference | None
    over_episodes: Difference | None
    basis: Basis
    decision: Decision

    @property
    def deciding(self) -> Difference | None:
        """The difference that the decision rests on."""
        of = {"seeds": self.over_seeds, "runs": self.over_runs, "episodes": self.over_episodes}
        return of.get(self.basis)


def iqm_interval(values: np.ndarray) -> Interval | None:
    """Interquartile mean of `[R]` scores with its 95 % bootstrap interval; None for one run, which has no spread."""
    if len(values) < 2:
        return None
    return stratified_bootstrap(iqm, np.asarray(values)[:, None], replicates=REPLICATES)


def compare(candidate: Scores, baseline: Scores, *, higher_is_better: bool, alpha: float = 0.05) -> Versus:
    """Whether the candidate is better or worse than the baseline, each with an error rate of at most alpha.

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
        x, y = (np.array([each.values[each.seeds.index(seed)] for seed in common]) for each in (candidate, baseline))
        over_seeds = paired_difference(x, y, alpha)
    if candidate.episodes is not None and baseline.episodes is not None:
        over_episodes = paired_difference(candidate.episodes.mean(axis=0), baseline.episodes.mean(axis=0), alpha)
    basis = _basis(candidate, baseline, over_episodes is not None, alpha)
    found = Versus(improvement, over_runs, over_seeds, over_episodes, basis, "UNDECIDED")
    return Versus(improvement, over_runs, over_seeds, over_episodes, basis, _decided(found.deciding, sign, alpha))


def _basis(candidate: Scores, baseline: Scores, played: bool, alpha: float) -> Basis:
    counts = len(candidate.values), len(baseline.values)
    same_seeds = bool(candidate.seeds) and set(candidate.seeds) == set(baseline.seeds)
    if same_seeds and smallest_p(*counts, paired=True) <= alpha:
        return "seeds"
    if min(counts) > 1 and smallest_p(*counts, paired=False) <= alpha:  # one run alone has no spread
        return "runs"
    return "episodes" if played else "nothing"


def _decided(difference: Difference | None, sign: float, alpha: float) -> Decision:
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
