"""Where tasks and scores come from: the package, or a folder of tasks and a table of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rl_eval.domains.base import Part
from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.environment.language_models import NamedModel, feedback_of, judge_of, model_files
from rl_eval.domains.prompt.scoring.scores import ScoreTable, embedded_scores
from rl_eval.domains.prompt.tasks.embedded import PARTS, embedded_part
from rl_eval.domains.prompt.tasks.task import Task, read_task, with_items
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief, escape_controls

# Begin the names of the models of the embedded table; they are of two families.
FEEDBACK, JUDGE = "gemma", "smollm2"
_TASK_FILES = ("task.json", "train.csv", "test.csv")


@dataclass(frozen=True)
class Source:
    """Tasks of each part, and the scores of their prompts.

    Attributes:
        feedback: hash of the language model whose scores the reward model learns.
        judge: hash of the language model whose scores judge.
        scorers: those of the two that score what the table lacks.
    """

    tasks: Mapping[Part, tuple[Task, ...]]
    scores: ScoreTable = field(repr=False)
    feedback: str
    judge: str
    scorers: tuple[NamedModel, ...] = ()


def files(config: Config) -> tuple[Path, ...]:
    """The files that a config reads; none for the embedded tasks.

    Raises:
        InputError: a path that is not named or does not exist.
    """
    if config.tasks == "embedded":
        return ()
    folders = _folders(config)
    scores = table_file(config)
    return (*(folder / name for folder in folders for name in _TASK_FILES), *([scores] if scores.exists() else []))


def table_file(config: Config) -> Path:
    """Where the scores are, or will be where a language model that the config names makes them.

    Raises:
        InputError: the config names no file, or one that does not exist and that nothing makes.
    """
    if config.scores is not None and (model_files(config) or config.judge.base_url is not None):
        return Path(config.scores)
    return _existing(config.scores, "scores")


def load_source(config: Config) -> Source:
    """The tasks and scores of a config.

    Raises:
        InputError: data that is missing or damaged, or a model that the table does not have.
    """
    if config.tasks == "embedded":
        scores = embedded_scores()
        tasks: dict[Part, tuple[Task, ...]] = {part: embedded_part(part) for part in PARTS}
        return Source(tasks, scores, _model(scores, FEEDBACK), _model(scores, JUDGE))
    files(config)
    tasks = _split(tuple(_with_items(config, read_task(folder)) for folder in _folders(config)), config)
    out = table_file(config)
    scores = ScoreTable.load(out) if out.exists() else ScoreTable()
    models = feedback_of(config, scores), judge_of(config, scores)
    if models[0].hash == models[1].hash:
        raise InputError(
            f"env.feedback and env.judge.model are the same language model, {escape_controls(str(config.feedback))}: "
            "a judge must not train, so name another one"
        )
    return Source(tasks, scores, models[0].hash, models[1].hash, tuple(model for model in models if model.can_score))


def _with_items(config: Config, task: Task) -> Task:
    """A task with the test items that the config asks for."""
    return task if config.items is None else with_items(task, config.items)


def _folders(config: Config) -> list[Path]:
    path = _existing(config.path, "path")
    folders = _task_folders(path) or _task_folders(path / "tasks")
    if not folders:
        raise InputError(
            f"env.path={escape_controls(str(path))} and its folder tasks have no folder with a task.json: "
            "name a folder of tasks"
        )
    return folders


def _task_folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if (folder / "task.json").is_file()) if path.is_dir() else []


def _existing(path: str | None, key: str) -> Path:
    if path is None:
        raise InputError(f"env.tasks=folder needs env.{key}: give its path")
    if not Path(path).exists():
        raise InputError(f"env.{key}={path} does not exist: give its path")
    return Path(path)


def _split(tasks: Sequence[Task], config: Config) -> dict[Part, tuple[Task, ...]]:
    """Whole tasks for validation and test, as the config names them; the others train."""
    by_name = {task.name: task for task in tasks}
    if len(by_name) < len(tasks):
        raise InputError(f"two tasks at env.path={config.path} have the same name: rename one")
    held_out: dict[str, Part] = {}
    keys: tuple[tuple[str, Part], ...] = (("validation_tasks", "validation"), ("test_tasks", "test"))
    for key, part in keys:
        for name in getattr(config, key):
            if name not in by_name:
                raise InputError(
                    f"env.{key} names {brief(repr(name), 80)}, which does not exist: {nearest(name, by_name)}the "
                    f"tasks are {', '.join(by_name)}"
                )
            if name in held_out:
                raise InputError(
                    f"the task {name!r} is named twice among validation_tasks and test_tasks: name it once"
                )
            held_out[name] = part
    parts: tuple[Part, ...] = ("train", "validation", "test")
    return {part: tuple(task for task in tasks if held_out.get(task.name, "train") == part) for part in parts}


def _model(scores: ScoreTable, name: str) -> str:
    """The hash of a model of the embedded table, by the beginning of its name."""
    (digest,) = (digest for digest, full in scores.models.items() if full.lower().startswith(name))
    return digest
