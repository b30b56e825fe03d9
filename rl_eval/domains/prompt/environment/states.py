"""All prompts that can be reached from the starts of some tasks: texts and legal mutations, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rl_eval.domains.prompt.tasks.starts import starts
from rl_eval.domains.prompt.tasks.task import Task
from rl_eval.domains.prompt.text.mutations import MUTATIONS, reachable

STATES = 2 ** len(MUTATIONS)  # of a start: each mutation is applied or not
APPLIED = (np.arange(STATES)[:, None] >> np.arange(len(MUTATIONS))) & 1 == 1  # bool [32, 5]


@dataclass(frozen=True)
class PromptStates:
    """S start prompts of some tasks, with 32 prompts each: state m has the mutations whose bits are set in m.

    Attributes:
        tasks: the tasks, K.
        task: int `[S]` which task each start is of.
        kinds: `[S]` terse, padded, …
        texts: `[S][32]`.
        legal: bool `[S, 32, 5]` whether a mutation is not applied yet and changes the text.
        can_reach: bool `[S, 32]` whether legal mutations are enough to get from the start to a state.
    """

    tasks: tuple[Task, ...]
    task: np.ndarray = field(repr=False)
    kinds: tuple[str, ...] = field(repr=False)
    texts: tuple[tuple[str, ...], ...] = field(repr=False)
    legal: np.ndarray = field(repr=False)
    can_reach: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.texts)


def prompt_states(tasks: Sequence[Task]) -> PromptStates:
    """The starts of tasks and everything reachable from them; a second or so for a thousand prompts."""
    rows = [(index, start) for index, task in enumerate(tasks) for start in starts(task)]
    texts = tuple(reachable(start.text, tasks[index]) for index, start in rows)
    legal = np.array([_legal(states) for states in texts], bool).reshape(-1, STATES, len(MUTATIONS))
    return PromptStates(
        tuple(tasks),
        np.array([index for index, _ in rows], np.int64),
        tuple(start.kind for _, start in rows),
        texts,
        legal,
        _can_reach(legal),
    )


def _legal(texts: Sequence[str]) -> list[list[bool]]:
    return [
        [not state >> bit & 1 and texts[state | 1 << bit] != texts[state] for bit in range(len(MUTATIONS))]
        for state in range(STATES)
    ]


def _can_reach(legal: np.ndarray) -> np.ndarray:
    reached = np.zeros(legal.shape[:2], bool)
    reached[:, 0] = True
    for state in range(STATES):  # a mutation leads to a larger number
        for bit in range(legal.shape[2]):
            if not state >> bit & 1:
                reached[:, state | 1 << bit] |= reached[:, state] & legal[:, state, bit]
    return reached
