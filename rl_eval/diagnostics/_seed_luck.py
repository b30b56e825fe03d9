"""Whether what a run shows is its method, or the luck of its seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.diagnostics._criteria import criteria
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.run import finite

ALPHA = 0.05
# Share of the variance that lies between seeds; Cohen 1988 calls it large from here on.
NOTABLE = 0.14


@dataclass(frozen=True)
class Spread:
    """Runs that differ in their seed alone.

    Attributes:
        means: `[R]` the mean return of each run.
        between, within: standard deviations between seeds, and of episodes within one.
        p_value: that the seeds do not matter.
    """

    means: tuple[float, ...]
    between: float
    within: float
    p_value: float

    @property
    def share(self) -> float:
        """Of the variance of one episode of one run, the part between seeds: the intraclass correlation."""
        total = self.between**2 + self.within**2
        return self.between**2 / total if total else 0.0


def seed_luck(runs: Sequence[DiagnosedRun]) -> list[Finding]:
    """For each group of at least two finished runs that differ in their seed alone: whether the seed decides."""
    findings = []
    for group in same_but_seed(runs):
        found = spread([_results(run) for run in group])
        if found is None or found.p_value > ALPHA:
            continue
        decisions = _decisions(group)
        split = [name for name, seen in decisions.items() if {"PASS", "FAIL"} <= seen]
        if not split and found.share < NOTABLE:
            continue
        findings.append(_finding(group, found, split))
    return findings


def same_but_seed(runs: Sequence[DiagnosedRun]) -> list[list[DiagnosedRun]]:
    """The runs in groups of one config but for the seed, two at least in each; runs without results are left out."""
    from rl_eval.run import config_hash

    groups: dict[str, dict[int, DiagnosedRun]] = {}
    for run in runs:
        if run.config and _results(run) is not None:
            key = config_hash({name: value for name, value in run.config.items() if name != "seed"})
            groups.setdefault(key, {}).setdefault(run.seed, run)
    return [list(group.values()) for group in groups.values() if len(group) > 1]


def spread(results: Sequence[tuple[float, float, int] | None]) -> Spread | None:
    """One-way analysis of variance from each run's mean, standard deviation and number of episodes.

    σ²_between = max(0, (MSB − MSW) / n₀), F = MSB / MSW (Fisher 1925); n₀ for unequal numbers as in Searle 1971.
    """
    from scipy.stats import f

    known = [each for each in results if each is not None and each[2] > 1]
    if len(known) < 2:
        return None
    means, stds, counts = (np.array(column, np.float64) for column in zip(*known, strict=True))
    total, runs = float(counts.sum()), len(known)
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
    """Criterion -> what was decided over the runs."""
    seen: dict[str, set[str]] = {}
    for run in group:
        for criterion in criteria(run):
            seen.setdefault(str(criterion.get("criterion"))[:60], set()).add(str(criterion.get("decision")))
    return seen


def _finding(group: Sequence[DiagnosedRun], found: Spread, split: Sequence[str]) -> Finding:
    from rl_eval.evidence import iqm, stratified_bootstrap

    best, worst = max(found.means), min(found.means)
    middle = stratified_bootstrap(iqm, np.array(found.means)[:, None])
    told = f"; {', '.join(split[:3])} {'pass' if len(split) > 1 else 'passes'} with some seeds and not with others"
    return Finding(
        name="seed_luck",
        severity="warning" if split else "note",
        layer="outcome",
        title="the seed decides how good the run is",
        evidence=f"{len(group)} runs that differ in their seed alone return {worst:.4g} to {best:.4g} on average: "
        f"standard deviation {found.between:.3g} between seeds and {found.within:.3g} of episodes within one, "
        f"{100 * found.share:.0f} % between (F test, p = {found.p_value:.2g}); interquartile mean "
        f"{float(middle.estimate):.4g}, 95 % interval {float(middle.low):.4g} to {float(middle.high):.4g}"
        + (told if split else ""),
        meaning="One run says little about the settings: a second would come out otherwise. Judge several seeds, "
        "compare settings on the same ones, and do not keep the best as if it were typical.",
        change=f"-m seed={','.join(str(seed) for seed in range(1, 11))}",
        source="one-way analysis of variance, p <= .05 (Fisher 1925); a note from 14 % of the variance between seeds "
        "on (Cohen 1988); Agarwal et al. 2021 on few runs",
        certainty=0.9,
        data={**vars(found), "share": found.share, "split": list(split)},
    )
