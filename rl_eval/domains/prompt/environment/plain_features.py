"""Plain features of a prompt: its size, the parts it has, and facts of its task."""

from __future__ import annotations

import re

import numpy as np

from rl_eval.domains.prompt.tasks.task import CATEGORIES, Task
from rl_eval.domains.prompt.text.parts import PARTS, PromptParts, parse

PART_FEATURES = tuple(f"has_{part}" for part in PARTS)
PROMPT_FEATURES = (
    "log_characters", "log_words", "log_lines",
    *PART_FEATURES,
    "examples", "names_labels", "needs_context", "outdated_context",
    "task_labels", "task_label_length", "task_item_length",
)  # fmt: skip

# Words of a sentence that sends the reader to what the prompt shows, and of one that says not to trust it.
_REFERENCE = re.compile(
    r"\b(list|table|sheet|chart|catalogue|directory|glossary|guide|notes?|look(ed)? (it |them )?up|according to|"
    r"(above|below|following|attached))\b",
    re.IGNORECASE,
)
_OUTDATED = re.compile(
    r"\b(wrong|incorrect|outdated|obsolete|out of date|no longer|not (valid|used|true|correct)|former|formerly|old|"
    r"previous|last year|expired|ignore|superseded|replaced)\b",
    re.IGNORECASE,
)

# Those that mutations change for sure where they change anything.
MOVED_FEATURES = (
    "has_context", "has_details", "has_steps", "has_constraints", "has_fallback", "has_examples",
    "needs_context", "outdated_context",
)  # fmt: skip
# Those that the reward model predicts by.
SCORED_FEATURES = (*PART_FEATURES, "names_labels", "needs_context", "outdated_context")


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
            *_context_features(parts),
            np.log2(max(len(labels), 1)) / 3,
            sum(map(len, labels)) / max(len(labels), 1) / 16,
            np.log1p(sum(len(item.text) for item in items) / max(len(items), 1)) / 6,
        ],
        np.float32,
    )


def _context_features(parts: PromptParts) -> tuple[float, float]:
    """Whether the prompt sends the reader to its context, and whether it says that the context is not valid."""
    context = "\n".join(parts.context)
    instructed = (parts.context, parts.task, parts.details, parts.output_format)
    outdated = _OUTDATED.search(context) is not None
    referred = any(_REFERENCE.search(segment) for part in instructed for segment in part)
    return float(bool(context) and referred and not outdated), float(outdated)
