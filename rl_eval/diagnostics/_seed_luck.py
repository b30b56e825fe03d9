"""Whether the results of runs depend on their seed more than on their settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.diagnostics._criteria import criteria
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.evidence import iqm, stratified_bootstrap
from rl_eval.run import config_hash, finite

ALPHA = 0.05
NOTABLE = 0.14  # share of the variance between seeds that Cohen 1988 calls large


@dataclass(frozen=True)
class Spread:
    """The spread of runs that differ only in their seed.

    Attributes:
        means: `[R]` the mean return of each run.
        between, within: standard deviations between seeds, and of episodes within one.
        p_value: of the hypothesis that seeds do not matter.
    """

    means: tuple[float, ...]
    between: float
    within: float
    p_value: float

    @property
    def share(self) -> float:
        """The share of the variance of an episode that is between seeds: the intraclass correlation."""
        total = self.between**2 + self.within**2
        return self.between**2 / total if total else 0.0


def seed_luck(runs: Sequence[DiagnosedRun]) -> list[Finding]:
    """Groups of at least two finished runs that differ only in their seed, where the seed decides the result.

    Reads mean, standard deviation and number of episodes in `results` of each run: a one-way analysis of variance. A
    note if p ≤ .05 and at least 14 % of the variance is between seeds (Cohen 1988). A warning if a criterion passes
    with some seeds and fails with others. Train ten seeds, `-m 'seed=range(1,11)'`, and judge the runs together.
    """
    findings = []
    for group in same_but_seed(runs):
        group_spread = spread([_results(run) for run in group])
        if group_spread is None or group_spread.p_value > ALPHA:
            continue
        split = [name for name, decisions in _decisions(group).items() if {"PASS", "FAIL"} <= decisions]
        if not split and group_spread.share < NOTABLE:
            continue
        findings.append(_finding(group, group_spread, split))
    return findings


def same_but_seed(runs: Sequence[DiagnosedRun]) -> list[list[DiagnosedRun]]:
    """Groups of at least two runs whose configs differ only in the seed; runs without results are left out."""
    groups: dict[str, dict[int, DiagnosedRun]] = {}
    for run in runs:
        if run.config and _results(run) is not None:
            key = config_hash({name: value for name, value in run.config.items() if name != "seed"})
            groups.setdefault(key, {}).setdefault(run.seed, run)
    return [list(group.values()) for group in groups.values() if len(group) > 1]


def spread(results: Sequence[tuple[float, float, int] | None]) -> Spread | None:
    """One-way analysis of variance from the mean, standard deviation and number of episodes of each run.

    σ²_between = max(0, (MSB − MSW) / n₀), F = MSB / MSW (Fisher 1925); n₀ for unequal numbers as in Searle 1971.
    """
    from scipy.stats import f

    complete = [result for result in results if result is not None and result[2] > 1]
    if len(complete) < 2:
        return None
    means, stds, counts = (np.array(column, np.float64) for column in zip(*complete, strict=True))
    total, runs = float(counts.sum()), len(complete)
    grand = float(counts @ means / total)
    between = float(counts @ np.square(means - grand)) / (runs - 1)
    within = float(counts @ np.square(stds)) / (total - runs)  # the stds are the population's
    size = (total - float(counts @ counts) / total) / (runs - 1)
    ratio = between / within if within > 0 else math.inf if between > 0 else 0.0
    p_value = float(f.sf(ratio, runs - 1, total - runs))
    return Spread(tuple(means.tolist()), math.sqrt(max(0.0, (between - within) / size)), math.sqrt(within), p_value)


def _results(run: DiagnosedRun) -> tuple[float, float, int] | None:
    results: Any = run.info.get("results")
    if not isinstance(results, Mapping) or run.info.get("status") != "finished":
        return None
    mean, std, episodes = finite(results.get("mean")), finite(results.get("std")), results.get("episodes")
    if mean is None or std is None or std < 0 or not isinstance(episodes, int) or not 1 < episodes < 10**9:
        return None
    return mean, std, episodes


def _decisions(group: Sequence[DiagnosedRun]) -> dict[str, set[str]]:
    """Criterion -> its decisions over the runs."""
    decisions: dict[str, set[str]] = {}
    for run in group:
        for criterion in criteria(run):
            decisions.setdefault(str(criterion.get("criterion"))[:60], set()).add(str(criterion.get("decision")))
    return decisions


def _finding(group: Sequence[DiagnosedRun], group_spread: Spread, split: Sequence[str]) -> Finding:
    best, worst = max(group_spread.means), min(group_spread.means)
    middle = stratified_bootstrap(iqm, np.array(group_spread.means)[:, None])
    decided = f"; {', '.join(split[:3])} {'pass' if len(split) > 1 else 'passes'} with some seeds and not with others"
    return Finding(
        name="seed_luck",
        severity="warning" if split else "note",
        layer="outcome",
        title="the seed decides how good a run is",
        evidence=f"{len(group)} runs that differ only in their seed return {worst:.4g} to {best:.4g} on average: "
        f"standard deviation {group_spread.between:.3g} between seeds and {group_spread.within:.3g} of episodes within "
        f"one, {100 * group_spread.share:.0f} % between (F test, p = {group_spread.p_value:.2g}); interquartile mean "
        f"{float(middle.estimate):.4g}, 95 % interval {float(middle.low):.4g} to {float(middle.high):.4g}"
        + (decided if split else ""),
        meaning="One run says little about the settings: another seed gives another result. Judge several seeds, "
        "compare settings on the same seeds, and do not take the best run as typical.",
        change=f"-m seed={','.join(str(seed) for seed in range(1, 11))}",
        source="one-way analysis of variance, p <= .05 (Fisher 1925); a note from 14 % of the variance between seeds "
        "(Cohen 1988); Agarwal et al. 2021 on few runs",
        certainty=0.9,
        data={**vars(group_spread), "share": group_spread.share, "split": list(split)},
    )
