"""Responses of Qase's REST API, fetched or saved: pages of cases, suites, milestones, results, and system fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rl_eval.domains.qase.formats.case_json import read_case
from rl_eval.domains.qase.formats.enumerations import read_options
from rl_eval.domains.qase.formats.result_json import read_v1_result, run_id_text
from rl_eval.domains.qase.formats.values import build_model, read_id, read_integer, read_list, read_object, text_field
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import CaseSuite, Project, build_project
from rl_eval.domains.qase.model.results import ResultsCollector
from rl_eval.errors import InputError

Entity = tuple[str, dict[str, Any]]  # location, fields


@dataclass
class Pages:
    """Entities by kind."""

    cases: list[Entity] = field(default_factory=list)
    suites: list[Entity] = field(default_factory=list)
    milestones: list[Entity] = field(default_factory=list)
    results: list[Entity] = field(default_factory=list)
    options: dict[str, dict[int, str]] | None = None


def page_entities(response: Any, where: str) -> tuple[list[Entity], int]:
    """The entities of one page, and the total number (`filtered`, else `total`).

    Raises:
        InputError: not a page.
    """
    result = read_object(read_object(response, where).get("result"), f"{where}, result")
    if "entities" not in result:
        raise InputError(f"{where}, result: it has no 'entities': give the response of a list of Qase's API")
    page = [
        (f"{where}, entities[{i}]", read_object(entry, f"{where}, entities[{i}]"))
        for i, entry in enumerate(read_list(result["entities"], f"{where}, result.entities"))
    ]
    total = result.get("filtered", result.get("total", len(page)))
    return page, read_integer(total, f"{where}, result.total")


def add_page(response: Any, where: str, pages: Pages) -> None:
    """Add a saved response to `pages`; the fields of its entities tell its kind.

    Raises:
        InputError: not a response of this API.
    """
    values = read_object(response, where)
    if isinstance(values.get("result"), list):
        pages.options = read_options(values, where)
        return
    for at, entity in page_entities(values, where)[0]:
        if "steps_type" in entity or "severity" in entity:
            pages.cases.append((at, entity))
        elif "options" in entity:
            pages.options = read_options(values, where)
            return
        elif "case_id" in entity and "status" in entity:
            pages.results.append((at, entity))
        elif "cases_count" in entity or "parent_id" in entity:
            pages.suites.append((at, entity))
        elif "due_date" in entity:
            pages.milestones.append((at, entity))
        else:
            raise InputError(f"{at} is not a case, suite, milestone or result: save the lists of one project")


def project_from_pages(pages: Pages, where: str, notes: Notes) -> Project:
    """The project of the pages.

    Raises:
        InputError: a wrong value, an id twice, a suite that is not there.
    """
    milestones: dict[int, str] = {}
    for at, entity in pages.milestones:
        key = read_id(entity.get("id"), f"{at}, field 'id'")
        if key is not None:
            milestones[key] = text_field(entity, "title", at)
    suites = []
    for at, entity in pages.suites:
        values = {
            "id": read_id(entity.get("id"), f"{at}, field 'id'"),
            "parent_id": read_id(entity.get("parent_id"), f"{at}, field 'parent_id'"),
            **{name: text_field(entity, name, at) for name in ("title", "description", "preconditions")},
        }
        suites.append(build_model(CaseSuite, values, at))
    cases = [
        read_case(
            entity, at, notes, suite_id=read_id(entity.get("suite_id"), f"{at}, field 'suite_id'"),
            options=pages.options, milestones=milestones,
        )
        for at, entity in pages.cases
    ]  # fmt: skip
    return build_project(suites, cases, where)


def collect_results(pages: Pages, name: str, results: ResultsCollector) -> None:
    """Add the results of the pages to `results`.

    Args:
        name: name of the run of results that do not name one.

    Raises:
        InputError: a missing or wrong value, with location and field.
    """
    for at, entity in pages.results:
        run_id = entity.get("run_id")
        read_v1_result(entity, results.run(name if run_id is None else run_id_text(run_id, at)), at, results)
