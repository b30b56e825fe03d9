"""`rl-eval prompt score`: the table of scores, by one process or several."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from pathlib import Path

from rl_eval.domains.prompt.commands.inputs import read_tasks
from rl_eval.domains.prompt.scoring.collect import collect, jobs_of, missing
from rl_eval.domains.prompt.scoring.language_model import LanguageModel, model_hash
from rl_eval.domains.prompt.scoring.scores import ScoreTable
from rl_eval.domains.prompt.tasks.embedded import embedded_tasks
from rl_eval.domains.prompt.tasks.task import Task, with_items
from rl_eval.errors import InputError
from rl_eval.extras import require_extra
from rl_eval.formatting import quantity
from rl_eval.terminal import ProgressLine, print_line

_POLL_S = 0.25


@dataclass(frozen=True)
class Chosen:
    """Which tasks are scored, and on how many items.

    Attributes:
        folder: of tasks; None: the embedded ones.
        items: of each task at most; None: all test items.
    """

    folder: Path | None
    items: int | None

    def tasks(self) -> tuple[Task, ...]:
        """The tasks.

        Raises:
            InputError: the folder has none, or a damaged one.
        """
        tasks = embedded_tasks() if self.folder is None else read_tasks(self.folder)
        return tasks if self.items is None else tuple(with_items(task, self.items) for task in tasks)

    def options(self) -> str:
        """As they are typed."""
        folder = "" if self.folder is None else f" --tasks {self.folder.name}"
        return folder + ("" if self.items is None else f" --items {self.items}")


def score_tasks(model: Path, chosen: Chosen, out: Path, *, compact: Path | None, workers: int) -> None:
    """Score what is missing, and say what the table holds.

    Raises:
        InputError: bad input, or a missing extra.
    """
    tasks = chosen.tasks()
    digest = model_hash(model)
    jobs = jobs_of(tasks)
    table = ScoreTable.load(out) if out.exists() else ScoreTable()
    todo = missing(jobs, table, digest)
    if todo:
        require_extra("llm", "scoring with a language model", "xllamacpp")
        workers = min(workers, len(todo))
        with ProgressLine(len(todo), f"scores by {model.name}", unit="prompts") as progress:
            if workers == 1:
                collect(out, LanguageModel(model), todo, progress.update)
            else:
                _in_processes(model, chosen, out, workers, progress)
    table = ScoreTable.load(out)
    print_line(
        f"{out} has the scores of {quantity(len(jobs), 'prompt')} of {quantity(len(tasks), 'task')} by {model.name}"
    )
    if compact is not None:
        names = sorted(table.models.values())
        table.command = " && ".join(f"rl-eval prompt score --model {name}{chosen.options()}" for name in names)
        table.write(compact)
        print_line(f"{compact} has all {quantity(len(table.scores), 'score')} by {' and '.join(names)}")


def _in_processes(model: Path, chosen: Chosen, out: Path, workers: int, progress: ProgressLine) -> None:
    context = multiprocessing.get_context("spawn")
    reports: Queue[str | None] = context.Queue()
    processes = [
        context.Process(target=_work, args=(model, chosen, out, index, workers, reports), daemon=True)
        for index in range(workers)
    ]
    try:
        for process in processes:
            process.start()
        _follow(processes, reports, progress)
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
            process.join()


def _follow(processes: Sequence[BaseProcess], reports: Queue[str | None], progress: ProgressLine) -> None:
    done = 0
    while True:
        is_over = not any(process.is_alive() for process in processes)
        try:
            error = reports.get(timeout=_POLL_S)
        except queue.Empty:
            if is_over:
                break
            progress.update(done)
            continue
        if error is not None:
            raise InputError(error)
        done += 1
        progress.update(done)
    if any(process.exitcode for process in processes):
        raise InputError("a process that scored prompts ended early: run the command again, it goes on from there")


def _work(model: Path, chosen: Chosen, out: Path, index: int, workers: int, reports: Queue[str | None]) -> None:
    """In a process of its own: every so many-th of the missing prompts."""
    try:
        tasks = chosen.tasks()
        language_model = LanguageModel(model)
        table = ScoreTable.load(out) if out.exists() else ScoreTable()
        todo = missing(jobs_of(tasks)[index::workers], table, language_model.hash)
        collect(out, language_model, todo, lambda _: reports.put(None))
    except InputError as error:
        reports.put(str(error))
    except KeyboardInterrupt:
        pass
