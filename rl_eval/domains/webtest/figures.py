"""Report figures of testing: failures and states over actions, a map of states, and what the reward consisted of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rl_eval.domains.webtest.config import Config
from rl_eval.domains.webtest.metrics import METRICS
from rl_eval.domains.webtest.page import ROLES, VALUES_OF
from rl_eval.domains.webtest.rewards import TERMS
from rl_eval.domains.webtest.roles import task_of_turn
from rl_eval.metrics import Metric, MetricUndefined
from rl_eval.report import charts
from rl_eval.report.behaviour import Behaviour
from rl_eval.report.figure import Cell, Figure
from rl_eval.report.html_page import number
from rl_eval.rollout import Episodes


def figures(behaviour: Behaviour) -> list[Figure]:
    """The figures of episodes of a policy, with those of the shown baselines."""
    assert isinstance(behaviour.config, Config)
    played = {"this policy": behaviour.episodes, **behaviour.baselines}
    return [
        failures_over_actions(played),
        states_over_actions(played),
        states_visited(behaviour.episodes),
        equal_budget(played, behaviour.config),
        controls_used(played),
        reward_terms(played),
        *([by_agent(behaviour.episodes, behaviour.config)] if behaviour.config.testers > 1 else []),
    ]


def running_mean(episodes: Episodes, fact: str) -> np.ndarray:
    """Mean over episodes of the sum of a fact over the first 0, 1, 2, … actions, `[T + 1]`."""
    longest = int(episodes.lengths.max())
    first = np.cumsum([0, *episodes.lengths[:-1]])
    step = np.arange(len(episodes.episode)) - first[episodes.episode]
    totals = np.bincount(step, weights=episodes.outcome[fact].astype(np.float64), minlength=longest)
    return np.concatenate([[0.0], np.cumsum(totals)]) / len(episodes)


def failures_over_actions(played: Mapping[str, Episodes]) -> Figure:
    """Unique failures found by the first actions of an episode."""
    means = {name: running_mean(episodes, "new_failures") for name, episodes in played.items()}
    return _over_actions("Failures over actions", "Mean unique failures of a build", means)


def states_over_actions(played: Mapping[str, Episodes]) -> Figure:
    """Unique states seen by the first actions of an episode, the start page counted."""
    means = {name: 1.0 + running_mean(episodes, "new_state") for name, episodes in played.items()}
    return _over_actions("States over actions", "Mean unique states of a build", means)


def _over_actions(title: str, what: str, means: Mapping[str, np.ndarray]) -> Figure:
    series = [
        charts.Series(name, np.arange(len(mean)), mean, colour=colour)
        for colour, (name, mean) in enumerate(means.items(), 1)
    ]
    ends = ", ".join(f"{line.label} {number(float(line.y[-1]), 3)}" for line in series)
    summary = f"{what}, by actions taken. At the end: {ends}."
    chart = charts.curves(series, summary, x_label="actions")
    return Figure(title, summary, chart, charts.legend([(s.label, s.colour) for s in series]))


def states_visited(episodes: Episodes) -> Figure:
    """Which states the first build's episode went through: a new one is one higher than all before."""
    states = np.concatenate([[0], episodes.outcome["state"][episodes.episode == 0]])
    summary = (
        "The state after each action of this policy in one build, numbered in the order of its first visit. The line "
        "rises at new states, and falls when the policy goes back."
    )
    chart = charts.curves([charts.Series("this policy", np.arange(len(states)), states)], summary, x_label="actions")
    return Figure("Map of states visited", summary, chart)


def equal_budget(played: Mapping[str, Episodes], config: Config) -> Figure:
    """All metrics of the same builds whose facts are there, at the same number of actions."""
    facts = set.intersection(*(set(episodes.outcome) for episodes in played.values()))
    rows = [
        [Cell(metric.name.replace("_", " ")), *(_value(metric, episodes, config) for episodes in played.values())]
        for metric in METRICS
        if facts.issuperset(metric.needs)
    ]
    caption = f"Means of the same builds, at {config.max_actions} actions each."
    return Figure("At an equal number of actions", caption, header=("Metric", *played), rows=rows)


# Kinds of controls whose shares are shown, and their roles.
_CONTROLS = {"links and buttons": ("link", "button"), "fields": tuple(VALUES_OF), "submits": ("submit",)}
_CONTROLS |= {"back and start page": ("browser",)}
_FOUND = {"new states": "new_state", "new failures": "new_failures", "duplicates": "duplicate"}


def _kinds_of(episodes: Episodes) -> dict[str, np.ndarray]:
    """Kind of control -> whether an action used one, bool `[S]`."""
    roles = episodes.outcome["role"]
    return {name: np.isin(roles, [ROLES.index(role) for role in used]) for name, used in _CONTROLS.items()}


def controls_used(played: Mapping[str, Episodes]) -> Figure:
    """The share of actions that used each kind of control."""
    kinds = {policy: _kinds_of(episodes) for policy, episodes in played.items()}
    rows = [[Cell(name), *(Cell(share=float(used[name].mean())) for used in kinds.values())] for name in _CONTROLS]
    caption = "Share of the actions by the kind of control. Filling a field is one action."
    return Figure("Controls used", caption, header=("Control", *played), rows=rows)


def by_agent(episodes: Episodes, config: Config) -> Figure:
    """What each of several testers found, and the kinds of controls that it used."""
    first = np.cumsum([0, *episodes.lengths[:-1]])
    turn = (np.arange(len(episodes.episode)) - first[episodes.episode]) % config.testers
    columns = {name: episodes.outcome[fact] for name, fact in _FOUND.items()}
    kinds = _kinds_of(episodes)
    rows = []
    for tester in range(config.testers):
        own = turn == tester
        found = [Cell(number(float(values[own].sum()) / len(episodes), 3)) for values in columns.values()]
        shares = [Cell(share=float(used[own].mean())) for used in kinds.values()]
        rows.append([Cell(f"{tester + 1}, {task_of_turn(tester)}"), *found, *shares])
    caption = "Means of a build, and the share of each agent's actions by the kind of control."
    return Figure("By agent", caption, header=("Agent", *_FOUND, *kinds), rows=rows)


def _value(metric: Metric, episodes: Episodes, config: Config) -> Cell:
    try:
        return Cell(number(metric.compute(episodes, config), 3))
    except MetricUndefined:  # such as the share of defects where none is known
        return Cell("not known")


def reward_terms(played: Mapping[str, Episodes]) -> Figure:
    """The sum of each term of the composite reward over an episode, before its weight."""
    rows = []
    for name, term in TERMS.items():
        values = {policy: term()(episodes.outcome) for policy, episodes in played.items()}
        means = [float(values[policy].sum()) / len(episodes) for policy, episodes in played.items()]
        rows.append([Cell(name), *(Cell(number(mean, 3)) for mean in means)])
    caption = "Mean sum over an episode of each term of the composite reward, from 0 to 1 per step, before its weight."
    return Figure("Reward terms", caption, header=("Term", *played), rows=rows)
