"""The three step columns of a CSV export: lines `N. text`, in V2 with the text as JSON and tabs for steps within steps.

A line begins a step where its number is the next one of its level; any other line goes on with the text before it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rl_eval.domains.qase.formats.values import build_model
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Step, short_repr
from rl_eval.errors import InputError

COLUMNS = {"steps_actions": "action", "steps_result": "expected_result", "steps_data": "data"}
MAX_STEP_DEPTH = 100
Number = tuple[int, ...]  # (2, 1): the first step within the second
_LINE = re.compile(r"(\t*)([0-9]{1,9})\.(?: |$)", re.MULTILINE)
_BLANKS = re.compile(r"[ \r\n]*")
_STRING_DECODER = json.JSONDecoder()


def read_steps(cells: dict[str, str], where: str, notes: Notes, *, quoted: bool) -> tuple[Step, ...]:
    """Steps from the cells of a row, joined on their numbers.

    Args:
        cells: column -> text, for the three columns.
        quoted: V2, where a text is a JSON string and a step may lie within another.

    Raises:
        InputError: a cell that holds no steps, or a step without the one it lies within.
    """
    texts: dict[Number, dict[str, str]] = {}
    counts = set()
    for column, name in COLUMNS.items():
        cell = cells[column].replace("\r\n", "\n")
        at = f"{where}, column {column!r}"
        found = _quoted(cell, at) if quoted else _plain(cell, at, tabs=False)
        counts |= {len(found)} - {0}
        for number, words in found.items():
            texts.setdefault(number, {})[name] = words
    if len(counts) > 1:  # an export numbers all three alike: a text may hold a list of its own
        notes.add("the columns of steps differ in how many there are: joined on their numbers", where)
    within: dict[Number, list[Number]] = {}
    for number in sorted(texts):
        if len(number) > MAX_STEP_DEPTH:
            raise InputError(f"{where}: steps lie more than {MAX_STEP_DEPTH} deep: export again")
        if len(number) > 1 and number[:-1] not in texts:
            raise InputError(f"{where}: step {'.'.join(map(str, number))} lies within none: export again")
        within.setdefault(number[:-1], []).append(number)
    return _tree((), texts, within, where)


def _tree(
    above: Number, texts: dict[Number, dict[str, str]], within: dict[Number, list[Number]], where: str
) -> tuple[Step, ...]:
    return tuple(
        build_model(Step, {**texts[number], "steps": _tree(number, texts, within, where)}, where)
        for number in within.get(above, ())
    )


def _plain(cell: str, where: str, *, tabs: bool) -> dict[Number, str]:
    """Steps whose text goes as far as the next step."""
    cell = cell.removesuffix("\n")  # the export ends every line, the last too
    if not cell:
        return {}
    found: dict[Number, str] = {}
    open_step: Number = ()
    start = 0
    for match in _LINE.finditer(cell):
        number = _next(open_step, match, where if tabs else "")
        if number is None or (match[1] and not tabs):
            continue
        if open_step:
            found[open_step] = cell[start : match.start() - 1]
        elif match.start():
            break
        open_step, start = number, match.end()
    if not open_step:
        raise InputError(f"{where}: {short_repr(cell)} does not begin with '1. ': number the steps, one a line")
    found[open_step] = cell[start:]
    return found


def _next(open_step: Number, match: re.Match[str], where: str) -> Number | None:
    """The step a line begins, if its number is the next of its level."""
    depth, value = len(match[1]), int(match[2])
    if depth > len(open_step):
        return None
    if depth == len(open_step):
        return (*open_step, 1) if value == 1 and (where or not depth) else None
    return (*open_step[:depth], value) if value == open_step[depth] + 1 else None


def _quoted(cell: str, where: str) -> dict[Number, str]:
    """Steps whose text is a JSON string; a cell without any such text is read as the plain form."""
    first = _LINE.match(cell)
    if first is None or not cell[first.end() :].startswith('"'):
        return _plain(cell, where, tabs=True)
    found: dict[Number, str] = {}
    open_step: Number = ()
    position = 0
    while position < len(cell):
        match = _LINE_ANYWHERE.match(cell, position)
        number = None if match is None else _next(open_step, match, where)
        if match is None or number is None:
            raise InputError(f"{where}: {short_repr(cell[position:])} where the next step is expected: export again")
        words, position = _string(cell, match.end(), where)
        found[number] = words
        open_step = number
        gap = _BLANKS.match(cell, position)
        position = gap.end() if gap else position
    return found


_LINE_ANYWHERE = re.compile(r"(\t*)([0-9]{1,9})\. ")  # V2 also puts steps side by side in one line


def _string(cell: str, position: int, where: str) -> tuple[str, int]:
    try:
        words, end = _STRING_DECODER.raw_decode(cell, position)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where}: {short_repr(cell[position:])} where a text in quotes is expected: export again"
        ) from error
    if not isinstance(words, str):
        raise InputError(f"{where}: {short_repr(words)} where a text in quotes is expected: export again")
    return words, end


def write_steps(steps: tuple[Step, ...], where: str, *, quoted: bool) -> dict[str, str]:
    """The three cells of a row.

    Raises:
        InputError: steps that this form cannot say; the JSON export can.
    """
    cells = {column: "".join(_lines(steps, name, 0, quoted=quoted)) for column, name in COLUMNS.items()}
    if read_steps(cells, where, Notes(), quoted=quoted) != steps:
        raise InputError(f"{where}: its steps cannot be said in this form of CSV: write the JSON export")
    return cells


def _lines(steps: tuple[Step, ...], name: str, depth: int, *, quoted: bool) -> list[str]:
    lines: list[str] = []
    for number, step in enumerate(steps, 1):
        words: Any = getattr(step, name)
        said = json.dumps(words, ensure_ascii=False) if quoted else words
        lines.append("\t" * depth + f"{number}. {said}\n")
        lines += _lines(step.steps, name, depth + 1, quoted=quoted)
    return lines
