"""The task sets that come with the package: short items of our own making, split by task."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

from rl_eval.domains.prompt.tasks.task import Item, Task, build_task

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


@lru_cache(maxsize=1)
def embedded_tasks() -> tuple[Task, ...]:
    """All embedded tasks, by name."""
    return tuple(task for task, _ in _all())


def embedded_part(part: Part) -> tuple[Task, ...]:
    """The embedded tasks of one part; no task is in two."""
    return tuple(task for task, content in _all() if content["part"] == part)


def embedded_starts(task: Task) -> tuple[tuple[str, str], ...] | None:
    """Text and kind of each start prompt written for an embedded task; None for any other task."""
    for own, content in _all():
        if own == task:
            return tuple((start["text"], start["kind"]) for start in content["starts"])
    return None


@lru_cache(maxsize=1)
def _all() -> tuple[tuple[Task, dict[str, Any]], ...]:
    folder = resources.files("rl_eval.domains.prompt.tasks") / "embedded"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return tuple(
        (
            build_task(
                content,
                [Item(*item) for item in content["train"]],
                [Item(*item) for item in content["test"]],
                where=file.name,
            ),
            content,
        )
        for file, content in zip(files, contents, strict=True)
    )
