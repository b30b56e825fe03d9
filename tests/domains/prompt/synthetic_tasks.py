"""Twelve tasks and a table of synthetic scores: what helps depends on the parts of a prompt and on its task."""

import hashlib

from rl_eval.domains.prompt.scoring.scores import Score
from rl_eval.domains.prompt.tasks.task import CATEGORIES, Item, Task
from rl_eval.domains.prompt.text.parts import parse

NAMES = ("weather", "mood", "sport", "fruit", "colour", "city", "river", "metal", "animal", "music", "speed", "shape")


def _task(name, index):
    labels = ("yes", "no") if index % 3 else ("low", "middle", "high")
    items = [Item(f"the {name} of day {day}", labels[day % len(labels)]) for day in range(12)]
    instruction = f"Decide what the {name} is: {', '.join(labels)}."
    return Task(name, CATEGORIES[index % 3], labels, instruction, tuple(items[:6]), tuple(items[6:]))


_ALL = tuple(_task(name, index) for index, name in enumerate(NAMES))
TASKS = {"train": _ALL[:7], "validation": _ALL[7:9], "test": _ALL[9:]}


def noise(*texts):
    """A number in [0, 1) that depends on the texts alone."""
    return int.from_bytes(hashlib.sha256("\0".join(texts).encode()).digest()[:4], "big") / 2**32


class SyntheticScores:
    """Examples help with three labels, constraints with two, steps hurt, context hurts; models differ by noise."""

    def get(self, prompt, task, model):
        parts = parse(prompt)
        worth = (0.4 if len(task.labels) == 3 else -0.1) * bool(parts.examples) - 0.2 * bool(parts.steps)
        worth += (0.3 if len(task.labels) == 2 else 0.05) * bool(parts.constraints) - 0.25 * bool(parts.context)
        nats = -1.2 + worth + 0.08 * noise(prompt, task.name, model)
        return Score(nats - 0.1, nats, 0.5 + 0.2 * worth, 0.5 + 0.25 * worth)
