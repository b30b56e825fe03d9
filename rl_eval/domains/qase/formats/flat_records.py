"""Read older records in a flat JSON list: each is an execution with `test_name`, `steps`, `preconditions`, a result."""

from __future__ import annotations

from typing import Any

from rl_eval.domains.qase.formats.case_json import read_steps
from rl_eval.domains.qase.formats.enumerations import DEFAULT_VALUES, KNOWN_VALUES, read_value
from rl_eval.domains.qase.formats.result_json import run_id_text, time_field
from rl_eval.domains.qase.formats.values import build_model, number_field, read_list, read_object, read_text, text_field
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Case, Project, build_project, canonical_text, short_repr
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


def read_flat_records(document: Any, where: str, notes: Notes, results: ResultsCollector) -> Project:
    """One case for each name, in list order, and a result for each record that has one.

    A repeated name is the same case in a later cycle, unless the records have a `cycle`.

    Raises:
        InputError: another form, with record and field.
    """
    cases: dict[str, Case] = {}
    times: dict[str, int] = {}
    for i, entry in enumerate(read_list(document, where)):
        here = f"{where}, [{i}]"
        values = read_object(entry, here)
        name = read_text(values.get("test_name"), f"{here}, field 'test_name'")
        if not name:
            raise InputError(f"{here}, field 'test_name': it is missing, and every record needs one: fix the record")
        key = canonical_text(name)
        case = _case(values, name, len(cases) + 1, here, notes)
        first = cases.setdefault(key, case)
        if first != case.model_copy(update={"id": first.id, "title": first.title}):
            notes.add("records of one test_name differ in more than their result: the first is kept", here)
        times[key] = times.get(key, 0) + 1
        _result(values, first, times[key], here, results)
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
    fields: dict[str, Any] = {"id": key, "title": name, "steps": read_steps(steps, f"{where}, steps"), "tags": tags}
    for field in _TEXTS:
        value = values.get(field)
        lines = value if isinstance(value, list) else [value]
        fields[field] = "\n".join(read_text(line, f"{where}, field {field!r}") for line in lines)
    for field in KNOWN_VALUES.keys() - {"status"}:  # in these records `status` is the result
        value = values.get(field)
        fields[field] = DEFAULT_VALUES[field] if value is None else read_value(field, value, None, where, notes)
    return build_model(Case, fields, where)


def _result(values: dict[str, Any], case: Case, occurrence: int, where: str, results: ResultsCollector) -> None:
    if values.get("result") is not None and values.get("status") is not None:
        raise InputError(f"{where}: it has both 'result' and 'status': keep the one that is the verdict")
    outcome = values.get("result", values.get("status"))
    if outcome is None:
        return
    result = values | (outcome if isinstance(outcome, dict) else {"status": outcome})
    if isinstance(outcome, bool):
        result["status"] = "passed" if outcome else "failed"
    cycle = values.get("cycle")
    run = results.run(str(occurrence) if cycle is None else run_id_text(cycle, f"{where}, field 'cycle'"))
    results.add(
        run, text_field(result, "status", where), where, muted=False,
        duration_ms=number_field(result, "duration", where), started=time_field(result, "timestamp", where),
        signature="", title=case.title, path=(), ids=(case.id,),
    )  # fmt: skip
