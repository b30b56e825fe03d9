"""Parse a test case into HTTP calls, or into the reason why it cannot be run."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rl_eval.domains.qase.live import expectation, template
from rl_eval.domains.qase.live.expectation import Expectation
from rl_eval.domains.qase.model.project import Case, CaseStep, Parameter, short_repr
from rl_eval.net.address import AddressError, escape_target

MAX_CALLS = 50  # of one case, for one row of its parameters
MAX_ROWS = 20
MAX_DATA = 256 << 10  # characters
MAX_VALUE = 4096  # characters of a parameter's value
_ACTION = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\s+(\S.*)")
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*(.*)")
# A case cannot set headers that decide where a request goes, how long it is, or that hold secrets.
_RESERVED_HEADERS = frozenset(
    "host content-length transfer-encoding connection keep-alive upgrade te trailer expect proxy-authorization "
    "proxy-connection accept-encoding x-control-token x-truth-token".split()
)


@dataclass(frozen=True)
class Call:
    """One request and what is expected of its response.

    Attributes:
        step: number of the step: `2` or `2.1`.
        path: with its query. Path and header values may contain `{{names}}`.
        body: the JSON to send, from `template.read_json`; unused if `has_body` is false.
        fixed: the body as bytes, if it contains no `{{names}}`.
    """

    step: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    has_body: bool
    body: Any = field(repr=False)
    fixed: bytes | None = field(repr=False)
    expected: Expectation = field(repr=False)


@dataclass(frozen=True)
class CallPlan:
    """The calls of a case that can be run.

    Attributes:
        rows: rows of parameter values; the calls are made once per row.
    """

    calls: tuple[Call, ...]
    rows: tuple[dict[str, str], ...] = ({},)


@dataclass(frozen=True)
class NotRunnable:
    """A case that cannot be run, with the reason in one sentence."""

    reason: str


def parse_case(case: Case) -> CallPlan | NotRunnable:
    """The calls of a case in step order, each step before its nested steps.

    A case is runnable only if all of its steps are; no step is skipped.
    """
    try:
        calls = tuple(itertools.islice(_calls(case.steps, ""), MAX_CALLS + 1))
        if not calls:
            return NotRunnable("the case has no step with a request")
        if len(calls) > MAX_CALLS:
            return NotRunnable(f"the case has more than {MAX_CALLS} requests")
        if not any(call.expected.stated or call.expected.checks for call in calls):
            return NotRunnable("no step of the case has an expected result")
        rows = _rows(case)
        _check_names(calls, frozenset(rows[0]))
    except ValueError as error:
        return NotRunnable(str(error))
    return CallPlan(calls, rows)


def _calls(steps: tuple[CaseStep, ...], prefix: str) -> Iterator[Call]:
    for number, step in enumerate(steps, 1):
        step_number = f"{prefix}{number}"
        heading = bool(step.steps) and not step.expected_result.strip() and not step.data.strip()
        if not (heading and not _ACTION.fullmatch(step.action.strip())):
            try:
                yield _call(step, step_number)
            except ValueError as error:
                raise ValueError(f"step {step_number}: {error}") from error
        yield from _calls(step.steps, f"{step_number}.")


def _call(step: CaseStep, step_number: str) -> Call:
    action = step.action.strip()
    if not action:
        raise ValueError("a shared step, whose text is not in the export" if step.shared_step_hash else "no action")
    match = _ACTION.fullmatch(action)
    if match is None:
        raise ValueError(f"{short_repr(action)} is not a request such as POST /users")
    method, path = match[1], match[2].strip()
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path):
        raise ValueError(f"{short_repr(path)} names its own host, and requests go to the base URL only")
    try:
        # With the names filled by a harmless value; the real values are checked again when they are filled in.
        escape_target(template.fill_text(path, dict.fromkeys(template.names_in_text(path), "x")))
    except AddressError as error:
        raise ValueError(f"{short_repr(path)} is refused: {error}") from error
    headers, written = _data(step.data)
    has_body = bool(written.strip())
    if has_body and method in ("GET", "HEAD"):
        raise ValueError(f"{method} cannot have a body")
    body, fixed = None, None
    if has_body:
        try:
            body = template.read_json(written)
            fixed = None if template.names_in_json(body) else encode_json(body)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the data {short_repr(written)} is not JSON ({error})") from error
    return Call(
        step_number, method, path, headers, has_body, body, fixed, expectation.parse_expectation(step.expected_result)
    )


def encode_json(body: Any) -> bytes:
    """JSON as it is sent.

    Raises:
        ValueError: a number that JSON cannot express.
    """
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _data(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Headers, and the body after an empty line; or only a body."""
    if len(text) > MAX_DATA:
        raise ValueError(f"the data has more than {MAX_DATA} characters")
    headers: list[tuple[str, str]] = []
    lines = text.strip().split("\n")
    for i, line in enumerate(lines):
        if not line.strip():
            return tuple(headers), "\n".join(lines[i:])
        match = _HEADER.fullmatch(line.rstrip())
        if match is None:
            if headers:
                raise ValueError(f"{short_repr(line)} is not a header: put an empty line before the body")
            return (), text
        name, value = match[1], match[2].strip()
        if name.lower() in _RESERVED_HEADERS:
            raise ValueError(f"a case cannot set the header {name}")
        if is_invalid_header(value):
            raise ValueError(f"the header {name} has characters that are not allowed in a header")
        headers.append((name, value))
    return tuple(headers), ""


def is_invalid_header(value: str) -> bool:
    """Whether a value cannot be sent as a header: line ends, control characters, non-ASCII."""
    return not value.isascii() or not value.isprintable()


def _rows(case: Case) -> tuple[dict[str, str], ...]:
    choices: list[list[dict[str, str]]] = []
    for entry in case.parameters:
        items = (entry,) if isinstance(entry, Parameter) else entry.items
        if any(not re.fullmatch(template.NAME, item.title, re.ASCII) for item in items):
            raise ValueError(f"the parameter {short_repr(items[0].title)} is not a name such as user")
        if any(len(value) > MAX_VALUE for item in items for value in item.values):
            raise ValueError(
                f"the parameter {short_repr(items[0].title)} has a value of more than {MAX_VALUE} characters"
            )
        lengths = {len(item.values) for item in items}
        if len(lengths) != 1 or lengths == {0}:
            raise ValueError(f"the parameter {short_repr(items[0].title)} has no values, or not as many as its group")
        choices.append([{item.title: item.values[i] for item in items} for i in range(lengths.pop())])
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MAX_ROWS:
        raise ValueError(f"the parameters make {count} rows and at most {MAX_ROWS} are run")
    return tuple({name: value for part in row for name, value in part.items()} for row in itertools.product(*choices))


def _check_names(calls: tuple[Call, ...], saved_names: frozenset[str]) -> None:
    for call in calls:
        texts = (call.path, *(value for _, value in call.headers))
        used_names = template.names_in_json(call.body).union(*map(template.names_in_text, texts))
        missing = sorted(used_names - saved_names) or sorted(call.expected.names - saved_names)
        if missing:
            raise ValueError(f"step {call.step}: {missing[0]} is used, but no earlier step saves it")
        saved_names |= {name for name, _ in call.expected.saves}
