"""Which columns of `metrics.csv` are drawn, in what order and under what name; bands over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from rl_eval.formatting import brief
from rl_eval.report import charts
from rl_eval.report.page import number
from rl_eval.report.scales import thinned

# column -> its name and what it says; the order is that of the page
LEARNING = {
    "episode_return_mean": ("Return while training", "Mean of the latest finished episodes, with exploration."),
    "validation_score": ("Score on the validation part", "The greedy policy, on episodes that training does not see."),
    "episode_length_mean": ("Episode length", "Mean steps of the latest finished episodes."),
}
OPTIMISATION = {
    "explained_variance": ("Explained variance", "How much of the returns the critic foresees: 1 is all, 0 nothing."),
    "entropy": ("Entropy of the policy", "In nats: high is undecided, 0 is always the same action."),
    "approx_kl": ("Size of the updates (KL)", "How far one iteration moves the policy."),
    "clip_fraction": ("Clipped samples", "Share of the samples whose update was cut off."),
    "value_loss": ("Value loss", "What is left for the critic to learn."),
    "policy_loss": ("Policy loss", "The surrogate objective; its level says little."),
    "td_error": ("TD error", "Mean |Q(s, a) − target|, in the scaled reward."),
    "q_mean": ("Value of the best action", "Mean over what was drawn, in the units of the reward."),
    "q_max": ("Largest value", "Above q_bound no return can lie."),
    "epsilon": ("Exploration (ε)", "The share of random actions."),
    "replay_age": ("Age of what was drawn", "In env steps."),
    "grad_norm": ("Gradient norm", "Before it is clipped."),
    "lr": ("Learning rate", "As scheduled."),
}
_COUNTERS = {"env_steps", "wall_s", "episodes", "gradient_steps"}
MOST_OTHERS = 24


@dataclass(frozen=True)
class Curve:
    """One chart with the words around it."""

    title: str
    last: str
    chart: Markup
    caption: str
    legend: Markup | None = None


@dataclass(frozen=True)
class Group:
    """The metrics of runs that are equal but for their seed; a single run is a group of one.

    Attributes:
        columns: name -> `[rows]`, one mapping a run.
    """

    label: str
    runs: Sequence[Mapping[str, np.ndarray]]
    colour: int = 1


def learning(groups: Sequence[Group], bars: Mapping[str, tuple[float, str]], metric: str | None) -> list[Curve]:
    """Return, score and length.

    Args:
        bars: column -> the threshold of a criterion on it, with its name.
        metric: the metric that `validation_score` is.
    """
    named = dict(LEARNING)
    if metric:
        named["validation_score"] = (f"{brief(metric, 40)} on the validation part", LEARNING["validation_score"][1])
    return _drawn(groups, named, bars)


def optimisation(groups: Sequence[Group]) -> list[Curve]:
    """How the updates went."""
    return _drawn(groups, OPTIMISATION, {})


def rewards(groups: Sequence[Group]) -> list[Curve]:
    """Each term of the reward, weighted, per step."""
    names = [name for name in _names(groups) if name.startswith("reward/")]
    named = {name: (brief(name[7:], 60), "Per step, with its weight.") for name in names[:MOST_OTHERS]}
    return _drawn(groups, named, {})


def others(groups: Sequence[Group]) -> list[Curve]:
    """Every other column."""
    known = {*LEARNING, *OPTIMISATION, *_COUNTERS}
    names = [name for name in _names(groups) if name not in known and not name.startswith(("reward/", "action/"))]
    return _drawn(groups, {name: (brief(name, 60), "") for name in names[:MOST_OTHERS]}, {})


def actions(groups: Sequence[Group], names: Sequence[str] = ()) -> Curve | None:
    """The share of each action while training, of a single group; None where it is not logged.

    Args:
        names: of the actions, in their order.
    """
    columns = [name for name in _names(groups) if name.startswith("action/")][: charts.COLOURS]
    if len(groups) != 1 or not columns:
        return None
    labels = {
        name: names[int(name[7:])] if name[7:].isdecimal() and int(name[7:]) < len(names) else brief(name[7:], 40)
        for name in columns
    }
    series = []
    for colour, name in enumerate(columns, 1):
        line, _ = _lines(Group(labels[name], groups[0].runs, colour), name)
        series += line
    if not series:
        return None
    ends = [f"{each.label} {number(100 * _last(each.y), 3)} %" for each in series if not each.faint]
    chart = charts.curves(
        series,
        f"Shares of the actions while training; at the end {', '.join(ends)}.",
        x_label="env steps",
        y_range=(0.0, 1.0),
    )
    legend = charts.legend([(each.label, each.colour) for each in series if not each.faint])
    return Curve("Actions while training", "", chart, "Sampled, as the agent explored.", legend)


def over_seeds(runs: Sequence[Mapping[str, np.ndarray]], name: str) -> tuple[np.ndarray, ...]:
    """Steps, median, lowest and highest over runs, each `[n]`, where at least two runs have a value.

    Runs whose rows fall on different steps are laid on the steps of the one with the most rows, in between linearly.
    """
    known = []
    for columns in runs:
        steps, values = columns["env_steps"], columns[name]
        kept = np.isfinite(steps) & np.isfinite(values)
        if kept.any():
            order = np.argsort(steps[kept], kind="stable")
            known.append(thinned(steps[kept][order], values[kept][order]))
    if not known:
        return tuple(np.empty(0) for _ in range(4))
    steps = max((each[0] for each in known), key=len)
    rows = np.stack([np.interp(steps, *each, left=np.nan, right=np.nan) for each in known])
    enough = np.isfinite(rows).sum(axis=0) >= min(2, len(known))
    rows, steps = rows[:, enough], steps[enough]
    if not len(steps):
        return tuple(np.empty(0) for _ in range(4))
    return steps, np.nanmedian(rows, axis=0), np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)


def _names(groups: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for columns in group.runs for name in columns))


def _drawn(
    groups: Sequence[Group], named: Mapping[str, tuple[str, str]], bars: Mapping[str, tuple[float, str]]
) -> list[Curve]:
    present = set(_names(groups))
    made = [_curve(groups, name, *words, bars.get(name)) for name, words in named.items() if name in present]
    return [each for each in made if each is not None]


def _curve(groups: Sequence[Group], name: str, title: str, caption: str, bar: tuple[float, str] | None) -> Curve | None:
    series: list[charts.Series] = []
    said = []
    for group in groups:
        lines, sentence = _lines(group, name)
        series += lines
        if sentence:
            said.append(f"{group.label}: {sentence}" if len(groups) > 1 else sentence)
    if not series:
        return None
    described = f"{title}, {'; '.join(said)}."
    if bar is not None:
        described += f" The threshold is {bar[1]}."
    chart = charts.curves(series, brief(described, 1000), x_label="env steps", rule=bar)
    main = [each for each in series if not each.faint]
    last = f"at the end {number(_last(main[0].y))}" if len(main) == 1 else ""
    return Curve(title, last, chart, caption)


def _lines(group: Group, name: str) -> tuple[list[charts.Series], str]:
    """The lines of one group, and what they show in words."""
    runs = [columns for columns in group.runs if name in columns and "env_steps" in columns]
    if len(runs) == 1:
        steps, values = runs[0]["env_steps"], runs[0][name]
        kept = np.isfinite(steps) & np.isfinite(values)
        steps, middle = thinned(steps[kept], values[kept])
        low = high = None
        series = [charts.Series(group.label, steps, middle, colour=group.colour)]
    else:
        steps, middle, low, high = over_seeds(runs, name) if runs else (np.empty(0),) * 4
        series = [charts.Series(group.label, steps, middle, low, high, group.colour)]
        series += [charts.Series("", each["env_steps"], each[name], colour=group.colour, faint=True) for each in runs]
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
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else float("nan")
