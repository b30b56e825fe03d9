"""Report tables of prompts: before and after side by side, actions by category and kind of start, gain by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.environment.dataset import load_part
from rl_eval.domains.prompt.environment.states import PromptStates
from rl_eval.domains.prompt.reward_model.correlation import student_interval
from rl_eval.domains.prompt.tasks.starts import KINDS
from rl_eval.domains.prompt.tasks.task import CATEGORIES
from rl_eval.report.behaviour import Behaviour
from rl_eval.report.figure import Cell, Figure
from rl_eval.report.html_page import count, number
from rl_eval.rollout import Episodes

SHOWN_PROMPTS = 8
LONGEST_PROMPT = 2_000  # characters


def figures(behaviour: Behaviour) -> list[Figure]:
    """The tables of episodes of the validation part."""
    assert isinstance(behaviour.config, Config)
    prompts = load_part(behaviour.config, "validation")
    states = prompts.states
    episodes, names = behaviour.episodes, behaviour.action_names()
    kinds = {name: episodes.outcome["kind"] == index for index, name in enumerate(KINDS)}
    categories = {name: episodes.outcome["category"] == index for index, name in enumerate(CATEGORIES)}
    return [
        gain_by_task({"this policy": episodes, **behaviour.baselines}, states, prompts.task),
        action_shares(episodes, names, categories, "Actions by category of the task"),
        action_shares(episodes, names, kinds, "Actions by kind of start"),
        before_and_after(episodes, states),
    ]


def gain_by_task(played: Mapping[str, Episodes], states: PromptStates, numbers: np.ndarray) -> Figure:
    """Mean judge gain on each task with its interval over start prompts, for the policy and for baselines.

    Args:
        numbers: int `[S]`, the fact `task` of each start.
    """
    rows = []
    for index, task in enumerate(states.tasks):
        cells, number_of_task = [Cell(task.name)], numbers[states.task == index][0]
        for episodes in played.values():
            task_of_episode = episodes.outcome["task"][episodes.outcome["episode_end"]]
            gains = episodes.per_episode("judge_gain")[task_of_episode == number_of_task]
            cells.append(_mean_with_interval(gains))
        rows.append([*cells, Cell(count(int((states.task == index).sum())))])
    return Figure(
        title="Gain by task",
        caption="Mean judge gain of the last prompt over the start, in nats, with the 95 % interval over starts.",
        header=("Task", *played, "Starts"),
        rows=rows,
    )


def _mean_with_interval(gains: np.ndarray) -> Cell:
    if not len(gains):
        return Cell("not played")
    mean, low, high = student_interval(gains)
    return Cell(number(mean), f"{number(low)} to {number(high)}" if len(gains) > 1 else "")


def action_shares(episodes: Episodes, names: Sequence[str], groups: Mapping[str, np.ndarray], title: str) -> Figure:
    """Share of each action in groups of steps.

    Args:
        groups: name -> bool `[S]`, which steps are of the group; an empty group is not shown.
    """
    actions = episodes.outcome["action"].astype(np.int64)
    shares = {
        name: np.bincount(actions[steps], minlength=len(names)) / steps.sum()
        for name, steps in groups.items()
        if steps.any()
    }
    return Figure(
        title=title,
        caption="Share of each action among the steps; greedy policy.",
        header=("Action", *shares),
        rows=[
            [Cell(name), *(Cell(share=float(values[index])) for values in shares.values())]
            for index, name in enumerate(names)
        ],
        numeric=False,
    )


def before_and_after(episodes: Episodes, states: PromptStates) -> Figure:
    """Start and last prompt side by side: those that the judge finds most improved, and those it finds worst."""
    ends = episodes.outcome["episode_end"]
    start, state = episodes.outcome["start"][ends], episodes.outcome["state"][ends]
    gains = episodes.per_episode("judge_gain")
    order = np.argsort(-gains, kind="stable")
    if len(order) > SHOWN_PROMPTS:
        order = np.concatenate([order[: SHOWN_PROMPTS // 2], order[-(SHOWN_PROMPTS // 2) :]])
    rows = []
    for episode in order:
        texts, task = states.texts[start[episode]], states.tasks[states.task[start[episode]]]
        rows.append(
            [
                Cell(f"{task.name}, {states.kinds[start[episode]]}"),
                Cell(_shown(texts[0]), is_block=True),
                Cell(_shown(texts[state[episode]]), is_block=True),
                Cell(number(float(gains[episode]))),
            ]
        )
    return Figure(
        title="Prompts before and after",
        caption="The most and the least improved prompts by the judge's gain, in nats.",
        header=("Task and kind of start", "Before", "After", "Gain"),
        rows=rows,
        numeric=False,
    )


def _shown(text: str) -> str:
    return text if len(text) <= LONGEST_PROMPT else f"{text[:LONGEST_PROMPT]} …"
