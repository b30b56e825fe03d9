"""The three step columns of a CSV export: lines `N. text`; V2 quotes the text as JSON and indents nested steps by tabs.

A line begins a step if its number is the next one of its level. Any other line continues the text before it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rl_eval.domains.qase.formats.values import build_model
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import CaseStep, short_repr
from rl_eval.errors import InputError

COLUMNS = {"steps_actions": "action", "steps_result": "expected_result", "steps_data": "data"}
MAX_STEP_DEPTH = 100
Number = tuple[int, ...]  # (2, 1): first child of the second step
_LINE = re.compile(r"(\t*)([0-9]{1,9})\.(?: |$)", re.MULTILINE)
_BLANKS = re.compile(r"[ \r\n]*")
_STRING_DECODER = json.JSONDecoder()


def read_steps(cells: dict[str, str], where: str, notes: Notes, *, quoted: bool) -> tuple[CaseStep, ...]:
    """Steps from the cells of a row, joined by their numbers.

    Args:
        cells: column -> text, for the three columns.
        quoted: V2, where a text is a JSON string and steps can be nested.

    Raises:
        InputError: a cell without steps, or a nested step without its parent.
    """
    texts: dict[Number, dict[str, str]] = {}
    counts = set()
    for column, name in COLUMNS.items():
        cell = cells[column].replace("\r\n", "\n")
        at = f"{where}, column {column!r}"
        step_texts = _quoted(cell, at) if quoted else _plain(cell, at, tabs=False)
        counts |= {len(step_texts)} - {0}
        for number, text in step_texts.items():
            texts.setdefault(number, {})[name] = text
    if len(counts) > 1:  # an export numbers all three alike; a text can contain a numbered list
        notes.add("the step columns have different numbers of steps: joined by number", where)
    within: dict[Number, list[Number]] = {}
    for number in sorted(texts):
        if len(number) > MAX_STEP_DEPTH:
            raise InputError(f"{where}: steps are nested more than {MAX_STEP_DEPTH} deep: export again")
        if len(number) > 1 and number[:-1] not in texts:
            raise InputError(f"{where}: step {'.'.join(map(str, number))} has no parent step: export again")
        within.setdefault(number[:-1], []).append(number)
    return _tree((), texts, within, where)


def _tree(
    above: Number, texts: dict[Number, dict[str, str]], within: dict[Number, list[Number]], where: str
) -> tuple[CaseStep, ...]:
    return tuple(
        build_model(CaseStep, {**texts[number], "steps": _tree(number, texts, within, where)}, where)
        for number in within.get(above, ())
    )


def _plain(cell: str, where: str, *, tabs: bool) -> dict[Number, str]:
    """Steps whose text continues up to the next step."""
    cell = cell.removesuffix("\n")  # the export ends every line, including the last
    if not cell:
        return {}
    step_texts: dict[Number, str] = {}
    open_step: Number = ()
    start = 0
    for match in _LINE.finditer(cell):
        number = _next(open_step, match, where if tabs else "")
        if number is None or (match[1] and not tabs):
            continue
        if open_step:
            step_texts[open_step] = cell[start : match.start() - 1]
        elif match.start():
            break
        open_step, start = number, match.end()
    if not open_step:
        raise InputError(f"{where}: {short_repr(cell)} does not begin with '1. ': number the steps, one per line")
    step_texts[open_step] = cell[start:]
    return step_texts


def _next(open_step: Number, match: re.Match[str], where: str) -> Number | None:
    """The step that a line begins, if its number is the next of its level."""
    depth, value = len(match[1]), int(match[2])
    if depth > len(open_step):
        return None
    if depth == len(open_step):
        return (*open_step, 1) if value == 1 and (where or not depth) else None
    return (*open_step[:depth], value) if value == open_step[depth] + 1 else None


def _quoted(cell: str, where: str) -> dict[Number, str]:
    """Steps whose text is a JSON string; a cell without quotes is read in the plain form."""
    first = _LINE.match(cell)
    if first is None or not cell[first.end() :].startswith('"'):
        return _plain(cell, where, tabs=True)
    step_texts: dict[Number, str] = {}
    open_step: Number = ()
    position = 0
    while position < len(cell):
        match = _LINE_ANYWHERE.match(cell, position)
        number = None if match is None else _next(open_step, match, where)
        if match is None or number is None:
            raise InputError(f"{where}: {short_repr(cell[position:])} where the next step is expected: export again")
        text, position = _string(cell, match.end(), where)
        step_texts[number] = text
        open_step = number
        gap = _BLANKS.match(cell, position)
        position = gap.end() if gap else position
    return step_texts


_LINE_ANYWHERE = re.compile(r"(\t*)([0-9]{1,9})\. ")  # V2 also puts several steps on one line


def _string(cell: str, position: int, where: str) -> tuple[str, int]:
    try:
        text, end = _STRING_DECODER.raw_decode(cell, position)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where}: {short_repr(cell[position:])} where a text in quotes is expected: export again"
        ) from error
    if not isinstance(text, str):
        raise InputError(f"{where}: {short_repr(text)} where a text in quotes is expected: export again")
    return text, end


def write_steps(steps: tuple[CaseStep, ...], where: str, *, quoted: bool) -> dict[str, str]:
    """The three cells of a row.

    Raises:
        InputError: steps that this format cannot express; the JSON export can.
    """
    cells = {column: "".join(_format_steps(steps, name, 0, quoted=quoted)) for column, name in COLUMNS.items()}
    if read_steps(cells, where, Notes(), quoted=quoted) != steps:
        raise InputError(f"{where}: this CSV format cannot express its steps: write the JSON export")
    return cells


def _format_steps(steps: tuple[CaseStep, ...], name: str, depth: int, *, quoted: bool) -> list[str]:
    lines: list[str] = []
    for number, step in enumerate(steps, 1):
        text: Any = getattr(step, name)
        written = json.dumps(text, ensure_ascii=False) if quoted else text
        lines.append("\t" * depth + f"{number}. {written}\n")
        lines += _format_steps(step.steps, name, depth + 1, quoted=quoted)
    return lines
