"""Read and write the CSV export, V1 (first column `id`) and V2 (`v2.id`): rows of suites, then rows of cases."""

from __future__ import annotations

import csv
import io
from typing import Any, Literal

from rl_eval.domains.qase.formats import csv_steps
from rl_eval.domains.qase.formats.csv_rows import csv_rows
from rl_eval.domains.qase.formats.enumerations import KNOWN_VALUES, read_value
from rl_eval.domains.qase.formats.values import build_model, decode_utf8, read_flag, read_id
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import (
    Case,
    CaseSuite,
    CustomField,
    Parameter,
    Project,
    build_project,
    short_repr,
)
from rl_eval.errors import InputError, nearest

Version = Literal[1, 2]
FIRST_COLUMN = {1: "id", 2: "v2.id"}
_COLUMNS = (
    "title description preconditions postconditions tags priority severity type behavior automation status is_flaky "
    "layer steps_type steps_actions steps_result steps_data milestone_id milestone suite_id suite_parent_id suite "
    "suite_without_cases parameters"
).split()
_OPTIONAL_COLUMNS = ("is_muted",)
_SUITE_COLUMNS = ("suite_id", "suite_parent_id", "suite", "suite_without_cases")
MAX_COLUMNS = 2000


def read_csv_export(data: bytes, where: str, notes: Notes) -> Project:
    """Read a project from a CSV export, with or without a byte-order mark, with LF or CRLF line ends.

    Raises:
        InputError: another form, with line and column.
    """
    rows = iter(csv_rows(decode_utf8(data, where), where))
    line, header = next(rows, (1, [""]))
    columns = _columns(header or [""], where, notes)
    quoted = header[0].strip() == FIRST_COLUMN[2]
    suites: dict[int, CaseSuite] = {}
    cases: list[Case] = []
    for line, row in rows:
        at = f"{where}, line {line}"
        if len(row) > len(header):
            raise InputError(f"{at}: {len(row)} columns where the header has {len(header)}: quote texts with commas")
        cells = {name: row[i] if i < len(row) else "" for name, i in columns.items()}
        if read_flag(cells["suite_without_cases"], f"{at}, column 'suite_without_cases'"):
            filled = next((name for name, cell in cells.items() if cell.strip() and name not in _SUITE_COLUMNS), None)
            if filled is not None:
                raise InputError(f"{at}, column {filled!r}: a value in the row of a suite without cases: export again")
            _suite(cells, at, suites)
            continue
        if len(row) < len(header) and any(row):
            raise InputError(f"{at}: {len(row)} columns where a case has {len(header)}: the row is cut, export again")
        if any(cell.strip() for cell in row):
            cases.append(_case(cells, at, _suite(cells, at, suites), quoted, notes))
    if not cases and not suites:
        raise InputError(f"{where} has a header but neither suites nor cases: export again")
    return build_project(suites.values(), cases, where)


def _columns(header: list[str], where: str, notes: Notes) -> dict[str, int]:
    names = [name.strip() for name in header]
    at = f"{where}, line 1"
    if names[0] not in FIRST_COLUMN.values():
        raise InputError(f"{at}: the first column is {short_repr(names[0])}: a Qase export begins with 'id' or 'v2.id'")
    if len(names) > MAX_COLUMNS:
        raise InputError(f"{at}: {len(names)} columns, and at most {MAX_COLUMNS} are read: export fewer custom fields")
    names[0] = "id"
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{at}: the column {short_repr(twice)} appears twice: export again")
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise InputError(
            f"{at}: the column {missing[0]!r} is missing: {nearest(missing[0], set(names) - set(_COLUMNS))}"
            "a Qase export has it"
        )
    for name in names:
        if name not in ("id", *_COLUMNS, *_OPTIONAL_COLUMNS) and _field_id(name) is None:
            notes.add(f"the column {short_repr(name)} is not known: not used", at)
    return {name: i for i, name in enumerate(names)}


def _field_id(column: str) -> int | None:
    digits = column.removeprefix("cf_")
    return int(digits) if digits != column and digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _suite(cells: dict[str, str], at: str, suites: dict[int, CaseSuite]) -> int | None:
    """The id of the suite that a row names; the suite is added to `suites`."""
    key = read_id(cells["suite_id"].strip(), f"{at}, column 'suite_id'")
    parent = read_id(cells["suite_parent_id"].strip(), f"{at}, column 'suite_parent_id'")
    title = cells["suite"]
    if key is None:
        if title.strip() or parent is not None or cells["suite_without_cases"].strip():
            raise InputError(f"{at}, column 'suite_id': a suite without an id: export again")
        return None
    previous = suites.get(key)
    suite = build_model(CaseSuite, {"id": key, "parent_id": parent, "title": title}, f"{at}, suite")
    if previous is None:
        suites[key] = suite
        return key
    # V2 leaves the parent empty on rows of cases
    if previous.title != suite.title or (parent is not None and previous.parent_id not in (parent, None)):
        raise InputError(
            f"{at}, column 'suite': suite {key} is {short_repr(title)} below {parent}, and was "
            f"{short_repr(previous.title)} below {previous.parent_id} before: export again"
        )
    if cells["suite_without_cases"].strip():
        raise InputError(f"{at}, column 'suite_id': suite id {key} is used twice: export again")
    if previous.parent_id is None and parent is not None:
        suites[key] = suite
    return key


def _case(cells: dict[str, str], at: str, suite_id: int | None, quoted: bool, notes: Notes) -> Case:
    def column(name: str) -> str:
        return f"{at}, column {name!r}"

    case_values: dict[str, Any] = {"suite_id": suite_id, "id": read_id(cells["id"].strip(), column("id"))}
    for name in ("id", "title"):
        if not cells[name].strip():
            raise InputError(f"{column(name)}: it is empty, and every case needs one: export again")
    for name in ("title", "description", "preconditions", "postconditions"):
        case_values[name] = cells[name]
    for name in KNOWN_VALUES:
        case_values[name] = read_value(name, cells[name].strip(), None, at, notes)
    case_values["is_flaky"] = read_flag(cells["is_flaky"], column("is_flaky"))
    case_values["is_muted"] = read_flag(cells.get("is_muted", ""), column("is_muted"))
    read_id(cells["milestone_id"].strip(), column("milestone_id"))
    case_values["milestone"] = cells["milestone"] or cells["milestone_id"].strip() or None
    case_values["steps_type"] = cells["steps_type"].strip() or "classic"
    case_values["steps"] = csv_steps.read_steps(cells, at, notes, quoted=quoted)
    case_values["parameters"] = _parameters(cells["parameters"], column("parameters"))
    case_values["tags"] = tuple(tag for tag in (part.strip() for part in cells["tags"].split(",")) if tag)
    fields = [(_field_id(name), cell) for name, cell in cells.items()]
    case_values["custom_fields"] = tuple(
        build_model(CustomField, {"id": key, "value": cell}, column(f"cf_{key}"))
        for key, cell in sorted((key, cell) for key, cell in fields if key is not None and cell)
    )
    if any(cell[:1] in "=+-@" for cell in cells.values() if cell and not cell.lstrip("-").isdigit()):
        notes.add("a cell that a spreadsheet would run as a formula: read as text", at)
    return build_model(Case, case_values, at)


def _parameters(cell: str, at: str) -> tuple[Parameter, ...]:
    """One `title:value` per line; a repeated title adds a value."""
    values: dict[str, list[str]] = {}
    for line in cell.replace("\r\n", "\n").split("\n") if cell else ():
        title, colon, value = line.partition(":")
        if not colon:
            raise InputError(f"{at}: {short_repr(line)} where 'title:value' is expected: export again")
        values.setdefault(title, []).append(value)
    return tuple(
        build_model(Parameter, {"title": title, "values": tuple(title_values)}, at)
        for title, title_values in values.items()
    )


def write_csv_export(project: Project, version: Version) -> str:
    """Write a project as CSV. Texts are written unchanged, so a spreadsheet can run formulas in them.

    Raises:
        InputError: a case or suite that CSV cannot express; the JSON export can.
    """
    if not project.suites and not project.cases:
        raise InputError("a project without suites and cases has no CSV: write the JSON export")
    fields = [f"cf_{key}" for key in project.custom_field_ids]
    header = [FIRST_COLUMN[version], *_COLUMNS, *_OPTIONAL_COLUMNS, *fields]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    parents = {suite.id: suite for suite in project.suites}
    for suite in project.suites:
        at = f"suite {suite.id}"
        if suite.description or suite.preconditions:
            raise InputError(f"{at}: CSV has no place for a suite's description: write the JSON export")
        row = {"suite_id": suite.id, "suite_parent_id": suite.parent_id, "suite": suite.title, "suite_without_cases": 1}
        writer.writerow([row.get(name, "") for name in header])
    for case in project.cases:
        home = parents[case.suite_id] if case.suite_id is not None else None
        writer.writerow([_cells(case, home, version).get(name, "") for name in header])
    return out.getvalue()


def _cells(case: Case, home: CaseSuite | None, version: Version) -> dict[str, Any]:
    at = f"case {case.id}"
    cells: dict[str, Any] = {
        name: getattr(case, name) for name in ("title", "description", "preconditions", "postconditions", "steps_type")
    }
    cells |= {name: getattr(case, name) for name in KNOWN_VALUES}
    cells |= {name: "yes" if getattr(case, name) else "no" for name in ("is_flaky", "is_muted")}
    cells |= csv_steps.write_steps(case.steps, at, quoted=version == 2)
    cells |= {f"cf_{field.id}": field.value for field in case.custom_fields}
    cells["tags"] = ",".join(case.tags)
    cells["milestone"] = case.milestone or ""
    cells["parameters"] = "\n".join(
        f"{entry.title}:{value}" for entry in case.parameters if isinstance(entry, Parameter) for value in entry.values
    )
    if home is not None:
        cells |= {"suite_id": home.id, "suite_parent_id": home.parent_id or "", "suite": home.title}
    cells[FIRST_COLUMN[version]] = case.id
    row = {name: str(cells.get(name, "")) for name in ("id", *_COLUMNS, *_OPTIONAL_COLUMNS, *cells)} | {
        "id": str(case.id)
    }
    if _case(row, at, case.suite_id, version == 2, Notes()) != case:
        raise InputError(f"{at}: CSV cannot express all of it: write the JSON export")
    return cells
