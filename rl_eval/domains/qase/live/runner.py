"""Run single cases over HTTP, step by step, until the first response that is not as expected."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rl_eval.domains.qase.live import expectation, template
from rl_eval.domains.qase.live.calls import Call, CallPlan, NotRunnable, encode_json, is_invalid_header, parse_case
from rl_eval.domains.qase.live.expectation import CheckedResponse
from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, PASS
from rl_eval.domains.qase.model.project import Case, short_repr
from rl_eval.errors import InputError
from rl_eval.formatting import mask_url
from rl_eval.net import AddressError, Client, Limits, RequestError, Response, parse_base_url

PASSED, FAILED, BLOCKED, NOT_RUNNABLE, NOT_RUN = 0, 1, 2, 3, -1
STATUS_NAMES = {
    PASSED: "passed", FAILED: "failed", BLOCKED: "blocked", NOT_RUNNABLE: "not_runnable", NOT_RUN: "not_run",
}  # fmt: skip
VERDICTS = {PASSED: PASS, FAILED: FAIL, BLOCKED: NO_VERDICT, NOT_RUNNABLE: NO_VERDICT, NOT_RUN: NO_VERDICT}
MAX_PLANS = 100_000  # kept
MAX_HEADER = 8192  # characters of a header's value
_DURATION = re.compile(r"(?:^|,)\s*app\s*;\s*dur=(\d{1,9}(?:\.\d{1,6})?)")
_BUG = re.compile(r"B(\d{2})", re.ASCII)


@dataclass(frozen=True)
class CaseResult:
    """How a case ended.

    Attributes:
        status: `PASSED`, `FAILED`, `BLOCKED` (no verdict: no complete response, or a request that was refused)
            or `NOT_RUNNABLE`.
        reason: one sentence; empty for a case that passed.
        duration_ms: what its requests took: as the embedded service declares, else by the wall clock.
        bugs: the seeded bugs that a failed case detected; bit 0 is B01. Only the embedded service reports them.
        unreachable: whether it was blocked because the service could not be reached, or not reset before the case.
    """

    status: int
    reason: str = ""
    duration_ms: float = 0.0
    bugs: int = 0
    unreachable: bool = False

    @property
    def verdict(self) -> int:
        """1 failed, 0 passed, -1 neither, as in the execution log."""
        return VERDICTS[self.status]


class Runner:
    """Runs cases against one base URL, and sends requests nowhere else.

    It follows no redirects, uses no proxy of the environment and keeps no cookies. Use one runner per thread.

    Args:
        base_url: http or https, with or without a path; requests go below it.
        timeout_s: for each request, from connecting to the last byte of the response.
        max_bytes: of a response; a case with a larger one is blocked.
        truth_token: of the embedded service (`Service.token`), which then declares the durations and the seeded
            bugs of its responses. None: any other service.

    Raises:
        InputError: an invalid base URL.
    """

    def __init__(
        self,
        base_url: str,
        timeout_s: float = 10.0,
        *,
        max_bytes: int = Limits.max_bytes,
        truth_token: str | None = None,
    ):
        try:
            self.base_url = parse_base_url(base_url)
        except AddressError as error:
            name = short_repr(mask_url(base_url))
            raise InputError(f"the base URL {name} {error}: give one such as https://host:8443/api") from error
        self._client = Client(self.base_url, Limits(timeout_s, max_bytes=max_bytes))
        self._truth = () if truth_token is None else (("X-Truth-Token", truth_token),)
        self._parsed: dict[int, tuple[Case, CallPlan | NotRunnable]] = {}

    def plan(self, case: Case) -> CallPlan | NotRunnable:
        """The calls of a case, parsed once."""
        entry = self._parsed.get(id(case))
        if entry is None:
            if len(self._parsed) >= MAX_PLANS:
                self._parsed.clear()
            entry = self._parsed[id(case)] = (case, parse_case(case))  # keeps the case, so that no other has its id
        return entry[1]

    def run(self, case: Case, before: Callable[[], None] | None = None) -> CaseResult:
        """Run one case; with parameters, once for each row of them, until one does not pass.

        Args:
            before: called before each row, so that a result does not depend on earlier cases. If it raises
                `RequestError`, the case is blocked.
        """
        plan = self.plan(case)
        if isinstance(plan, NotRunnable):
            return CaseResult(NOT_RUNNABLE, f"{plan.reason[:1].upper()}{plan.reason[1:]}.")
        duration_ms = 0.0
        for row in plan.rows:
            if before is not None:
                try:
                    before()
                except RequestError as error:
                    return CaseResult(BLOCKED, f"Before the case: {error}.", duration_ms, unreachable=True)
            result = self._run_row(plan, row)
            duration_ms += result.duration_ms
            if result.status != PASSED:
                parameters = f" (with {short_repr(', '.join(f'{n}={v}' for n, v in row.items()), 120)})" if row else ""
                return CaseResult(
                    result.status, f"{result.reason}{parameters}.", duration_ms, result.bugs, result.unreachable
                )  # fmt: skip
        return CaseResult(PASSED, "", duration_ms)

    def _run_row(self, plan: CallPlan, row: Mapping[str, str]) -> CaseResult:
        values: dict[str, Any] = {name: template.ParameterText(value) for name, value in row.items()}
        duration_ms, earlier_bugs = 0.0, 0
        for call in plan.calls:
            step = f"Step {call.step}"
            try:
                path, headers, body = _request(call, values)
                start = time.perf_counter()
                response = self._client.request(call.method, path, (*headers, *self._truth), body)
            except ValueError as error:
                return CaseResult(BLOCKED, f"{step}: not sent: {error}", duration_ms)
            except RequestError as error:
                duration_ms += 1000 * (time.perf_counter() - start)
                return CaseResult(
                    BLOCKED, f"{step}: {error.reason}", duration_ms, unreachable=error.kind == "unreachable"
                )
            ms = self._duration_ms(response)
            bugs = self._bugs(response)
            duration_ms += ms
            if self._is_redirected_away(response) and not expectation.status_matches(call.expected, response.status):
                return CaseResult(BLOCKED, f"{step}: redirected off the base URL, which is not followed", duration_ms)
            try:
                checked = _checked_response(response, ms)
                reason = expectation.mismatch(call.expected, checked, values)
                if reason is None:
                    values |= expectation.saved_values(call.expected, checked)
            except template.MissingValueError as error:
                reason = str(error)
            except RecursionError:
                return CaseResult(BLOCKED, f"{step}: the response is nested too deep to be checked", duration_ms)
            if reason is not None:
                # The bugs of the wrong response, or if it has none, those of the responses before it.
                return CaseResult(FAILED, f"{step}: {reason}", duration_ms, bugs or earlier_bugs)
            earlier_bugs |= bugs
        return CaseResult(PASSED, "", duration_ms)

    def _duration_ms(self, response: Response) -> float:
        match = _DURATION.search(response.headers.get("server-timing", "")) if self._truth else None
        return float(match[1]) if match else response.duration_ms

    def _bugs(self, response: Response) -> int:
        header = response.headers.get("x-seeded-bugs", "") if self._truth else ""
        bits = [int(number) for number in _BUG.findall(header)]
        return sum(1 << (bit - 1) for bit in bits if 1 <= bit <= 63)

    def _is_redirected_away(self, response: Response) -> bool:
        location = response.headers.get("location") if 300 <= response.status < 400 else None
        return location is not None and not self.base_url.has_same_origin(location)

    def close(self) -> None:
        """Close the connection; a later case connects again."""
        self._client.close()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _request(call: Call, values: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]], bytes | None]:
    """Path, headers and body of a call, filled in and checked again; the client checks the path.

    Raises:
        ValueError: a header that is refused, or a value that is missing.
    """
    path = template.fill_text(call.path, values, _escaped)
    headers = []
    for name, value in call.headers:
        value = template.fill_text(value, values)
        if is_invalid_header(value) or len(value) > MAX_HEADER:
            raise ValueError(f"the header {name} would have characters that are not allowed in a header")
        headers.append((name, value))
    body = call.fixed
    if call.has_body and body is None:
        body = encode_json(template.fill_json(call.body, values))
    return path, headers, body


def _escaped(value: str) -> str:
    return quote(value, safe="")


def _checked_response(response: Response, ms: float) -> CheckedResponse:
    body: Any = None
    is_json = False
    plain = response.headers.get("content-encoding", "identity") == "identity"
    if response.content and plain:
        try:
            body = json.loads(response.content, parse_constant=_no_constant)
            is_json = True
        except ValueError:
            pass  # also bytes that are not UTF-8
    return CheckedResponse(response.status, response.headers, body, is_json, ms)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
