"""Read and write the JSON export: nested suites with their cases. A project is written back exactly as it was read."""

from __future__ import annotations

from typing import Any

from rl_eval.domains.qase.formats.case_json import (
    apply_form,
    form_difference,
    read_case,
    with_form,
    write_case,
)
from rl_eval.domains.qase.formats.enumerations import Options
from rl_eval.domains.qase.formats.values import build_model, read_id, read_list, read_object, read_text
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import MAX_DEPTH, Case, CaseSuite, Project, build_project, short_repr
from rl_eval.errors import InputError

_LISTS = ("suites", "cases")


def read_json_export(document: Any, where: str, notes: Notes, options: Options | None = None) -> Project:
    """A project from a parsed JSON export.

    Args:
        options: what integers of enumerations mean, if the export has any.

    Raises:
        InputError: another form, with the location in the document.
    """
    values = read_object(document, where)
    if "suites" not in values and "cases" not in values:
        raise InputError(f"{where} has neither 'suites' nor 'cases': give a JSON export of a Qase project")
    for name in values.keys() - set(_LISTS):
        notes.add(f"the field {short_repr(name)} of the export is not known: not used", where)
    suites: list[CaseSuite] = []
    cases = _cases(values.get("cases"), f"{where}, cases", notes, None, options)
    _suites(values.get("suites"), f"{where}, suites", notes, None, options, suites, cases, 1)
    return build_project(
        suites, cases, where, form_difference({"suites": _list_marker(suites)}, _without_lists(values))
    )


def _cases(value: Any, where: str, notes: Notes, suite_id: int | None, options: Options | None) -> list[Case]:
    cases = []
    for i, entry in enumerate(read_list(value, where)):
        here = f"{where}[{i}]"
        values = read_object(entry, here)
        cases.append(with_form(read_case(values, here, notes, suite_id=suite_id, options=options), values))
    return cases


def _suites(
    value: Any, where: str, notes: Notes, parent: int | None, options: Options | None,
    suites: list[CaseSuite], cases: list[Case], depth: int,
) -> None:  # fmt: skip
    if depth > MAX_DEPTH:
        raise InputError(f"{where}: suites are nested more than {MAX_DEPTH} deep: move them up")
    for i, entry in enumerate(read_list(value, where)):
        here = f"{where}[{i}]"
        values = read_object(entry, here)
        for name in ("id", "title"):
            if values.get(name) is None:
                raise InputError(f"{here}, field {name!r}: it is missing, and every suite needs one: export again")
        for name in values.keys() - {"id", "title", "description", "preconditions", *_LISTS}:
            notes.add(f"the field {short_repr(name)} of a suite is not known: not used", here)
        fields = {
            "id": read_id(values["id"], f"{here}, field 'id'"),
            "parent_id": parent,
            **{
                name: read_text(values.get(name), f"{here}, field {name!r}")
                for name in ("title", "description", "preconditions")
            },
        }
        suite = build_model(CaseSuite, fields, here)
        at = len(suites)
        suites.append(suite)
        own_cases = _cases(values.get("cases"), f"{here}.cases", notes, suite.id, options)
        cases.extend(own_cases)
        _suites(values.get("suites"), f"{here}.suites", notes, suite.id, options, suites, cases, depth + 1)
        own_form = {**_suite(suite), "suites": _list_marker(suites[at + 1 :]), "cases": _list_marker(own_cases)}
        suites[at] = suite.model_copy(update={"form": form_difference(own_form, _without_lists(values))})


def _list_marker(entries: list[Any]) -> Any:
    """What `form_difference` compares instead of a list: only whether it is empty."""
    return "held" if entries else []


def _without_lists(values: dict[str, Any]) -> dict[str, Any]:
    return values | {name: "held" for name in _LISTS if values.get(name)}


def _suite(suite: CaseSuite) -> dict[str, Any]:
    return {name: getattr(suite, name) for name in ("id", "title", "description", "preconditions")}


def write_json_export(project: Project) -> dict[str, Any]:
    """Write a project in the form of the JSON export; a project read from one is written back unchanged."""
    cases_by_suite: dict[int | None, list[Any]] = {}
    for case in project.cases:
        cases_by_suite.setdefault(case.suite_id, []).append(apply_form(write_case(case), case.form))
    nodes: dict[int | None, list[Any]] = {}
    for suite in reversed(project.suites):  # children come after their parents
        nested, cases = nodes.get(suite.id, []), cases_by_suite.get(suite.id, [])
        entry = {**_suite(suite), "suites": _list_marker(nested), "cases": _list_marker(cases)}
        entry = apply_form(entry, suite.form)
        nodes.setdefault(suite.parent_id, []).insert(0, _with_lists(entry, nested, cases))
    nested, cases = nodes.get(None, []), cases_by_suite.get(None, [])
    document = {"suites": _list_marker(nested), **({"cases": "held"} if cases else {})}
    return _with_lists(apply_form(document, project.form), nested, cases)


def _with_lists(entry: dict[str, Any], suites: list[Any], cases: list[Any]) -> dict[str, Any]:
    for name, entries in (("suites", suites), ("cases", cases)):
        if entries:
            entry[name] = entries
    return entry
