"""`rl-eval prompt init-task`: a task folder from a CSV of items."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from rl_eval.domains.prompt.tasks.task import (
    MAX_LABELS,
    Item,
    Task,
    build_task,
    distinct_items,
    read_items,
    refuse_two_labels,
)
from rl_eval.errors import InputError
from rl_eval.formatting import escape_controls, quantity
from rl_eval.terminal import print_line

LEAST_PER_LABEL = 3
TRAIN_SHARE = 0.4


def make_task(source: Path, folder: Path, instruction: str | None, category: str, seed: int = 0) -> Task:
    """Split items into train and test, each label in proportion, and write the folder whole or not at all.

    Raises:
        InputError: a CSV that cannot be read, one text with two labels, too few items of a label, or a folder that
            exists.
    """
    where = escape_controls(str(source))
    items = read_items(source)
    labels = list(dict.fromkeys(item.label for item in items))
    if not 2 <= len(labels) <= MAX_LABELS:
        raise InputError(f"{where} has {quantity(len(labels), 'label')}: use 2 to {MAX_LABELS}")
    refuse_two_labels([(f"row {number}", item) for number, item in enumerate(items, 1)], where)
    distinct = distinct_items(items)
    train, test = _split(distinct, labels, where, seed)
    content = {
        "name": folder.name,
        "category": category,
        "labels": labels,
        "instruction": instruction or f"Choose the right label: {', '.join(labels[:-1])} or {labels[-1]}.",
    }
    task = build_task(content, train, test, where=where)
    if folder.exists():
        raise InputError(f"{escape_controls(str(folder))} exists: name a new folder with --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".task-") as temporary:
            made = Path(temporary) / "task"
            made.mkdir()
            (made / "task.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            for part, rows in (("train", train), ("test", test)):
                (made / f"{part}.csv").write_text(_to_csv(rows), encoding="utf-8", newline="")
            shutil.move(made, folder)
    except OSError as error:
        raise InputError(f"{escape_controls(str(folder))} cannot be written ({error.strerror})") from error
    if len(distinct) < len(items):
        print_line(f"note: {quantity(len(items) - len(distinct), 'row')} of {where} repeat others and count once")
    return task


def _split(distinct: list[Item], labels: list[str], where: str, seed: int) -> tuple[list[Item], list[Item]]:
    """Of each label about `TRAIN_SHARE` for train."""
    random = np.random.default_rng(seed)
    train: list[Item] = []
    test: list[Item] = []
    for label in labels:
        own = [item for item in distinct if item.label == label]
        if len(own) < LEAST_PER_LABEL:
            raise InputError(
                f"{where} has {quantity(len(own), 'different item')} of the label {label!r}: "
                f"use at least {LEAST_PER_LABEL} of each label"
            )
        shuffled = [own[i] for i in random.permutation(len(own))]
        cut = max(1, round(TRAIN_SHARE * len(own)))
        train += shuffled[:cut]
        test += shuffled[cut:]
    return train, test


def _to_csv(items: list[Item]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["text", "label"])
    writer.writerows([item.text, item.label] for item in items)
    return text.getvalue()
