"""Plain features of a prompt: its size, the parts it has, and facts of its task."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.prompt.tasks.task import CATEGORIES, Task
from rl_eval.domains.prompt.text.parts import PARTS, parse

PART_FEATURES = tuple(f"has_{part}" for part in PARTS)
PROMPT_FEATURES = (
    "log_characters", "log_words", "log_lines",
    *PART_FEATURES,
    "examples", "names_labels",
    "task_labels", "task_label_length", "task_item_length",
)  # fmt: skip


# Those that mutations change for sure where they change anything.
MOVED_FEATURES = ("has_context", "has_details", "has_steps", "has_constraints", "has_fallback", "has_examples")


def category_columns(task: Task | None) -> np.ndarray:
    """1 in the column of the category of a task, `other` without one, float32 `[C]`."""
    return np.array([name == ("other" if task is None else task.category) for name in CATEGORIES], np.float32)


def prompt_features(text: str, task: Task | None) -> np.ndarray:
    """The features `PROMPT_FEATURES` of one prompt, float32, each of the size of 1; those of no task are 0."""
    parts = parse(text)
    lower = text.lower()
    labels = () if task is None else task.labels
    items = () if task is None else task.train
    return np.array(
        [
            np.log1p(len(text)) / 8,
            np.log1p(len(text.split())) / 6,
            np.log1p(text.count("\n")) / 3,
            *(float(bool(getattr(parts, part))) for part in PARTS),
            np.log1p(len(parts.examples)) / 2,
            sum(label.lower() in lower for label in labels) / max(len(labels), 1),
            np.log2(max(len(labels), 1)) / 3,
            sum(map(len, labels)) / max(len(labels), 1) / 16,
            np.log1p(sum(len(item.text) for item in items) / max(len(items), 1)) / 6,
        ],
        np.float32,
    )
