"""`Task`: a classification task with its labels and items, and the reader of a task in a folder."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.formatting import brief, escape_controls, quantity
from rl_eval.untrusted_files import only_regular

MAX_FILE_BYTES = 4 << 20
MAX_ITEMS = 5_000
MAX_ITEM_TEXT = 2_000  # characters
MAX_LABELS = 20
MAX_LABEL_TEXT = 40
MAX_INSTRUCTION = 500
CATEGORIES = ("sentiment", "topic", "intent", "style", "safety", "other")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_STRUCTURE = re.compile(r"[{}\[\]<>`~\n\r]")  # what could be read as a placeholder, a block or a line of its own


@dataclass(frozen=True)
class Item:
    """An input with its right label."""

    text: str
    label: str


@dataclass(frozen=True)
class Task:
    """A classification task.

    Attributes:
        category: one of `CATEGORIES`.
        instruction: the task in a sentence.
        train: items that prompts may show as examples.
        test: items that prompts are scored on; none is twice there, nor in `train`.
        left_out: what was left out for that, in words; empty if nothing was.
    """

    name: str
    category: str
    labels: tuple[str, ...]
    instruction: str
    train: tuple[Item, ...] = field(repr=False)
    test: tuple[Item, ...] = field(repr=False)
    left_out: str = field(default="", repr=False, compare=False)

    def right(self) -> np.ndarray:
        """Index of the right label of each test item, int `[I]`."""
        return np.array([self.labels.index(item.label) for item in self.test], np.int64)

    def item_set_hash(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the labels and the scored items, in order."""
        content = json.dumps([self.labels, [[item.text, item.label] for item in self.test]], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def read_task(folder: Path) -> Task:
    """A task of a folder with `task.json`, `train.csv` and `test.csv` (columns `text` and `label`).

    The category is that of `task.json`, and `other` where it has none.

    Raises:
        InputError: a file that is missing, too large or damaged, or items that the labels do not cover.
    """
    where = escape_controls(str(folder))
    try:
        content = json.loads(_read(folder / "task.json"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where}/task.json is not JSON ({brief(str(error), 120)}): write name, labels, instruction"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{where}/task.json has no object: write name, labels and instruction")
    train, test = (read_items(folder / f"{part}.csv") for part in ("train", "test"))
    return build_task(content, train, test, where=f"{where}/task.json")


def build_task(content: dict[str, Any], train: list[Item], test: list[Item], *, where: str) -> Task:
    """A checked task: an item that is there twice counts once, and a test item that is in `train` too is left out.

    Args:
        content: `name`, `labels`, `instruction` and perhaps `category`, unchecked.
        where: the file that it is from, for errors.

    Raises:
        InputError: a value that is not allowed, an item with another label, or one text with two labels.
    """
    name, labels = content.get("name"), content.get("labels")
    instruction, category = content.get("instruction"), content.get("category", "other")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"{where}: name is {brief(name, 80)!r}: use letters, digits, '.', '_' and '-' (at most 61)")
    if category not in CATEGORIES:
        raise InputError(f"{where}: category is {brief(category, 80)!r}: use one of {', '.join(CATEGORIES)}")
    if not isinstance(labels, list) or not 2 <= len(labels) <= MAX_LABELS:
        raise InputError(f"{where}: labels must be a list of 2 to {MAX_LABELS} texts")
    for label in labels:
        if not _is_plain(label, MAX_LABEL_TEXT):
            raise InputError(
                f"{where}: the label {brief(label, 80)!r} is not allowed: use at most {MAX_LABEL_TEXT} characters "
                "without brackets, backticks, control characters or blanks around"
            )
    if len({label.casefold() for label in labels}) < len(labels):
        raise InputError(f"{where}: two labels are equal: give each label once")
    if not _is_plain(instruction, MAX_INSTRUCTION):
        raise InputError(
            f"{where}: instruction must be one line of 1 to {MAX_INSTRUCTION} characters without brackets or backticks"
        )
    for part, items in (("train", train), ("test", test)):
        if not items:
            raise InputError(f"{where}: the task has no {part} items: add some to {part}.csv")
        for number, item in enumerate(items, 2):
            if item.label not in labels:
                raise InputError(
                    f"{where}: item {number - 1} of {part}.csv has the label {brief(item.label, 80)!r}: "
                    f"use one of {brief(', '.join(labels), 200)}"
                )
    rows = [*((f"row {n} of train.csv", item) for n, item in enumerate(train, 1)),
            *((f"row {n} of test.csv", item) for n, item in enumerate(test, 1))]  # fmt: skip
    refuse_two_labels(rows, where)
    shown, distinct = distinct_items(train), distinct_items(test)
    shown_texts = {as_shown(item.text) for item in shown}
    scored = [item for item in distinct if as_shown(item.text) not in shown_texts]
    if not scored:
        raise InputError(f"{where}: every item of test.csv is in train.csv, where prompts may show it: use other items")
    repeats, in_train = len(test) - len(distinct), len(distinct) - len(scored)
    notes = [f"{quantity(repeats, 'row')} of test.csv repeat others and count once"] if repeats else []
    notes += [f"{quantity(in_train, 'test item')} also in train.csv left out"] if in_train else []
    left_out = ", ".join(notes)
    return Task(name, str(category), tuple(labels), str(instruction), tuple(shown), tuple(scored), left_out)


def as_shown(text: str) -> str:
    """The text of an item as a model sees it: two texts that differ only in blanks are one."""
    return " ".join(text.split())


def distinct_items(items: Sequence[Item]) -> list[Item]:
    """The first item of each text, in order: a repeated one is not a second observation."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(as_shown(item.text), item)
    return list(first.values())


def refuse_two_labels(rows: Sequence[tuple[str, Item]], where: str) -> None:
    """Nothing is wrong where each text has one label.

    Args:
        rows: where each item is, and the item.

    Raises:
        InputError: a text has two.
    """
    labels: dict[str, tuple[str, str]] = {}
    for row, item in rows:
        before, label = labels.setdefault(as_shown(item.text), (row, item.label))
        if label != item.label:
            raise InputError(
                f"{where}: {before} and {row} are one text, {brief(escape_controls(item.text), 60)!r}, with the labels "
                f"{brief(label, 40)!r} and {brief(item.label, 40)!r}: keep the right one"
            )


def with_items(task: Task, count: int) -> Task:
    """The task with so many of its test items at most: the first of each label in turn, in their order."""
    rank = Counter[str]()
    turns = []
    for index, item in enumerate(task.test):
        turns.append((rank[item.label], task.labels.index(item.label), index))
        rank[item.label] += 1
    chosen = sorted(index for _, _, index in sorted(turns)[:count])
    return replace(task, test=tuple(task.test[index] for index in chosen))


def is_structural(text: str) -> bool:
    """Whether a text has characters that could be read as structure of a prompt."""
    return _STRUCTURE.search(text) is not None


def _is_plain(text: Any, longest: int) -> bool:
    return (
        isinstance(text, str)
        and 1 <= len(text) <= longest
        and text == text.strip()
        and not is_structural(text)
        and escape_controls(text) == text
    )


def _read(path: Path) -> str:
    where = escape_controls(str(path))
    try:
        with open(path, "rb", opener=only_regular) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{where} cannot be read ({error.strerror}): a task is a folder with task.json, train.csv and test.csv"
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"{where} has more than {MAX_FILE_BYTES >> 20} MiB: use fewer items")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 (byte {error.start}): save it as UTF-8") from error


def read_items(path: Path) -> list[Item]:
    """Items of a CSV with the columns `text` and `label`; others are ignored.

    Raises:
        InputError: a file that cannot be read, a missing column, an empty or too long text, or too many rows.
    """
    where = escape_controls(str(path))
    content = _read(path)
    try:
        rows = list(csv.DictReader(io.StringIO(content, newline=""), strict=True))
    except csv.Error as error:
        raise InputError(f"{where} is not CSV ({brief(str(error), 120)}): write the columns text and label") from error
    if len(rows) > MAX_ITEMS:
        raise InputError(f"{where} has {len(rows):,} rows: use at most {MAX_ITEMS:,}")
    items = []
    for number, row in enumerate(rows, 1):
        text, label = row.get("text"), row.get("label")
        if not isinstance(text, str) or not isinstance(label, str):
            raise InputError(f"{where}: row {number} has no text or no label: write the columns text and label")
        if not text.strip() or len(text) > MAX_ITEM_TEXT:
            raise InputError(
                f"{where}: the text of row {number} has {len(text):,} characters: use 1 to {MAX_ITEM_TEXT:,}"
            )
        items.append(Item(text, label))
    return items
