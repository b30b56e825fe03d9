"""A comparison as one self-contained HTML page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.compare.comparison import Comparison
from rl_eval.compare.permutation import MeanDifference
from rl_eval.compare.run_evidence import BoundedDifference, PairWins
from rl_eval.compare.statistics import GroupComparison
from rl_eval.cost import energy_text, money_text
from rl_eval.report import charts
from rl_eval.report.html_page import count, number, render, write

# outcome -> the decision whose colour the badge has, and the word on it
_BADGES = {
    "WORSE": ("FAIL", "Worse in the mean"),
    "LOSES": ("NONE", "Loses more often"),
    "UNDECIDED": ("INCONCLUSIVE", "Undecided"),
    "WINS": ("NONE", "Wins more often"),
    "BETTER": ("PASS", "Better in the mean"),
}
_CURVE_TITLES = {"validation_score": "Score on the validation part", "episode_return_mean": "Return during training"}


def write_page(path: Path, result: Comparison) -> None:
    """Write the page, atomically.

    Raises:
        InputError: it cannot be written, or would be too large.
    """
    write(path, page(result))


def page(result: Comparison) -> str:
    """The page, as text."""
    metric, labels = result.task.metric, [group.label for group in result.groups]
    part = f" of the {result.part} part" if result.part else ""
    episodes = (
        "Scores are recorded final results."
        if result.episodes is None
        else f"Every run played the same {count(result.episodes)} episodes{part}."
    )
    return render(
        "compare.html",
        title=f"{metric.name} on {result.task.env_name}, {len(labels)} groups of runs",
        contents=[
            ("scores", "Scores"),
            *([("differences", "Differences")] if result.comparisons else []),
            ("settings", "Settings"),
            ("curves", "Curves"),
        ],
        facts=[
            f"{metric.better} is better",
            f"{sum(len(group.runs) for group in result.groups)} runs",
            episodes,
            f"alpha {result.alpha:g}",
        ],
        headline=_headline(result),
        labels=labels,
        groups=[_group(result, index) for index in range(len(labels))],
        spread=_spread(result),
        candidates=[_candidate(result, index) for index in range(len(result.comparisons))],
        level=f"{100 - 200 * result.alpha:g}",
        differing=list(result.differing.items()),
        verdicts=list(result.verdicts.items()),
        cost=_cost(result),
        legend=charts.legend([(label, index % charts.COLOURS + 1) for index, label in enumerate(labels)]),
        curves=[_curve(result, column) for column in result.curves],
        notes=result.notes,
    )


def _headline(result: Comparison) -> dict[str, Any]:
    if not result.comparisons:
        runs = len(result.groups[0].runs)
        sentence = f"The configs of all {runs} runs differ only in the seed, so there is nothing to compare them with."
        return {"decision": "NONE", "word": "One group", "sentence": sentence, "more": []}
    decision, word = _badge(result.comparisons[-1])
    sentence = result.sentence(len(result.comparisons) - 1)
    return {"decision": decision, "word": word, "sentence": sentence, "more": []}


def _badge(comparison: GroupComparison) -> tuple[str, str]:
    """The decision whose colour the badge has, and its word."""
    if comparison.about == "policies" and comparison.decision == "UNDECIDED":
        return "INCONCLUSIVE", "Too few runs"
    return _BADGES[comparison.decision]


def _candidate(result: Comparison, index: int) -> dict[str, Any]:
    comparison = result.comparisons[index]
    decision, word = _badge(comparison)
    return {
        "label": result.groups[index + 1].label,
        "sentence": result.sentence(index),
        "rows": _rows(result, comparison),
        "word": word,
        "decision": decision,
    }


def _group(result: Comparison, index: int) -> dict[str, Any]:
    group, values, iqm = result.groups[index], result.scores[index].values, result.iqms[index]
    return {
        "label": group.label,
        "role": "baseline" if index == 0 and result.comparisons else "",
        "runs": count(len(values)),
        "mean": number(float(values.mean())),
        "iqm": "–" if iqm is None else number(float(iqm.estimate)),
        "interval": "–" if iqm is None else f"{number(float(iqm.low))} to {number(float(iqm.high))}",
        "range": f"{number(float(values.min()))} to {number(float(values.max()))}",
        "names": [(run.name, number(float(value))) for run, value in zip(group.runs, values, strict=True)],
    }


def _cost(result: Comparison) -> dict[str, Any] | None:
    if result.cost is None:
        return None
    sign = "≥" if result.higher_is_better else "≤"
    rows = []
    for group, spent in zip(result.groups, result.cost.groups, strict=True):
        cost = spent.cost
        cells = ["–"] * 4
        if cost is not None:
            cells = [number(spent.env_steps), number(cost.machine_s), energy_text(cost), money_text(cost)]
        rows.append((group.label, [f"{len(spent.reached)} of {spent.runs}", *cells]))
    return {"bar": f"{result.task.metric.name} {sign} {number(result.cost.bar)}", "rows": rows}


def _spread(result: Comparison) -> list[dict[str, Any]]:
    metric, baseline_mean = result.task.metric.name, float(result.scores[0].values.mean())
    rule = (baseline_mean, "baseline mean") if result.comparisons else None
    values = np.concatenate([scores.values for scores in result.scores])
    shared = (float(np.nanmin(values)), float(np.nanmax(values)))
    return [
        {
            "label": group.label,
            "chart": charts.strip(
                scores.values,
                f"{metric} of each of the {len(scores.values)} runs of {group.label}.",
                rule=rule,
                x_label=metric,
                x_range=shared,
            ),
        }
        for group, scores in zip(result.groups, result.scores, strict=True)
    ]


def _rows(result: Comparison, comparison: GroupComparison) -> list[dict[str, Any]]:
    wins, mean, episodes = comparison.wins, comparison.mean, comparison.over_episodes
    above, rows = result.higher_is_better, []
    if wins.wins + wins.losses and comparison.about == "training":
        name = "share of pairs of runs where the candidate has the higher score"
        row = _row(name, f"{wins.wins + wins.losses + wins.ties} pairs", wins.share, wins, 0.5, above, result.alpha)
        rows.append({**row, "decision": "NONE"})
    if mean is not None:
        counts = [len(result.groups[index].runs) for index in (result.comparisons.index(comparison) + 1, 0)]
        row = _row(
            "difference of means over runs",
            f"{counts[0]} and {counts[1]} runs",
            mean.estimate,
            mean,
            0.0,
            above,
            result.alpha,
        )
        decided = comparison.decision in ("BETTER", "WORSE")
        rows.append({**row, "decision": _BADGES[comparison.decision][0] if decided else "NONE"})
    if episodes is not None:
        name, units = "difference of only these policies", f"{count(episodes.count)} episodes"
        row = _row(name, units, episodes.estimate, episodes, 0.0, above, result.alpha)
        rows.append({**row, "decision": "NONE"})
    return rows


def _row(
    name: str,
    units: str,
    estimate: float,
    evidence: PairWins | BoundedDifference | MeanDifference,
    neutral: float,
    above: bool,
    alpha: float,
) -> dict[str, Any]:
    """A claim with its interval.

    Args:
        neutral: the value at which neither is better.
    """
    low, high = (None if math.isinf(end) else end for end in (evidence.low, evidence.high))
    ends = ["?" if end is None else number(end, 3) for end in (low, high)]
    p = number(min(evidence.p_below, evidence.p_above), 2)
    text = f"{number(estimate, 3)} in [{ends[0]}, {ends[1]}] ({100 - 200 * alpha:g} %), p = {p}"
    drawing = charts.interval(estimate, low, high, neutral, above, f"{name.capitalize()}: {text}.")
    return {"name": name, "units": units, "text": text, "drawing": drawing}


def _curve(result: Comparison, column: str) -> dict[str, Any]:
    series = [
        charts.Series(group.label, curve.steps, curve.mean, curve.low, curve.high, colour=index + 1)
        for index, (group, curve) in enumerate(zip(result.groups, result.curves[column], strict=True))
    ]
    title = _CURVE_TITLES.get(column, column)
    ends = ", ".join(f"{line.label} ends at {number(float(line.y[-1]))}" for line in series)
    return {
        "title": title,
        "last": "",
        "chart": charts.curves(series, f"{title} over env steps: {ends}.", x_label="env steps"),
        "caption": "",
        "legend": None,
    }
