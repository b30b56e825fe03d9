"""The whole comparison as data: groups, what differs, scores, who is better, and in which words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval import seen
from rl_eval.compare import curves, scores, sources, verdicts
from rl_eval.compare.groups import Group, Task, common_task, differences, group
from rl_eval.compare.permutation import Difference, smallest_p
from rl_eval.compare.statistics import Scores, Versus, compare, iqm_interval
from rl_eval.errors import InputError
from rl_eval.evidence import Interval
from rl_eval.formatting import number

FEW = 5  # runs below which a bootstrap interval is known to be too narrow


@dataclass(frozen=True)
class Comparison:
    """Groups of runs side by side, the baseline first.

    Attributes:
        episodes: how many all runs played; None where their scores are on record only.
        iqms: of each group; None for a single run.
        against: of each group but the first, beside the first.
        curves: column -> one curve a group.
        verdicts: criterion -> how many runs of each group pass; empty where they were not asked for.
        notes: what else is to be known, a sentence each.
    """

    task: Task
    alpha: float
    groups: tuple[Group, ...]
    differing: dict[str, tuple[str, ...]]
    scores: tuple[Scores, ...]
    episodes: int | None
    iqms: tuple[Interval | None, ...]
    against: tuple[Versus, ...]
    curves: dict[str, tuple[curves.Curve, ...]] = field(repr=False)
    verdicts: dict[str, tuple[str, ...]] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def higher(self) -> bool:
        """Whether more of the metric is better."""
        return self.task.metric.better == "higher"

    @property
    def worse(self) -> bool:
        """Whether the candidate, the last group, is worse than the baseline with evidence."""
        return bool(self.against) and self.against[-1].decision == "WORSE"

    def sentence(self, which: int) -> str:
        """What is known of candidate `which` (from 0), and on what evidence."""
        versus, metric = self.against[which], self.task.metric.name
        names = self.groups[which + 1].label, self.groups[0].label
        head = {"WORSE": "is worse than", "BETTER": "is better than", "UNDECIDED": "is not shown to differ from"}
        means = [number(float(self.scores[at].values.mean())) for at in (which + 1, 0)]
        text = f"{names[0]} {head[versus.decision]} {names[1]}: {metric} {means[0]} against {means[1]}"
        found, counts = versus.deciding, f"{len(self.groups[which + 1].entries)} and {len(self.groups[0].entries)} runs"
        if found is None:
            return f"{text}, which is no evidence: at alpha {self.alpha:g} {counts} are too few; {_enough(self.alpha)}"
        text += f", difference {described(found, self.alpha)}"
        if versus.basis == "seeds":
            return f"{text} over {found.counts[0]} pairs of runs of one seed"
        if versus.basis == "runs":
            return f"{text} over {counts}"
        return (
            f"{text} over {found.counts[0]:,} episodes that all played: that speaks of these policies and not of "
            f"training anew, for which {counts} are too few at alpha {self.alpha:g}"
        )

    def to_json(self) -> dict[str, Any]:
        """Everything but the curves' points, as JSON takes it; NaN and infinities become null."""
        groups = [
            {
                "label": group.label,
                "runs": [
                    {"name": entry.name, "seed": entry.seed, "score": float(value)}
                    for entry, value in zip(group.entries, scores.values, strict=True)
                ],
                "mean": float(scores.values.mean()),
                "iqm": _interval(iqm),
            }
            for group, scores, iqm in zip(self.groups, self.scores, self.iqms, strict=True)
        ]
        against = [
            {
                "candidate": self.groups[which + 1].label,
                "baseline": self.groups[0].label,
                "probability_of_improvement": _interval(versus.improvement),
                "over_runs": _difference(versus.over_runs),
                "over_seeds": _difference(versus.over_seeds),
                "over_episodes": _difference(versus.over_episodes),
                "basis": versus.basis,
                "decision": versus.decision,
                "sentence": self.sentence(which),
            }
            for which, versus in enumerate(self.against)
        ]
        return {
            "env": self.task.env.name,
            "metric": self.task.metric.name,
            "better": self.task.metric.better,
            "alpha": self.alpha,
            "episodes": self.episodes,
            "differences": {key: list(values) for key, values in self.differing.items()},
            "groups": groups,
            "comparisons": against,
            "verdicts": {key: list(values) for key, values in self.verdicts.items()},
            "notes": list(self.notes),
        }


def compare_runs(
    named: Sequence[str],
    baseline: Sequence[str] = (),
    *,
    metric: str | None = None,
    episodes: int | None = None,
    alpha: float = 0.05,
    with_verdicts: bool = False,
    trust: bool = False,
    ledger: Path | None = None,
    on_episodes: scores.OnEpisodes | None = None,
) -> Comparison:
    """Read what is named, refuse what cannot be compared, play, and compare.

    Args:
        named: run directories, sweeps, offline W&B folders and `wandb:entity/project[?group=…]`.
        baseline: likewise, what the others are compared with; without it, the first group.
        metric: a task metric; None: what the runs were selected by.
        episodes: how many to play; None: 100, or all of a finite held-out set.
        with_verdicts: compare the runs' `verdict.json` too.
        trust: whether an environment of `module:` may be imported.
        ledger: where it is put on record that a finite held-out set was looked at.
        on_episodes: called with the episodes played so far, and their number.

    Raises:
        InputError: something named cannot be read, or cannot be compared.
    """
    if not 0 < alpha < 0.5:
        raise InputError(f"--alpha {alpha:g} is not an error rate: give one between 0 and 0.5, such as 0.05")
    entries, of_baseline = sources.read_all(named), sources.read_all(baseline)
    everything = [*of_baseline, *entries]
    if not everything:
        raise InputError("there is no run to compare: name run directories, a sweep or wandb:entity/project")
    task = common_task(everything, metric)
    groups = group(entries, of_baseline)
    beside = verdicts.side_by_side(groups) if with_verdicts else {}
    notes = [_left_out(each) for each in groups if each.left_out]
    if all(entry.source == "run" for entry in everything):
        found, count = scores.played(groups, task, episodes=episodes, trust=trust, on_episodes=on_episodes)
        notes += _looks(groups, task, ledger)
    else:
        found, count = scores.recorded(groups, task.metric), None
        notes.append(
            "W&B holds no policies to play, so the scores are final results that the runs recorded, each on selection "
            "episodes of its own: not paired, and a little kind to every run"
        )
    if any(1 < len(each.entries) < FEW for each in groups):
        notes.append(f"with fewer than {FEW} runs in a group, bootstrap intervals are too narrow")
    higher = task.metric.better == "higher"
    notes += _other_commits(groups)
    against = [compare(each, found[0], higher_is_better=higher, alpha=alpha) for each in found[1:]]
    if len(against) > 1:
        notes.append(f"each of the {len(against)} comparisons has an error rate of {alpha:g} of its own")
    drawn = {name: tuple(filter(None, (curves.curve_of(g, name) for g in groups))) for name in curves.columns(groups)}
    iqms = tuple(iqm_interval(each.values) for each in found)
    return Comparison(
        task,
        alpha,
        tuple(groups),
        differences(groups),
        tuple(found),
        count,
        iqms,
        tuple(against),
        drawn,
        beside,
        tuple(notes),
    )


def described(difference: Difference, alpha: float) -> str:
    """`+0.012 in [0.004, 0.02] (90 %), p = 0.0039`."""
    low, high = ("?" if math.isinf(end) else number(end, 3) for end in (difference.low, difference.high))
    p = min(difference.p_below, difference.p_above)
    sign = "+" if difference.estimate > 0 else ""
    return f"{sign}{number(difference.estimate, 3)} in [{low}, {high}] ({100 - 200 * alpha:g} %), p = {number(p, 2)}"


def _enough(alpha: float) -> str:
    count = next((n for n in range(2, 20) if smallest_p(n, n, paired=False) <= alpha), 20)
    return f"train at least {count} of each, with seeds of their own"


def _left_out(group: Group) -> str:
    return f"{group.label}: {group.left_out} of its runs repeat the seed of another, and are left out"


def _other_commits(groups: Sequence[Group]) -> list[str]:
    """Code differs where no config does."""
    commits = [{str(entry.run.info.get("git_revision"))[:10] for entry in each.entries if entry.run} for each in groups]
    known = [each for each in commits if each]
    if all(each == known[0] for each in known):
        return []
    said = "; ".join(f"{group.label}: {', '.join(sorted(each))}" for group, each in zip(groups, commits, strict=True))
    return [f"the groups were trained by different commits ({said})"]


def _looks(groups: Sequence[Group], task: Task, ledger: Path | None) -> list[str]:
    """Put on record that each group was looked at, where the held-out data is finite: looks use it up."""
    if ledger is None or not seen.has_cases(task.env):
        return []
    import hashlib

    from rl_eval.gates.cache import checkpoint_fingerprint
    from rl_eval.gates.held_out import gate_set
    from rl_eval.gates.ledger import Consultation, record

    held_out, notes = gate_set(task.env, []).fingerprint, []
    for each in groups:
        prints = sorted(checkpoint_fingerprint(entry.run) for entry in each.entries if entry.run)
        one = prints[0] if len(prints) == 1 else hashlib.sha256(" ".join(prints).encode()).hexdigest()
        looks = record(ledger, Consultation("compare", held_out, 0, one, "COMPARED"))
    notes.append(f"{looks.checkpoints:,} different candidates have been looked at on these held-out cases ({ledger})")
    return [*notes, *([looks.problem] if looks.problem else [])]


def _interval(found: Interval | None) -> dict[str, float] | None:
    return (
        None if found is None else {key: float(np.asarray(getattr(found, key))) for key in ("estimate", "low", "high")}
    )


def _difference(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    numbers = {key: getattr(found, key) for key in ("estimate", "low", "high", "p_below", "p_above")}
    return {**numbers, "paired": found.paired, "units": list(found.counts)}
