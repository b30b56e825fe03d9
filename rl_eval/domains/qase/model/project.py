"""A Qase project as typed data, for all formats that it is read from: suites, cases, steps, parameters.

Values that mean the same are equal: line ends are LF, an empty list and `null` are an empty tuple, `yes` is True.
`Form` keeps how a file wrote them. Comparisons ignore it; the JSON export uses it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rl_eval.errors import InputError

MAX_DEPTH = 100  # suites within suites, steps within steps


def normalise_text(text: str) -> str:
    """Text with LF line ends that can be written as UTF-8.

    Raises:
        ValueError: a lone surrogate, which UTF-8 cannot encode.
    """
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("text with half a surrogate pair") from error
    return text.replace("\r\n", "\n") if "\r" in text else text


def canonical_text(text: str) -> str:
    """Text where letters with accents are equal, no matter how a system composes them (Unicode NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


Text = Annotated[str, AfterValidator(normalise_text)]
Title = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(normalise_text)]
Id = Annotated[int, Field(ge=1, lt=2**63)]


class Form:
    """How a file wrote values that mean the same; equal to every other Form.

    Attributes:
        written: key -> (our form, the file's form).
        absent: key that the file left out -> our form.
    """

    __slots__ = ("absent", "written")

    def __init__(self, written: Mapping[str, tuple[Any, Any]], absent: Mapping[str, Any]):
        self.written, self.absent = written, absent

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "Form(…)"


PLAIN = Form({}, {})


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class CaseStep(_Record):
    """A step with its nested steps."""

    action: Text = ""
    expected_result: Text = ""
    data: Text = ""
    shared_step_hash: Text | None = None
    steps: tuple[CaseStep, ...] = ()


class Parameter(_Record):
    """A parameter and its values; the case runs once for each."""

    title: Text
    values: tuple[Text, ...]


class ParameterGroup(_Record):
    """Parameters whose values change together, row by row."""

    items: tuple[Parameter, ...] = Field(min_length=2)


class CustomField(_Record):
    """A custom field of the workspace. An export has its id but not its name."""

    id: Annotated[int, Field(ge=0)]
    value: Text


class Case(_Record):
    """A test case. Enumerations are slugs; unknown values are kept as written."""

    id: Id
    title: Title
    description: Text = ""
    preconditions: Text = ""
    postconditions: Text = ""
    severity: Text = "undefined"
    priority: Text = "undefined"
    type: Text = "other"
    behavior: Text = "undefined"
    layer: Text = "unknown"
    automation: Text = "is-not-automated"
    status: Text = "actual"
    is_flaky: bool = False
    is_muted: bool = False
    milestone: Text | None = None
    suite_id: Id | None = None
    steps_type: Literal["classic", "gherkin"] = "classic"
    steps: tuple[CaseStep, ...] = ()
    parameters: tuple[Parameter | ParameterGroup, ...] = ()
    tags: tuple[Text, ...] = ()
    custom_fields: tuple[CustomField, ...] = ()
    form: Form = Field(PLAIN, exclude=True, repr=False)


class CaseSuite(_Record):
    """A folder of cases."""

    id: Id
    title: Title
    parent_id: Id | None = None
    description: Text = ""
    preconditions: Text = ""
    form: Form = Field(PLAIN, exclude=True, repr=False)


class Project(_Record):
    """Suites and cases in tree order: a suite, its cases, then its child suites. Made by `build_project`."""

    suites: tuple[CaseSuite, ...] = ()
    cases: tuple[Case, ...] = ()
    form: Form = Field(PLAIN, exclude=True, repr=False)

    @cached_property
    def suite_paths(self) -> dict[int, tuple[str, ...]]:
        """Suite id -> the titles from the root down to it."""
        paths: dict[int, tuple[str, ...]] = {}
        for suite in self.suites:  # parents come before their children
            parent_path = paths[suite.parent_id] if suite.parent_id is not None else ()
            paths[suite.id] = (*parent_path, suite.title)
        return paths

    @cached_property
    def custom_field_ids(self) -> tuple[int, ...]:
        """Ids of the custom fields that are used by at least one case."""
        return tuple(sorted({field.id for case in self.cases for field in case.custom_fields}))


def suite_path(project: Project, case: Case) -> tuple[str, ...]:
    """Titles of the suites above a case, from the root down; empty for a case at the root."""
    return project.suite_paths[case.suite_id] if case.suite_id is not None else ()


def build_project(suites: Iterable[CaseSuite], cases: Iterable[Case], where: str, form: Form = PLAIN) -> Project:
    """A project in tree order, from suites and cases in any order.

    Raises:
        InputError: a duplicate id, a missing suite or parent suite, a suite that contains itself.
    """
    all_suites, all_cases = list(suites), list(cases)
    by_id: dict[int, CaseSuite] = {}
    for suite in all_suites:
        if suite.id in by_id:
            raise InputError(
                f"{where}: suite id {suite.id} is used twice, by {short_repr(by_id[suite.id].title)} and "
                f"{short_repr(suite.title)}: every suite needs its own id"
            )
        by_id[suite.id] = suite
    children: dict[int | None, list[CaseSuite]] = {}
    for suite in all_suites:
        if suite.parent_id is not None and suite.parent_id not in by_id:
            raise InputError(
                f"{where}: suite {suite.id} ({short_repr(suite.title)}) names the parent {suite.parent_id}, which is "
                "missing: export the whole project"
            )
        children.setdefault(suite.parent_id, []).append(suite)
    cases_by_suite: dict[int | None, list[Case]] = {}
    titles: dict[int, str] = {}
    for case in all_cases:
        if case.id in titles:
            raise InputError(
                f"{where}: case id {case.id} is used twice, by {short_repr(titles[case.id])} and "
                f"{short_repr(case.title)}: every case needs its own id"
            )
        titles[case.id] = case.title
        if case.suite_id is not None and case.suite_id not in by_id:
            raise InputError(
                f"{where}: case {case.id} ({short_repr(case.title)}) names the suite {case.suite_id}, which is not "
                "there: export the whole project"
            )
        cases_by_suite.setdefault(case.suite_id, []).append(case)
    ordered: list[CaseSuite] = []
    arranged = cases_by_suite.get(None, [])
    stack = [(suite, 1) for suite in reversed(children.get(None, []))]
    while stack:
        suite, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise InputError(f"{where}: suite {suite.id} is nested more than {MAX_DEPTH} suites deep: move it up")
        ordered.append(suite)
        arranged.extend(cases_by_suite.get(suite.id, ()))
        stack.extend((child, depth + 1) for child in reversed(children.get(suite.id, ())))
    if len(ordered) < len(all_suites):
        reached = {suite.id for suite in ordered}
        lost = next(suite for suite in all_suites if suite.id not in reached)
        raise InputError(
            f"{where}: suite {lost.id} ({short_repr(lost.title)}) contains itself: give one of these suites "
            "another parent"
        )
    return Project(suites=tuple(ordered), cases=tuple(arranged), form=form)


def short_repr(value: object, length: int = 60) -> str:
    """A value for an error message or a table: on one line, escaped, and shortened."""
    text = repr(value if not isinstance(value, str) or len(value) <= length else value[: length - 1] + "…")
    return text if len(text) <= 2 * length else text[: 2 * length - 1] + "…"  # repr escapes what cannot be printed
