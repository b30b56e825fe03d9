"""Metrics of testing web applications: failures and defects found, states seen, and what was wasted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.metrics import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes


def _mean(values: np.ndarray, name: str) -> float:
    values = values[~np.isnan(values)]
    if not len(values):
        raise MetricUndefined(f"no episode that was played has a {name}: play an application with known defects")
    return float(values.mean())


def _share_found(episodes: Episodes, config: Any) -> np.ndarray:
    """`[E]` share of the seeded defects that an episode found; NaN if none is on."""
    ends = episodes.outcome["episode_end"]
    seeded = episodes.outcome["defects"][ends].astype(np.float64)
    detected = episodes.per_episode("defects_found")
    return np.divide(detected, seeded, out=np.full(len(seeded), np.nan), where=seeded > 0)


_NEEDS = ("defects", "defects_found", "episode_end")


@metric(
    "task", needs=_NEEDS, better="higher", variable=_share_found, undefined_units=True, bounds=lambda config: (0.0, 1.0)
)
def defects_found(episodes: Episodes, config: Any) -> float:
    """Mean over builds of the share of their seeded defects that were found."""
    return _mean(_share_found(episodes, config), "seeded defect")


def _false(episodes: Episodes, config: Any) -> np.ndarray:
    return episodes.per_episode("false_failures") > 0


@metric("task", needs=("false_failures",), better="lower", variable=_false, bounds=lambda config: (0.0, 1.0))
def false_failure_rate(episodes: Episodes, config: Any) -> float:
    """Share of episodes with a false alarm: a reported failure that is not one."""
    return float(_false(episodes, config).mean())


def _per_action(name: str) -> Any:
    def values(episodes: Episodes, config: Any) -> np.ndarray:
        """`[E]` the sum over an episode, for each action that it may take."""
        return episodes.per_episode(name) / config.max_actions

    return values


_states, _duplicates = _per_action("new_state"), _per_action("duplicate")


@metric("task", needs=("new_state",), better="higher", variable=_states, bounds=lambda config: (0.0, 1.0))
def states_per_action(episodes: Episodes, config: Any) -> float:
    """Mean number of states that were never seen before, per action."""
    return float(_states(episodes, config).mean())


@metric("task", needs=("duplicate",), better="lower", variable=_duplicates, bounds=lambda config: (0.0, 1.0))
def duplicate_share(episodes: Episodes, config: Any) -> float:
    """Mean share of actions that caused nothing new."""
    return float(_duplicates(episodes, config).mean())


@metric("task", needs=("new_failures",), better="higher")
def unique_failures(episodes: Episodes, config: Any) -> float:
    """Mean number of failures found in an episode, unique by site."""
    return float(episodes.per_episode("new_failures").mean())


@metric("task", needs=("new_state",), better="higher")
def unique_states(episodes: Episodes, config: Any) -> float:
    """Mean number of states seen in an episode, the start page counted."""
    return 1.0 + float(episodes.per_episode("new_state").mean())


@metric("task", needs=("new_transition",), better="higher")
def transitions(episodes: Episodes, config: Any) -> float:
    """Mean number of different transitions taken in an episode."""
    return float(episodes.per_episode("new_transition").mean())


@metric("task", needs=("new_failures",), better="lower")
def steps_to_first_failure(episodes: Episodes, config: Any) -> float:
    """Mean number of actions up to the first failure; one more than the episode has, where it finds none."""
    return float(first_failures(episodes).mean())


def first_failures(episodes: Episodes) -> np.ndarray:
    """`[E]` actions up to the first failure; one more than the episode has, where it finds none."""
    first = np.cumsum([0, *episodes.lengths[:-1]])
    step = np.arange(len(episodes.episode)) - first[episodes.episode] + 1
    result = episodes.lengths + 1
    found = episodes.outcome["new_failures"] > 0
    np.minimum.at(result, episodes.episode[found], step[found])
    return result


FEW = 3  # defects


def _actions_to_three(episodes: Episodes, config: Any) -> np.ndarray:
    """`[E]` actions up to the third seeded defect; all actions that an episode may take where it finds fewer."""
    first = np.cumsum([0, *episodes.lengths[:-1]])
    total = np.cumsum(episodes.outcome["defects_found"])
    before = np.concatenate([[0], total])[first]
    reached = total - before[episodes.episode] >= FEW
    step = np.arange(len(episodes.episode)) - first[episodes.episode] + 1
    result = np.full(len(episodes.lengths), config.max_actions)
    np.minimum.at(result, episodes.episode[reached], step[reached])
    return result.astype(np.float64)


@metric(
    "task",
    needs=("defects_found",),
    better="lower",
    variable=_actions_to_three,
    bounds=lambda config: (0.0, float(config.max_actions)),
)
def actions_to_three_defects(episodes: Episodes, config: Any) -> float:
    """Mean number of actions up to the third seeded defect; an episode that finds fewer counts with all its actions."""
    return float(_actions_to_three(episodes, config).mean())


@metric("task", needs=("branches", "episode_end"), better="higher", bounds=lambda config: (0.0, 1.0))
def branch_coverage(episodes: Episodes, config: Any) -> float:
    """Mean share of the server's branches that ran, without those that the first page takes."""
    return float(episodes.outcome["branches"][episodes.outcome["episode_end"]].mean())


METRICS = (
    defects_found,
    false_failure_rate,
    states_per_action,
    duplicate_share,
    unique_failures,
    unique_states,
    transitions,
    steps_to_first_failure,
    actions_to_three_defects,
    branch_coverage,
)
