"""The learning curves of a page: which columns, their order and titles, and bands over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from rl_eval.formatting import brief
from rl_eval.report import charts
from rl_eval.report.html_page import number
from rl_eval.report.scales import thinned

# column -> title and caption, in the order of the page
LEARNING = {
    "episode_return_mean": ("Return while training", "Mean of the latest finished episodes, with exploration."),
    "episode_return_new": ("Return of new episodes", "Mean of the episodes that ended since the row before."),
    "validation_score": ("Score on the validation part", "The greedy policy, on episodes that training does not use."),
    "episode_length_mean": ("Episode length", "Mean steps of the latest finished episodes."),
}
OPTIMISATION = {
    "explained_variance": ("Explained variance", "Share of the returns that the critic predicts: 1 is all, 0 nothing."),
    "entropy": ("Entropy of the policy", "In nats: high is random, 0 is always the same action."),
    "approx_kl": ("Size of the updates (KL)", "How much one iteration changes the policy."),
    "clip_fraction": ("Clipped samples", "Share of the samples whose update was clipped."),
    "value_loss": ("Value loss", "Squared error of the critic."),
    "policy_loss": ("Policy loss", "The surrogate objective; its absolute value says little."),
    "td_error": ("TD error", "Mean |Q(s, a) − target|, in the scaled reward."),
    "q_mean": ("Value of the best action", "Mean over the sampled transitions, in units of the reward."),
    "q_max": ("Largest value", "No return can be above q_bound."),
    "epsilon": ("Exploration (ε)", "The share of random actions."),
    "replay_age": ("Age of the samples", "In env steps."),
    "grad_norm": ("Gradient norm", "Before it is clipped."),
    "lr": ("Learning rate", "As scheduled."),
}
_COUNTERS = {"env_steps", "wall_s", "episodes", "gradient_steps"}
MAX_OTHERS = 24


@dataclass(frozen=True)
class Curve:
    """One chart with its title, last value and caption."""

    title: str
    last: str
    chart: Markup
    caption: str
    legend: Markup | None = None


@dataclass(frozen=True)
class Group:
    """The curves of runs that differ only in their seed; a single run is a group of one.

    Attributes:
        runs: for each run, column -> `[rows]`.
    """

    label: str
    runs: Sequence[Mapping[str, np.ndarray]]
    colour: int = 1


def learning(groups: Sequence[Group], bars: Mapping[str, tuple[float, str]], metric: str | None) -> list[Curve]:
    """Return, validation score and episode length.

    Args:
        bars: column -> the threshold of a criterion on it, with its label.
        metric: the metric of `validation_score`.
    """
    titles = dict(LEARNING)
    if metric:
        titles["validation_score"] = (f"{brief(metric, 40)} on the validation part", LEARNING["validation_score"][1])
    return _curves(groups, titles, bars)


def optimisation(groups: Sequence[Group]) -> list[Curve]:
    """The columns of the optimiser."""
    return _curves(groups, OPTIMISATION, {})


def rewards(groups: Sequence[Group]) -> list[Curve]:
    """Each reward term, weighted, per step."""
    names = [name for name in _names(groups) if name.startswith("reward/")]
    titles = {name: (brief(name.removeprefix("reward/"), 60), "Per step, weighted.") for name in names[:MAX_OTHERS]}
    return _curves(groups, titles, {})


def other_columns(groups: Sequence[Group]) -> list[Curve]:
    """Every other column."""
    elsewhere = {*LEARNING, *OPTIMISATION, *_COUNTERS}
    names = [name for name in _names(groups) if name not in elsewhere and not name.startswith(("reward/", "action/"))]
    return _curves(groups, {name: (brief(name, 60), "") for name in names[:MAX_OTHERS]}, {})


def actions(groups: Sequence[Group], names: Sequence[str] = ()) -> Curve | None:
    """The share of each action in training, for a single group; None if it is not logged.

    Args:
        names: of the actions, in their order.
    """
    columns = [name for name in _names(groups) if name.startswith("action/")][: charts.COLOURS]
    if len(groups) != 1 or not columns:
        return None
    labels = {name: _action_label(name.removeprefix("action/"), names) for name in columns}
    series = []
    for colour, name in enumerate(columns, 1):
        line, _ = _group_series(Group(labels[name], groups[0].runs, colour), name)
        series += line
    if not series:
        return None
    main = [line for line in series if not line.faint]
    ends = [f"{line.label} {number(100 * _last(line.y), 3)} %" for line in main]
    chart = charts.curves(
        series,
        f"Shares of the actions in training; at the end {', '.join(ends)}.",
        x_label="env steps",
        y_range=(0.0, 1.0),
    )
    legend = charts.legend([(line.label, line.colour) for line in main])
    return Curve("Actions in training", "", chart, "Sampled, with exploration.", legend)


def _action_label(number_text: str, names: Sequence[str]) -> str:
    if number_text.isdecimal() and int(number_text) < len(names):
        return names[int(number_text)]
    return brief(number_text, 40)


def over_seeds(runs: Sequence[Mapping[str, np.ndarray]], name: str) -> tuple[np.ndarray, ...]:
    """Steps, median, lowest and highest over runs, each `[n]`, where at least two runs have a value.

    Runs with other steps are interpolated linearly at the steps of the run with the most rows.
    """
    finite_curves = []
    for columns in runs:
        steps, values = columns["env_steps"], columns[name]
        finite = np.isfinite(steps) & np.isfinite(values)
        if finite.any():
            order = np.argsort(steps[finite], kind="stable")
            finite_curves.append(thinned(steps[finite][order], values[finite][order]))
    if not finite_curves:
        return tuple(np.empty(0) for _ in range(4))
    steps = max((curve[0] for curve in finite_curves), key=len)
    rows = np.stack([np.interp(steps, *curve, left=np.nan, right=np.nan) for curve in finite_curves])
    enough = np.isfinite(rows).sum(axis=0) >= min(2, len(finite_curves))
    rows, steps = rows[:, enough], steps[enough]
    if not len(steps):
        return tuple(np.empty(0) for _ in range(4))
    return steps, np.nanmedian(rows, axis=0), np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)


def _names(groups: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for columns in group.runs for name in columns))


def _curves(
    groups: Sequence[Group], titles: Mapping[str, tuple[str, str]], bars: Mapping[str, tuple[float, str]]
) -> list[Curve]:
    present = set(_names(groups))
    curves = [_curve(groups, name, *words, bars.get(name)) for name, words in titles.items() if name in present]
    return [curve for curve in curves if curve is not None]


def _curve(groups: Sequence[Group], name: str, title: str, caption: str, bar: tuple[float, str] | None) -> Curve | None:
    series: list[charts.Series] = []
    sentences = []
    for group in groups:
        new_series, sentence = _group_series(group, name)
        series += new_series
        if sentence:
            sentences.append(f"{group.label}: {sentence}" if len(groups) > 1 else sentence)
    if not series:
        return None
    description = f"{title}, {'; '.join(sentences)}."
    if bar is not None:
        description += f" Line: {bar[1]}."
    chart = charts.curves(series, brief(description, 1000), x_label="env steps", rule=bar)
    main = [line for line in series if not line.faint]
    last = f"at the end {number(_last(main[0].y))}" if len(main) == 1 else ""
    return Curve(title, last, chart, caption)


def _group_series(group: Group, name: str) -> tuple[list[charts.Series], str]:
    """The lines of one group, and a sentence on them."""
    runs = [columns for columns in group.runs if name in columns and "env_steps" in columns]
    if len(runs) == 1:
        steps, values = runs[0]["env_steps"], runs[0][name]
        finite = np.isfinite(steps) & np.isfinite(values)
        steps, middle = thinned(steps[finite], values[finite])
        low = high = None
        series = [charts.Series(group.label, steps, middle, colour=group.colour)]
    else:
        steps, middle, low, high = over_seeds(runs, name) if runs else (np.empty(0),) * 4
        series = [charts.Series(group.label, steps, middle, low, high, group.colour)]
        series += [charts.Series("", run["env_steps"], run[name], colour=group.colour, faint=True) for run in runs]
    if not len(steps):
        return [], ""
    lowest, highest = int(np.nanargmin(middle)), int(np.nanargmax(middle))
    sentence = f"from {number(middle[0])} at {number(steps[0])} env steps "
    sentence += f"to {number(middle[-1])} at {number(steps[-1])}"
    sentence += f"; lowest {number(middle[lowest])}, highest {number(middle[highest])} at {number(steps[highest])}"
    if low is not None and high is not None:
        sentence += f"; at the end from {number(low[-1])} to {number(high[-1])} over {len(runs)} runs"
    return series, sentence


def _last(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else float("nan")
