"""Test cases for the operations of an API: valid, with a missing field, with a wrong type, without authorisation.

Each is a case of Qase whose last step is the request, so it can be imported, ordered and run over HTTP.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from rl_eval.domains.qase.model.project import Case, CaseStep, CaseSuite, Parameter, Project, build_project
from rl_eval.domains.qase.openapi.document import Document, Operation
from rl_eval.domains.qase.openapi.examples import (
    NoExampleError,
    example,
    merged,
    properties,
    required,
    type_of,
    wrong_type,
)
from rl_eval.errors import InputError

MAX_FIELDS = 12  # of an operation, that get cases of their own
MAX_TITLE = 255
MAX_CHARACTERS = 64 << 20  # of all requests
NO_TOKEN = "TOKEN"  # the value of the parameter `token`, until someone sets it
_INVALID, _FORBIDDEN = ("400", "422"), ("401", "403")
_NAME = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class SignIn:
    """A request that begins each case with authorisation, and where its response has the token."""

    action: str
    data: str
    token_at: str = "body.token"

    def step(self) -> CaseStep:
        """The step of a case."""
        return CaseStep(action=self.action, data=self.data, expected_result=f"2xx, save {self.token_at} as token")


@dataclass(frozen=True)
class GeneratedCases:
    """The project, and the operations without cases: reason -> operations."""

    project: Project
    left_out: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Variant:
    """One way to call an operation.

    Attributes:
        values: of parameters, by place and name.
        body: None if there is none.
    """

    title: str
    expected: str
    values: Mapping[tuple[str, str], Any]
    body: Any
    authorised: bool = True
    behavior: str = "negative"
    type: str = "functional"


def generate(document: Document, sign_in: SignIn | None = None) -> GeneratedCases:
    """The cases of all operations; a suite for each tag, or for the first part of the path of operations without tag.

    Args:
        sign_in: how a case gets the token; None: from its parameter `token`.

    Raises:
        InputError: an invalid description, one without an operation that can be called, or too many cases.
    """
    suites: dict[str, CaseSuite] = {}
    cases: list[Case] = []
    left_out: dict[str, list[str]] = {}
    size = 0
    for described in document.operations():
        operation = _with_sign_in(described, sign_in)
        try:
            variants = list(_variants(document, operation))
        except NoExampleError as error:
            left_out.setdefault(str(error), []).append(f"{operation.method} {operation.path}")
            continue
        title = (operation.tag or operation.path.strip("/").partition("/")[0] or "/")[:MAX_TITLE]
        suite = suites.setdefault(title, CaseSuite(id=len(suites) + 1, title=title))
        for variant in variants:
            cases.append(_case(len(cases) + 1, suite.id, operation, variant, sign_in))
            size += sum(len(step.action) + len(step.data) for step in cases[-1].steps)
        if size > MAX_CHARACTERS:
            raise InputError(
                f"the cases of {document.where} have more than {MAX_CHARACTERS >> 20} million characters: split it"
            )
    if not cases:
        why = next((f" ({operations[0]}: {reason})" for reason, operations in left_out.items()), "")
        raise InputError(f"{document.where} has no operation that can be called{why}: give one with paths")
    return GeneratedCases(build_project(suites.values(), cases, document.where), left_out)


def _variants(document: Document, operation: Operation) -> Iterator[_Variant]:
    """The ways to call an operation, the valid one first.

    Raises:
        NoExampleError: no request can be made.
    """
    if operation.not_supported:
        raise NoExampleError(operation.not_supported)
    where = f"{document.where}, {operation.method} {operation.path}"
    needed = [parameter for parameter in operation.parameters if parameter.required]
    values = {(one.place, one.name): example(document, one.schema, f"{where}, {one.name}") for one in needed}
    body = None if operation.body is None else example(document, operation.body, f"{where}, body")
    valid = _Variant("valid", _success(operation), values, body, behavior="positive")
    yield valid

    def invalid(title: str, **changes: Any) -> _Variant:
        return dataclasses.replace(
            valid, title=title, expected=_status(operation, _INVALID), behavior="negative", **changes
        )

    schema = {} if operation.body is None else merged(document, operation.body, where)
    sent: dict[str, Any] = body if isinstance(body, dict) else {}
    fields = list(properties(schema).items())[:MAX_FIELDS] if isinstance(body, dict) else []
    for name in [name for name, _ in fields if name in required(schema)]:
        yield invalid(f"without {name}", body={key: value for key, value in sent.items() if key != name})
    for one in needed:
        if one.place == "query":
            rest = {key: value for key, value in values.items() if key != ("query", one.name)}
            yield invalid(f"without {one.name}", values=rest)
    for name, part in fields:
        if type_of(merged(document, part, where)) is not None:
            yield invalid(f"{name} of a wrong type", body={**sent, name: wrong_type(document, part, where)})
    for one in needed:
        kind = type_of(merged(document, one.schema, where))
        if one.place in ("path", "query") and kind in ("integer", "number", "boolean"):
            yield invalid(f"{one.name} of a wrong type", values={**values, (one.place, one.name): "text"})
    if operation.scheme is not None:
        yield dataclasses.replace(
            valid, title="without authorisation", expected=_status(operation, _FORBIDDEN), authorised=False,
            behavior="negative", type="security",
        )  # fmt: skip


def _with_sign_in(operation: Operation, sign_in: SignIn | None) -> Operation:
    """The operation that signs in, with a body that is known to be valid; any other as it is."""
    if sign_in is None or sign_in.action.split() != [operation.method, operation.path]:
        return operation
    try:
        body = json.loads(sign_in.data)
    except ValueError:  # not JSON: the valid case has the body of the description
        return operation
    return dataclasses.replace(operation, body={**(operation.body or {}), "example": body})


def _success(operation: Operation) -> str:
    """The lowest declared status of a success, else any."""
    declared = sorted(status for status in operation.statuses if re.fullmatch("2[0-9][0-9]", status))
    return declared[0] if declared else "2xx"


def _status(operation: Operation, usual: tuple[str, ...]) -> str:
    """The usual status for an error that is declared; any 4xx where none is, or several are."""
    declared = [status for status in usual if status in operation.statuses]
    return declared[0] if len(declared) == 1 else "4xx"


def _case(key: int, suite: int, operation: Operation, variant: _Variant, sign_in: SignIn | None) -> Case:
    authorised = operation.scheme is not None and variant.authorised
    steps = [sign_in.step()] if authorised and sign_in is not None else []
    steps.append(_step(operation, variant, authorised))
    name = f"{operation.method} {operation.path}"
    described = f"Operation {name}{f', {operation.key}' if operation.key else ''}. {operation.summary}"
    return Case(
        id=key,
        title=f"{name[: MAX_TITLE - len(variant.title) - 2]}: {variant.title}"[:MAX_TITLE],
        description=described.strip(),
        type=variant.type,
        behavior=variant.behavior,
        layer="api",
        automation="automated",
        suite_id=suite,
        steps=tuple(steps),
        parameters=(Parameter(title="token", values=(NO_TOKEN,)),) if authorised and sign_in is None else (),
        tags=("openapi", *([operation.key[:MAX_TITLE]] if operation.key else [])),
    )


def _step(operation: Operation, variant: _Variant, authorised: bool) -> CaseStep:
    def value_in(place: str, name: str) -> str:
        return quote(_text(variant.values.get((place, name), name)), safe="")

    path = _NAME.sub(lambda match: value_in("path", match[1]), operation.path)
    query = [f"{quote(name)}={value_in(place, name)}" for place, name in variant.values if place == "query"]
    headers = [f"{name}: {_text(value)}" for (place, name), value in variant.values.items() if place == "header"]
    headers += [
        f"Cookie: {name}={_text(value)}" for (place, name), value in variant.values.items() if place == "cookie"
    ]
    if authorised and operation.scheme is not None:
        token = operation.scheme.prefix + "{{token}}"
        if operation.scheme.place == "query":
            query.append(f"{quote(operation.scheme.name)}={token}")
        else:
            headers.append(f"{operation.scheme.name}: {token}")
    body = None if variant.body is None else json.dumps(variant.body, ensure_ascii=False)
    return CaseStep(
        action=f"{operation.method} {path}{'?' if query else ''}{'&'.join(query)}",
        data="\n".join(
            [*headers, *([""] if headers and body is not None else []), *([body] if body is not None else [])]
        ),
        expected_result=variant.expected,
    )


def _text(value: Any) -> str:
    """A value of a parameter as text; a list as its items, separated by commas."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)
