"""The result of a comparison as data: groups, settings that differ, scores, and which group is better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval import domains
from rl_eval.compare.cost_to_bar import CostToBar, costs_to_bar
from rl_eval.compare.groups import (
    ComparisonTask,
    RunGroup,
    commit_notes,
    common_task,
    differing_settings,
    group_runs,
    repeated_seeds_note,
)
from rl_eval.compare.learning_curves import LearningCurve, comparable_columns, learning_curve
from rl_eval.compare.other_runs import notes_on_logs, recorded_task, shorten_folders, training_scores
from rl_eval.compare.played_part import PlayedPart, choose_part, notes_on_part, require_part
from rl_eval.compare.run_sources import read_runs
from rl_eval.compare.scores import OnEpisodes, play_groups, recorded_scores, require_range, score_bounds
from rl_eval.compare.sentences import sentence
from rl_eval.compare.statistics import GroupComparison, GroupScores, compare_groups, iqm_interval
from rl_eval.compare.verdicts import count_passes
from rl_eval.errors import InputError
from rl_eval.evidence import Interval
from rl_eval.plugins import require_plugins_of_run


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, the baseline first.

    Attributes:
        differing: dotted key -> its value in each group; the settings that differ.
        scores: of each group.
        episodes: how many episodes each run played; None if the scores are recorded results.
        part: which part of a finite set of data was played; None if the data is not finite, or nothing was played.
        iqms: interquartile mean of each group; None for fewer than five runs.
        comparisons: each group but the first against the first.
        curves: column -> one curve per group.
        verdicts: criterion -> how many runs of each group pass; empty without `with_verdicts`.
        notes: further sentences.
        cost: what it took to reach a bar; None if there is none.
    """

    task: ComparisonTask
    alpha: float
    groups: tuple[RunGroup, ...]
    differing: dict[str, tuple[str, ...]]
    scores: tuple[GroupScores, ...]
    episodes: int | None
    iqms: tuple[Interval | None, ...]
    comparisons: tuple[GroupComparison, ...]
    curves: dict[str, tuple[LearningCurve, ...]] = field(repr=False)
    verdicts: dict[str, tuple[str, ...]] = field(repr=False)
    notes: tuple[str, ...] = ()
    part: PlayedPart | None = None
    cost: CostToBar | None = None

    @property
    def higher_is_better(self) -> bool:
        """Whether more of the metric is better."""
        return self.task.metric.better == "higher"

    @property
    def closes_gate(self) -> bool:
        """Whether the candidate, the last group, is shown to be worse: its recipe, or with few runs its policies."""
        if not self.comparisons:
            return False
        last = self.comparisons[-1]
        return last.decision in ("WORSE", "LOSES") or last.policies == ("LOWER" if self.higher_is_better else "HIGHER")

    def sentence(self, index: int) -> str:
        """What is shown of candidate `index` (from 0), and by what, in one sentence."""
        return sentence(self, index)

    def to_json(self) -> dict[str, Any]:
        """Everything except the points of the curves, as JSON values."""
        groups = [
            {
                "label": group.label,
                "runs": [
                    {"name": run.name, "seed": run.seed, "score": float(value)}
                    for run, value in zip(group.runs, scores.values, strict=True)
                ],
                "mean": float(scores.values.mean()),
                "iqm": _interval(iqm),
            }
            for group, scores, iqm in zip(self.groups, self.scores, self.iqms, strict=True)
        ]
        comparisons = [
            {
                "candidate": self.groups[index + 1].label,
                "baseline": self.groups[0].label,
                "about": comparison.about,
                "decision": comparison.decision,
                "wins": _numbers(comparison.wins),
                "mean": _numbers(comparison.mean),
                "over_episodes": _numbers(comparison.over_episodes),
                "policies": comparison.policies,
                "sentence": self.sentence(index),
            }
            for index, comparison in enumerate(self.comparisons)
        ]
        return {
            "env": self.task.env_name,
            "metric": self.task.metric.name,
            "better": self.task.metric.better,
            "alpha": self.alpha,
            "episodes": self.episodes,
            "part": self.part,
            "differences": {key: list(values) for key, values in self.differing.items()},
            "groups": groups,
            "comparisons": comparisons,
            "verdicts": {key: list(values) for key, values in self.verdicts.items()},
            "cost": None
            if self.cost is None
            else {"bar": self.cost.bar, "groups": [group.to_json() for group in self.cost.groups]},
            "notes": list(self.notes),
        }


def compare_runs(
    names: Sequence[str],
    baseline: Sequence[str] = (),
    *,
    metric: str | None = None,
    columns: Mapping[str, str] | None = None,
    part: str | None = None,
    episodes: int | None = None,
    bounds: tuple[float, float] | None = None,
    alpha: float = 0.05,
    bar: float | None = None,
    with_verdicts: bool = False,
    gate: bool = False,
    trust: bool = False,
    ledger: Path | None = None,
    on_episodes: OnEpisodes | None = None,
) -> Comparison:
    """Read the runs, refuse those that cannot be compared, play, and compare.

    Args:
        names: run directories, sweeps, offline W&B folders, `wandb:entity/project[?group=…]`, and logs of other
            programs, which are compared by what they recorded.
        baseline: names of the runs that the others are compared with; without it, the first group.
        metric: a task metric; None: the metric that the runs were selected by. Of logs one of `other_runs.SCORES`.
        columns: of logs, our name -> theirs.
        part: `test` or `validation`, what is played of finite data; None: `validation` for the jobs of one sweep, whose
            best is yet to be judged, else `test`.
        episodes: how many to play; None: 100, or all of the part where the data is finite.
        bounds: the least and the most that a run can score; None: those of the metric, where it has some.
        bar: of the metric, for what it cost to reach it; None: that of the runs' verdicts, or `validation.stop_at`.
        with_verdicts: whether to compare the runs' `verdict.json` too.
        gate: whether there must be a candidate in addition to the baseline.
        trust: whether modules that the runs name may be imported: plugins, and that of a `module:` environment.
        ledger: the file that records that a finite held-out set was used.
        on_episodes: called with the number of episodes so far, and of all episodes.

    Raises:
        InputError: a run cannot be read, or the runs cannot be compared.
    """
    if not 0 < alpha < 0.5:
        raise InputError(f"--alpha {alpha:g} is not an error rate: give one between 0 and 0.5, such as 0.05")
    require_range(bounds)
    require_part(part)
    repeated: list[str] = []
    candidate_runs, baseline_runs = (read_runs(some, repeated, columns) for some in (names, baseline))
    candidate_runs, baseline_runs = shorten_folders(candidate_runs, baseline_runs)
    runs = [*baseline_runs, *candidate_runs]
    if not runs:
        raise InputError("there is no run to compare: name run directories, a sweep or wandb:entity/project")
    for run in runs:
        if run.record:
            require_plugins_of_run(run.record.path, run.record.config, trust=trust)
    has_logs = any(run.source == "other" for run in runs)
    if columns and not has_logs:
        raise InputError("--columns names columns of logs of other programs, and none of the runs is one: leave it out")
    task = recorded_task(runs, metric) if has_logs else common_task(runs, metric)
    groups = group_runs(candidate_runs, baseline_runs, gate=gate)
    verdicts = count_passes(groups) if with_verdicts else {}
    notes = [f"{name} is named twice, and counts once" for name in dict.fromkeys(repeated)]
    notes += [repeated_seeds_note(group) for group in groups if group.left_out]
    played: PlayedPart | None = None
    if has_logs:
        scores, count = training_scores(groups, task.metric.name), None
        notes += notes_on_logs(groups, task.metric.name)
    elif task.env is not None and all(run.source == "run" for run in runs):
        chosen = choose_part(part, runs)
        scores, count = play_groups(groups, task, part=chosen, episodes=episodes, trust=trust, on_episodes=on_episodes)
        if domains.domain(task.env.name).has_cases:
            played = chosen
            notes += notes_on_part(chosen, groups, task, ledger)
    else:
        scores, count = recorded_scores(groups, task.metric), None
        notes.append(
            "W&B has no policies to play, so the scores are the recorded final results, each on its own validation "
            "episodes: they are not paired, and are a little optimistic"
        )
    higher_is_better = task.metric.better == "higher"
    notes += commit_notes(groups)
    within = score_bounds(scores, task, bounds)
    comparisons = [
        compare_groups(candidate, scores[0], higher_is_better=higher_is_better, bounds=within, alpha=alpha)
        for candidate in scores[1:]
    ]
    if len(comparisons) > 1:
        notes.append(f"each of the {len(comparisons)} comparisons has its own error rate of {alpha:g}")
    curves = {
        column: tuple(filter(None, (learning_curve(group, column) for group in groups)))
        for column in comparable_columns(groups)
    }
    return Comparison(
        task=task,
        alpha=alpha,
        groups=tuple(groups),
        differing=differing_settings(groups),
        scores=tuple(scores),
        episodes=count,
        iqms=tuple(iqm_interval(group_scores.values) for group_scores in scores),
        comparisons=tuple(comparisons),
        curves=curves,
        verdicts=verdicts,
        notes=tuple(notes),
        part=played,
        cost=costs_to_bar(groups, task, bar),
    )


def _interval(interval: Interval | None) -> dict[str, float] | None:
    if interval is None:
        return None
    return {key: float(np.asarray(getattr(interval, key))) for key in ("estimate", "low", "high")}


def _numbers(result: Any) -> dict[str, Any] | None:
    """The fields of a result as JSON values; what is not finite is None."""
    if result is None:
        return None
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(result).items()
    }
