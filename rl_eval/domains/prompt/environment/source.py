"""Where tasks and scores come from: the package, or a folder of tasks and a table of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rl_eval.domains.base import Part
from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.scoring.scores import ScoreTable, embedded_scores
from rl_eval.domains.prompt.tasks.embedded import PARTS, embedded_part
from rl_eval.domains.prompt.tasks.task import Task, read_task
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief

# Begin the names of the models of the embedded table; they are of two families.
FEEDBACK, JUDGE = "smollm2", "gemma"
_TASK_FILES = ("task.json", "train.csv", "test.csv")


@dataclass(frozen=True)
class Source:
    """Tasks of each part, and the scores of their prompts.

    Attributes:
        feedback: hash of the language model whose scores the reward model learns.
        judge: hash of the language model whose scores judge.
    """

    tasks: Mapping[Part, tuple[Task, ...]]
    scores: ScoreTable = field(repr=False)
    feedback: str
    judge: str


def files(config: Config) -> tuple[Path, ...]:
    """The files that a config reads; none for the embedded tasks.

    Raises:
        InputError: a path that is not named or does not exist.
    """
    if config.tasks == "embedded":
        return ()
    folders = _folders(config)
    return (*(folder / name for folder in folders for name in _TASK_FILES), _existing(config.scores, "scores"))


def load_source(config: Config) -> Source:
    """The tasks and scores of a config.

    Raises:
        InputError: data that is missing or damaged, or a model that the table does not have.
    """
    if config.tasks == "embedded":
        scores = embedded_scores()
        tasks: dict[Part, tuple[Task, ...]] = {part: embedded_part(part) for part in PARTS}
        return Source(tasks, scores, _model(scores, FEEDBACK, "feedback"), _model(scores, JUDGE, "judge"))
    files(config)
    if config.feedback is None or config.judge is None:
        missing = "feedback" if config.feedback is None else "judge"
        raise InputError(f"env.tasks=folder needs env.{missing}: name a language model of the table at env.scores")
    tasks = _split(tuple(read_task(folder) for folder in _folders(config)), config)
    scores = ScoreTable.load(_existing(config.scores, "scores"))
    return Source(tasks, scores, _model(scores, config.feedback, "feedback"), _model(scores, config.judge, "judge"))


def _folders(config: Config) -> list[Path]:
    path = _existing(config.path, "path")
    folders = sorted(folder for folder in path.iterdir() if (folder / "task.json").is_file()) if path.is_dir() else []
    if not folders:
        raise InputError(f"env.path={path} has no folder with a task.json: name a folder of tasks")
    return folders


def _existing(path: str | None, key: str) -> Path:
    if path is None:
        raise InputError(f"env.tasks=folder needs env.{key}: name where it lies")
    if not Path(path).exists():
        raise InputError(f"env.{key}={path} does not exist: name where it lies")
    return Path(path)


def _split(tasks: Sequence[Task], config: Config) -> dict[Part, tuple[Task, ...]]:
    """Whole tasks for validation and test, as the config names them; the others train."""
    by_name = {task.name: task for task in tasks}
    if len(by_name) < len(tasks):
        raise InputError(f"two tasks at env.path={config.path} have one name: give each its own")
    held_out: dict[str, Part] = {}
    keys: tuple[tuple[str, Part], ...] = (("validation_tasks", "validation"), ("test_tasks", "test"))
    for key, part in keys:
        for name in getattr(config, key):
            if name not in by_name:
                raise InputError(
                    f"env.{key} names {brief(repr(name), 80)}, and there is no such task: {nearest(name, by_name)}"
                    f"the tasks are {', '.join(by_name)}"
                )
            if name in held_out:
                raise InputError(
                    f"the task {name!r} is named twice among validation_tasks and test_tasks: name it once"
                )
            held_out[name] = part
    parts: tuple[Part, ...] = ("train", "validation", "test")
    return {part: tuple(task for task in tasks if held_out.get(task.name, "train") == part) for part in parts}


def _model(scores: ScoreTable, name: str, key: str) -> str:
    """The hash of a model, named by its hash or by the beginning of its name."""
    hashes = [
        digest for digest, full in scores.models.items() if name == digest or full.lower().startswith(name.lower())
    ]
    if len(hashes) != 1:
        which = "no model" if not hashes else "several models"
        raise InputError(
            f"the table of scores has {which} {brief(repr(name), 80)} for env.{key}: "
            f"it has {', '.join(scores.models.values()) or 'none'}"
        )
    return hashes[0]
