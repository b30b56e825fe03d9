"""Older records in one flat JSON list: `test_name`, `steps`, `preconditions` and a result, an execution each."""

from __future__ import annotations

from typing import Any

from rl_eval.domains.qase.formats.case_json import read_steps
from rl_eval.domains.qase.formats.enumerations import DEFAULT_VALUES, KNOWN_VALUES, read_value
from rl_eval.domains.qase.formats.result_json import run_id_text, time_field
from rl_eval.domains.qase.formats.values import build_model, number_field, read_list, read_object, read_text, text_field
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Case, Project, build_project, short_repr
from rl_eval.domains.qase.model.results import ResultsCollector
from rl_eval.errors import InputError

_TEXTS = ("description", "preconditions", "postconditions")
_KNOWN_FIELDS = {
    "test_name",
    "steps",
    "tags",
    "result",
    "cycle",
    "duration",
    "timestamp",
    *_TEXTS,
    *KNOWN_VALUES,
}


def read_flat_records(document: Any, where: str, notes: Notes, into: ResultsCollector) -> Project:
    """A case for every name, in the order of the list, and a result for every record that has one.

    A name that comes again is the same case in a later cycle, unless the records say their `cycle`.

    Raises:
        InputError: not of that form; with the record and the field.
    """
    cases: dict[str, Case] = {}
    times: dict[str, int] = {}
    for i, entry in enumerate(read_list(document, where)):
        here = f"{where}, [{i}]"
        values = read_object(entry, here)
        name = read_text(values.get("test_name"), f"{here}, field 'test_name'")
        if not name:
            raise InputError(f"{here}, field 'test_name': it is missing, and every record needs one: mend the record")
        case = _case(values, name, len(cases) + 1, here, notes)
        known = cases.setdefault(name, case)
        if known != case.model_copy(update={"id": known.id}):
            notes.add("records of one test_name differ in more than their result: the first is kept", here)
        times[name] = times.get(name, 0) + 1
        _result(values, known, times[name], here, into)
    return build_project((), cases.values(), where)


def _case(values: dict[str, Any], name: str, key: int, where: str, notes: Notes) -> Case:
    for other in values.keys() - _KNOWN_FIELDS:
        notes.add(f"the field {short_repr(other)} of a record is not known: not used", where)
    steps = values.get("steps")
    if isinstance(steps, str):
        steps = [line for line in steps.splitlines() if line.strip()]
    tags = tuple(
        read_text(tag, f"{where}, tags[{i}]") for i, tag in enumerate(read_list(values.get("tags"), f"{where}, tags"))
    )
    found: dict[str, Any] = {"id": key, "title": name, "steps": read_steps(steps, f"{where}, steps"), "tags": tags}
    for field in _TEXTS:
        given = values.get(field)
        lines = given if isinstance(given, list) else [given]
        found[field] = "\n".join(read_text(line, f"{where}, field {field!r}") for line in lines)
    for field in KNOWN_VALUES.keys() - {"status"}:  # here a status is a result's
        given = values.get(field)
        found[field] = DEFAULT_VALUES[field] if given is None else read_value(field, given, None, where, notes)
    return build_model(Case, found, where)


def _result(values: dict[str, Any], case: Case, occurrence: int, where: str, into: ResultsCollector) -> None:
    if values.get("result") is not None and values.get("status") is not None:
        raise InputError(f"{where}: both 'result' and 'status' are there: keep the one that is the verdict")
    given = values.get("result", values.get("status"))
    if given is None:
        return
    result = values | (given if isinstance(given, dict) else {"status": given})
    if isinstance(given, bool):
        result["status"] = "passed" if given else "failed"
    cycle = values.get("cycle")
    run = into.run(str(occurrence) if cycle is None else run_id_text(cycle, f"{where}, field 'cycle'"))
    into.add(
        run, text_field(result, "status", where), where, muted=False,
        duration_ms=number_field(result, "duration", where), started=time_field(result, "timestamp", where),
        signature="", title=case.title, path=(), ids=(case.id,),
    )  # fmt: skip
