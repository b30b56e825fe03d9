"""A comparison as one self-contained HTML page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rl_eval.compare.comparison import Comparison, described
from rl_eval.compare.statistics import Versus
from rl_eval.report import charts
from rl_eval.report.page import count, number, render, write

_WORDS = {"WORSE": ("FAIL", "Worse"), "BETTER": ("PASS", "Better"), "UNDECIDED": ("INCONCLUSIVE", "Not told apart")}
_COLUMNS = {"select_score": "Score on the selection part", "episode_return_mean": "Return while training"}


def write_page(path: Path, comparison: Comparison) -> None:
    """Write the page, atomically.

    Raises:
        InputError: it cannot be written, or would be too large.
    """
    write(path, page(comparison))


def page(comparison: Comparison) -> str:
    """The page, as text."""
    metric, labels = comparison.task.metric, [group.label for group in comparison.groups]
    played = (
        "Scores are final results on record."
        if comparison.episodes is None
        else f"Every run played the same {count(comparison.episodes)} episodes."
    )
    return render(
        "compare.html",
        title=f"{metric.name} on {comparison.task.env.name}, {len(labels)} groups of runs",
        contents=[
            ("scores", "Scores"),
            *([("differences", "Differences")] if comparison.against else []),
            ("settings", "Settings"),
            ("curves", "Curves"),
        ],
        facts=[
            f"{metric.better} is better",
            f"{sum(len(group.entries) for group in comparison.groups)} runs",
            played,
            f"alpha {comparison.alpha:g}",
        ],
        headline=_headline(comparison),
        labels=labels,
        groups=[_group(comparison, at) for at in range(len(labels))],
        spread=_spread(comparison),
        candidates=[
            {"label": labels[at + 1], "sentence": comparison.sentence(at), "rows": _rows(comparison, versus)}
            | {"word": _WORDS[versus.decision][1], "decision": _WORDS[versus.decision][0]}
            for at, versus in enumerate(comparison.against)
        ],
        level=f"{100 - 200 * comparison.alpha:g}",
        differing=list(comparison.differing.items()),
        verdicts=list(comparison.verdicts.items()),
        curves=[_curve(comparison, name) for name in comparison.curves],
        notes=comparison.notes,
    )


def _headline(comparison: Comparison) -> dict[str, Any]:
    if not comparison.against:
        runs = len(comparison.groups[0].entries)
        sentence = f"All {runs} runs have one config but for the seed, so there is nothing to compare them with."
        return {"decision": "NONE", "word": "One group", "sentence": sentence, "more": []}
    decision, word = _WORDS[comparison.against[-1].decision]
    return {
        "decision": decision,
        "word": word,
        "sentence": comparison.sentence(len(comparison.against) - 1),
        "more": [],
    }


def _group(comparison: Comparison, at: int) -> dict[str, Any]:
    group, values, iqm = comparison.groups[at], comparison.scores[at].values, comparison.iqms[at]
    return {
        "label": group.label,
        "role": "baseline" if at == 0 and comparison.against else "",
        "runs": count(len(values)),
        "mean": number(float(values.mean())),
        "iqm": "–" if iqm is None else number(float(iqm.estimate)),
        "interval": "–" if iqm is None else f"{number(float(iqm.low))} to {number(float(iqm.high))}",
        "range": f"{number(float(values.min()))} to {number(float(values.max()))}",
        "names": [(entry.name, number(float(value))) for entry, value in zip(group.entries, values, strict=True)],
    }


def _spread(comparison: Comparison) -> list[dict[str, Any]]:
    metric, base = comparison.task.metric.name, float(comparison.scores[0].values.mean())
    rule = (base, "baseline mean") if comparison.against else None
    return [
        {
            "label": group.label,
            "chart": charts.strip(
                scores.values,
                f"{metric} of each of the {len(scores.values)} runs of {group.label}.",
                rule=rule,
                x_label=metric,
            ),
        }
        for group, scores in zip(comparison.groups, comparison.scores, strict=True)
    ]


def _rows(comparison: Comparison, versus: Versus) -> list[dict[str, Any]]:
    named = {
        "runs": ("runs as they come", versus.over_runs),
        "seeds": ("pairs of runs of one seed", versus.over_seeds),
        "episodes": ("episodes that all played, of these policies alone", versus.over_episodes),
    }
    rows = []
    for basis, (name, found) in named.items():
        if found is None:
            continue
        low, high = (None if math.isinf(end) else end for end in (found.low, found.high))
        text = described(found, comparison.alpha)
        rows.append(
            {
                "name": name,
                "units": " and ".join(map(count, found.counts[: 1 if found.paired else 2])),
                "decides": basis == versus.basis,
                "text": text,
                "decision": _WORDS[versus.decision][0] if basis == versus.basis else "NONE",
                "drawing": charts.interval(found.estimate, low, high, 0.0, comparison.higher, f"Difference {text}."),
            }
        )
    chance = versus.improvement
    low, high = float(chance.low), float(chance.high)
    text = f"{number(float(chance.estimate), 3)} in [{number(low, 3)}, {number(high, 3)}] (95 %)"
    drawing = charts.interval(float(chance.estimate), low, high, 0.5, True, f"Probability {text}.", bounds=(0.0, 1.0))
    shown = {"name": "probability that a run of it beats one of the baseline", "units": "", "decides": False}
    return [*rows, {**shown, "text": text, "decision": "NONE", "drawing": drawing}]


def _curve(comparison: Comparison, name: str) -> dict[str, Any]:
    series = [
        charts.Series(group.label, curve.steps, curve.mean, curve.low, curve.high, colour=at + 1)
        for at, (group, curve) in enumerate(zip(comparison.groups, comparison.curves[name], strict=True))
    ]
    title = _COLUMNS.get(name, name)
    ends = ", ".join(f"{each.label} ends at {number(float(each.y[-1]))}" for each in series)
    return {
        "title": title,
        "last": "",
        "chart": charts.curves(series, f"{title} over env steps: {ends}.", x_label="env steps"),
        "legend": charts.legend([(each.label, (each.colour - 1) % charts.COLOURS + 1) for each in series]),
        "caption": "Mean over the runs of each group; the band reaches from the lowest run to the highest.",
    }
