"""Collecting the scores of many prompts: which ones, and one after another into a file that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from rl_eval.domains.prompt.scoring.scores import Score, ScoreTable, append, prompt_hash
from rl_eval.domains.prompt.tasks.starts import starts
from rl_eval.domains.prompt.tasks.task import Task
from rl_eval.domains.prompt.text.mutations import MUTATIONS, reachable

Job = tuple[str, Task]  # a prompt, and the task whose items score it


class PromptScorer(Protocol):
    """A language model that scores prompts.

    Attributes:
        hash: 16 hexadecimal digits that name it in a table.
        name: for people.
    """

    hash: str
    name: str

    def score(self, prompt: str, task: Task) -> Score:
        """The score of a prompt on the test items of a task.

        Raises:
            InputError: the model cannot score it.
        """


def jobs_of(tasks: Iterable[Task]) -> list[Job]:
    """Every prompt that mutations make of the start prompts of tasks, once each.

    Start prompts with no mutation or one come first, since they tell most. Within a start prompt the order is that of
    the texts, so that neighbours share their beginning.
    """
    by_start = [(task, reachable(start.text, task)) for task in tasks for start in starts(task)]
    few = [0, *(1 << i for i in range(len(MUTATIONS)))]
    chosen = [(prompt, task) for task, prompts in by_start for prompt in sorted({prompts[mask] for mask in few})]
    chosen += [(prompt, task) for task, prompts in by_start for prompt in sorted(set(prompts))]
    return list(dict.fromkeys(chosen))


def missing(jobs: Sequence[Job], table: ScoreTable, model: str) -> list[Job]:
    """Those that a table has no score of by a model."""
    return [(prompt, task) for prompt, task in jobs if not table.holds(prompt, task, model)]


def collect(path: Path, model: PromptScorer, jobs: Sequence[Job], report: Callable[[int], None]) -> None:
    """Score prompts one after another and append each score to a file of JSON lines.

    Args:
        report: is called with the number of scores made so far.

    Raises:
        InputError: the model cannot score a prompt, or the file cannot be written.
    """
    for number, (prompt, task) in enumerate(jobs, 1):
        key = (prompt_hash(prompt), task.item_set_hash(), model.hash)
        append(path, [(key, model.score(prompt, task))], {model.hash: model.name})
        report(number)
