"""What a Qase project holds, in one typed form whatever it was read from: suites, cases, steps, parameters.

Two things that mean the same are equal: line ends are LF, an empty list and `null` are an empty tuple, `yes` is
True. What a file wrote differently is kept in `Form`, which no comparison sees and the JSON export uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rl_eval.errors import InputError

MAX_DEPTH = 100  # suites within suites, steps within steps


def normalise_text(text: str) -> str:
    """Text with LF line ends, which UTF-8 can hold.

    Raises:
        ValueError: a lone surrogate, which no file can hold.
    """
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("text with half a surrogate pair") from error
    return text.replace("\r\n", "\n") if "\r" in text else text


Text = Annotated[str, AfterValidator(normalise_text)]
Title = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(normalise_text)]
Id = Annotated[int, Field(ge=1, lt=2**63)]


class Form:
    """How a file wrote values that mean the same: key -> (our own form, the file's). Equal to any other."""

    __slots__ = ("absent", "written")

    def __init__(self, written: Mapping[str, tuple[Any, Any]], absent: frozenset[str]):
        self.written, self.absent = written, absent

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "Form(…)"


PLAIN = Form({}, frozenset())


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class Step(_Record):
    """One step, and the steps within it."""

    action: Text = ""
    expected_result: Text = ""
    data: Text = ""
    shared_step_hash: Text | None = None
    steps: tuple[Step, ...] = ()


class Parameter(_Record):
    """A parameter and the values that the case is run with."""

    title: Text
    values: tuple[Text, ...]


class ParameterGroup(_Record):
    """Parameters that take their values together, row by row."""

    items: tuple[Parameter, ...] = Field(min_length=2)


class CustomField(_Record):
    """A field of the workspace's own; its name stands in the workspace, not in an export."""

    id: Annotated[int, Field(ge=0)]
    value: Text


class Case(_Record):
    """A test case. Enumerations are slugs; a value that is not known is kept as it was written."""

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
    steps: tuple[Step, ...] = ()
    parameters: tuple[Parameter | ParameterGroup, ...] = ()
    tags: tuple[Text, ...] = ()
    custom_fields: tuple[CustomField, ...] = ()
    form: Form = Field(PLAIN, exclude=True, repr=False)


class Suite(_Record):
    """A folder of cases."""

    id: Id
    title: Title
    parent_id: Id | None = None
    description: Text = ""
    preconditions: Text = ""
    form: Form = Field(PLAIN, exclude=True, repr=False)


class Project(_Record):
    """Suites and cases in the order of the tree: a suite, its cases, the suites within it. Build it with `arrange`."""

    suites: tuple[Suite, ...] = ()
    cases: tuple[Case, ...] = ()
    form: Form = Field(PLAIN, exclude=True, repr=False)

    @cached_property
    def suite_paths(self) -> dict[int, tuple[str, ...]]:
        """Suite id -> the titles from the root down to it."""
        paths: dict[int, tuple[str, ...]] = {}
        for suite in self.suites:  # parents stand before their children
            above = paths[suite.parent_id] if suite.parent_id is not None else ()
            paths[suite.id] = (*above, suite.title)
        return paths

    @cached_property
    def custom_field_ids(self) -> tuple[int, ...]:
        """The custom fields that any case has a value of."""
        return tuple(sorted({field.id for case in self.cases for field in case.custom_fields}))


def suite_path(project: Project, case: Case) -> tuple[str, ...]:
    """The suite titles above a case; empty at the root."""
    return project.suite_paths[case.suite_id] if case.suite_id is not None else ()


def build_project(suites: Iterable[Suite], cases: Iterable[Case], where: str, form: Form = PLAIN) -> Project:
    """A project whose ids are unique and whose suites form trees, in the order of the tree.

    Raises:
        InputError: an id twice, a suite or parent that is not there, suites within themselves.
    """
    given, listed = list(suites), list(cases)
    by_id: dict[int, Suite] = {}
    for suite in given:
        if suite.id in by_id:
            raise InputError(
                f"{where}: suite id {suite.id} is given twice, to {short_repr(by_id[suite.id].title)} and "
                f"{short_repr(suite.title)}: every suite needs an id of its own"
            )
        by_id[suite.id] = suite
    within: dict[int | None, list[Suite]] = {}
    for suite in given:
        if suite.parent_id is not None and suite.parent_id not in by_id:
            raise InputError(
                f"{where}: suite {suite.id} ({short_repr(suite.title)}) names the parent {suite.parent_id}, which is "
                "not there: export the whole project"
            )
        within.setdefault(suite.parent_id, []).append(suite)
    held: dict[int | None, list[Case]] = {}
    titles: dict[int, str] = {}
    for case in listed:
        if case.id in titles:
            raise InputError(
                f"{where}: case id {case.id} is given twice, to {short_repr(titles[case.id])} and "
                f"{short_repr(case.title)}: every case needs an id of its own"
            )
        titles[case.id] = case.title
        if case.suite_id is not None and case.suite_id not in by_id:
            raise InputError(
                f"{where}: case {case.id} ({short_repr(case.title)}) names the suite {case.suite_id}, which is not "
                "there: export the whole project"
            )
        held.setdefault(case.suite_id, []).append(case)
    ordered: list[Suite] = []
    arranged = held.get(None, [])
    stack = [(suite, 1) for suite in reversed(within.get(None, []))]
    while stack:
        suite, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise InputError(f"{where}: suite {suite.id} lies more than {MAX_DEPTH} suites deep: move it up")
        ordered.append(suite)
        arranged.extend(held.get(suite.id, ()))
        stack.extend((child, depth + 1) for child in reversed(within.get(suite.id, ())))
    if len(ordered) < len(given):
        reached = {suite.id for suite in ordered}
        lost = next(suite for suite in given if suite.id not in reached)
        raise InputError(
            f"{where}: suite {lost.id} ({short_repr(lost.title)}) lies within itself by its parents: give one suite of "
            "the circle another parent"
        )
    return Project(suites=tuple(ordered), cases=tuple(arranged), form=form)


def short_repr(value: object, length: int = 60) -> str:
    """A value as an error or a table shows it: one line, escaped, bounded."""
    text = repr(value if not isinstance(value, str) or len(value) <= length else value[: length - 1] + "…")
    return text if len(text) <= 2 * length else text[: 2 * length - 1] + "…"  # repr escapes what cannot be printed
