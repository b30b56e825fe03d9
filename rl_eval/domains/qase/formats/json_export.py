"""The JSON export: suites within suites, each with its cases. What is read is written again as it was."""

from __future__ import annotations

from typing import Any

from rl_eval.domains.qase.formats.case_json import EMPTY, difference, in_form, read_case, with_form, write_case
from rl_eval.domains.qase.formats.enumerations import Options
from rl_eval.domains.qase.formats.values import built, identity, listed, mapping, text
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import MAX_DEPTH, Case, Project, Suite, arrange, shown
from rl_eval.errors import InputError

_LISTS = ("suites", "cases")


def read_json_export(document: Any, where: str, notes: Notes, options: Options | None = None) -> Project:
    """A project from a parsed JSON export.

    Args:
        options: what integers of enumerations mean, where the export holds any.

    Raises:
        InputError: not of that form, with the place in the document.
    """
    values = mapping(document, where)
    if "suites" not in values and "cases" not in values:
        raise InputError(f"{where} has neither 'suites' nor 'cases': give a JSON export of a Qase project")
    for name in values.keys() - set(_LISTS):
        notes.add(f"the field {shown(name)} of the export is not known: not used", where)
    suites: list[Suite] = []
    cases = _cases(values.get("cases"), f"{where}, cases", notes, None, options)
    _suites(values.get("suites"), f"{where}, suites", notes, None, options, suites, cases, 1)
    return arrange(suites, cases, where, difference({"suites": _shape(suites)}, _own(values)))


def _cases(value: Any, where: str, notes: Notes, suite_id: int | None, options: Options | None) -> list[Case]:
    found = []
    for i, entry in enumerate(listed(value, where)):
        here = f"{where}[{i}]"
        values = mapping(entry, here)
        found.append(with_form(read_case(values, here, notes, suite_id=suite_id, options=options), values))
    return found


def _suites(
    value: Any, where: str, notes: Notes, parent: int | None, options: Options | None,
    suites: list[Suite], cases: list[Case], depth: int,
) -> None:  # fmt: skip
    if depth > MAX_DEPTH:
        raise InputError(f"{where}: suites lie more than {MAX_DEPTH} deep: move them up")
    for i, entry in enumerate(listed(value, where)):
        here = f"{where}[{i}]"
        values = mapping(entry, here)
        for name in ("id", "title"):
            if values.get(name) is None:
                raise InputError(f"{here}, field {name!r}: it is missing, and every suite needs one: export again")
        for name in values.keys() - {"id", "title", "description", "preconditions", *_LISTS}:
            notes.add(f"the field {shown(name)} of a suite is not known: not used", here)
        found = {
            "id": identity(values["id"], f"{here}, field 'id'"),
            "parent_id": parent,
            **{
                name: text(values.get(name), f"{here}, field {name!r}")
                for name in ("title", "description", "preconditions")
            },
        }
        suite = built(Suite, found, here)
        at = len(suites)
        suites.append(suite)
        own = _cases(values.get("cases"), f"{here}.cases", notes, suite.id, options)
        cases.extend(own)
        _suites(values.get("suites"), f"{here}.suites", notes, suite.id, options, suites, cases, depth + 1)
        ours = {**_suite(suite), "suites": _shape(suites[at + 1 :]), "cases": _shape(own)}
        suites[at] = suite.model_copy(update={"form": difference(ours, _own(values))})


def _shape(found: list[Any]) -> Any:
    """A list as `difference` is to see it: whether there is anything in it, not what."""
    return "held" if found else []


def _own(values: dict[str, Any]) -> dict[str, Any]:
    return values | {name: "held" for name in _LISTS if values.get(name)}


def _suite(suite: Suite) -> dict[str, Any]:
    return {name: getattr(suite, name) for name in ("id", "title", "description", "preconditions")}


def write_json_export(project: Project) -> dict[str, Any]:
    """A project in the form of the JSON export; what was read from one comes out as it was."""
    held: dict[int | None, list[Any]] = {}
    for case in project.cases:
        held.setdefault(case.suite_id, []).append(in_form(write_case(case), case.form, EMPTY))
    nodes: dict[int | None, list[Any]] = {}
    for suite in reversed(project.suites):  # children stand after their parents
        nested, cases = nodes.get(suite.id, []), held.get(suite.id, [])
        entry = {**_suite(suite), "suites": _shape(nested), "cases": _shape(cases)}
        entry = in_form(entry, suite.form, _NOTHING)
        nodes.setdefault(suite.parent_id, []).insert(0, _filled(entry, nested, cases))
    nested, cases = nodes.get(None, []), held.get(None, [])
    document = {"suites": _shape(nested), **({"cases": "held"} if cases else {})}
    return _filled(in_form(document, project.form, _NOTHING), nested, cases)


def _filled(entry: dict[str, Any], suites: list[Any], cases: list[Any]) -> dict[str, Any]:
    for name, found in (("suites", suites), ("cases", cases)):
        if found:
            entry[name] = found
    return entry


_NOTHING: dict[str, Any] = {"description": "", "preconditions": "", "suites": [], "cases": []}
