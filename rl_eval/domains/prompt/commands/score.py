"""`rl-eval prompt score`: the table of scores, by one process or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_eval.domains.prompt.commands.inputs import read_tasks
from rl_eval.domains.prompt.scoring.collect import jobs_of, missing
from rl_eval.domains.prompt.scoring.language_model import model_hash
from rl_eval.domains.prompt.scoring.processes import collect_with_file
from rl_eval.domains.prompt.scoring.scores import ScoreTable
from rl_eval.domains.prompt.tasks.embedded import embedded_tasks
from rl_eval.domains.prompt.tasks.task import Task, with_items
from rl_eval.extras import require_extra
from rl_eval.formatting import quantity
from rl_eval.terminal import ProgressLine, print_line


@dataclass(frozen=True)
class Chosen:
    """Which tasks are scored, and on how many items.

    Attributes:
        folders: of tasks, or of one; none: the embedded ones.
        items: of each task at most; None: all test items.
    """

    folders: Sequence[Path]
    items: int | None

    def tasks(self) -> tuple[Task, ...]:
        """The tasks.

        Raises:
            InputError: a folder has none, or a damaged one.
        """
        tasks = [task for folder in self.folders for task in read_tasks(folder)] or embedded_tasks()
        return tuple(tasks) if self.items is None else tuple(with_items(task, self.items) for task in tasks)

    def options(self) -> str:
        """As they are typed."""
        folders = "".join(f" --tasks {folder.name}" for folder in self.folders)
        return folders + ("" if self.items is None else f" --items {self.items}")


def score_tasks(model: Path, chosen: Chosen, out: Path, *, compact: Path | None, workers: int) -> None:
    """Score what is missing, and say what the table holds.

    Raises:
        InputError: bad input, or a missing extra.
    """
    if compact is not None and compact.exists():
        ScoreTable.load(compact)  # refuse to overwrite another file before the work starts
    tasks = chosen.tasks()
    digest = model_hash(model)
    jobs = jobs_of(tasks)
    table = ScoreTable.load(out) if out.exists() else ScoreTable()
    todo = missing(jobs, table, digest)
    if todo:
        require_extra("llm", "scoring with a language model", "xllamacpp")
        with ProgressLine(len(todo), f"scores by {model.name}", unit="prompts") as progress:
            collect_with_file(out, model, todo, workers, progress.update)
    table = ScoreTable.load(out)
    print_line(
        f"{out} has the scores of {quantity(len(jobs), 'prompt')} of {quantity(len(tasks), 'task')} by {model.name}"
    )
    if compact is not None:
        names = sorted(table.models.values())
        table.command = " && ".join(f"rl-eval prompt score --model {name}{chosen.options()}" for name in names)
        table.write(compact)
        print_line(f"{compact} has all {quantity(len(table.scores), 'score')} by {' and '.join(names)}")
