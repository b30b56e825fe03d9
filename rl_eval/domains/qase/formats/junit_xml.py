"""Read JUnit XML reports, as pytest, Surefire, Jest, Playwright and others write them.

A report that declares a document type is refused, so it can define no entities: nothing is expanded and nothing is
fetched. Size, nesting and number of tests are bounded.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from xml.parsers import expat

from rl_eval.domains.qase.model.project import short_repr
from rl_eval.domains.qase.model.results import ResultsCollector
from rl_eval.errors import InputError

MAX_BYTES = 256 << 20
MAX_DEPTH = 64
MAX_TESTS = 1_000_000
MAX_NAME = 4096  # characters of a test's name or class
NO_SECONDS = "the time of a test is not a number of seconds: read as unknown"
NO_TIMESTAMP = "a timestamp is not an ISO 8601 time: read as unknown"
ROOTS = ("testsuites", "testsuite")
# Elements below a test case, and the status that they mean; the first of them decides.
_STATUSES = {"failure": "failed", "error": "broken", "skipped": "skipped"}
_ID_PROPERTY = "qase_id"
_IDS_IN_NAME = re.compile(r"\(Qase ID: ([0-9]{1,18}(?:, ?[0-9]{1,18})*)\)")


@dataclass
class _Test:
    line: int
    name: str
    classname: str
    duration_ms: float
    started: float
    status: str = "passed"
    ids: tuple[int, ...] = ()


def is_junit(data: bytes) -> bool:
    """Whether a document begins as XML does."""
    return data.lstrip()[:1] == b"<"


def read_junit(data: bytes, where: str, run: str, results: ResultsCollector) -> None:
    """Add the results of one report to a run. A test is named by its class and name.

    A result is joined to cases by a property `qase_id` of the test, or by `(Qase ID: 1, 2)` in its name.

    Raises:
        InputError: not XML, another root, a document type, a wrong value, or more than the limits allow.
    """
    reader = _Reader(where)
    reader.read(data)
    for sentence, line in reader.notes:
        results.note(sentence, f"{where}, line {line}")
    index = results.run(run)
    for test in reader.tests:
        results.add(
            index, test.status, f"{where}, line {test.line}", muted=False, duration_ms=test.duration_ms,
            started=test.started, signature="", title=test.name,
            path=tuple(part for part in test.classname.split(".") if part), ids=test.ids,
        )  # fmt: skip


class _Reader:
    def __init__(self, where: str):
        self._where = where
        self._open: list[str] = []
        self._suites: list[tuple[str, float]] = []  # name and start of each open suite
        self._test: _Test | None = None
        self.tests: list[_Test] = []
        self.notes: list[tuple[str, int]] = []  # what was read as unknown, and the line
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def read(self, data: bytes) -> None:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise InputError(
                f"{self._where}, line {error.lineno}: not XML ({reason}): write the report again"
            ) from error

    def _error(self, problem: str, advice: str) -> InputError:
        return InputError(f"{self._where}, line {self._parser.CurrentLineNumber}: {problem}: {advice}")

    def _doctype(self, *_: object) -> None:
        raise self._error("the report declares a document type, which no JUnit report needs", "remove it")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._open and tag not in ROOTS:
            raise self._error(f"the root is {short_repr(tag)}", "a JUnit report has testsuites or testsuite")
        self._open.append(tag)
        if len(self._open) > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep", "give a JUnit report")
        if tag == "testsuite":
            started = self._time(attributes.get("timestamp", ""))
            if math.isnan(started) and self._suites:
                started = self._suites[-1][1]
            self._suites.append((attributes.get("name", ""), started))
        elif tag == "testcase":
            self._test = self._new_test(attributes)
        elif self._test is not None and tag in _STATUSES and self._test.status == "passed":
            self._test.status = _STATUSES[tag]
        elif self._test is not None and tag == "property" and attributes.get("name") == _ID_PROPERTY:
            self._test.ids = self._ids(attributes.get("value", ""))

    def _end(self, tag: str) -> None:
        self._open.pop()
        if tag == "testsuite":
            self._suites.pop()
        elif tag == "testcase" and self._test is not None:
            self.tests.append(self._test)
            self._test = None

    def _new_test(self, attributes: dict[str, str]) -> _Test:
        if self._test is not None:
            raise self._error("a testcase within a testcase", "write the report again")
        if len(self.tests) >= MAX_TESTS:
            raise self._error(f"more than {MAX_TESTS:,} tests", "split the report")
        suite, started = self._suites[-1] if self._suites else ("", math.nan)
        name, classname = attributes.get("name", ""), attributes.get("classname", "") or suite
        if not name.strip():
            raise self._error("a testcase without a name", "every test needs one")
        if max(len(name), len(classname)) > MAX_NAME:
            raise self._error(f"a test's name or class has more than {MAX_NAME} characters", "shorten it")
        listed = _IDS_IN_NAME.search(name)
        return _Test(
            line=self._parser.CurrentLineNumber,
            name=name,
            classname=classname,
            duration_ms=1000 * self._number(attributes.get("time", "")),
            started=started,
            ids=self._ids(listed[1]) if listed else (),
        )

    def _number(self, text: str) -> float:
        """Seconds, with separators of thousands as Surefire writes them; NaN if there is no such number."""
        if not text.strip():
            return math.nan
        try:
            value = float(text.replace(",", ""))
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
        self.notes.append((NO_SECONDS, self._parser.CurrentLineNumber))
        return math.nan

    def _time(self, text: str) -> float:
        """Seconds since 1970 of an ISO 8601 time, without a zone in UTC; NaN if there is no such time."""
        if not text.strip():
            return math.nan
        try:
            moment = datetime.datetime.fromisoformat(text.strip())
        except ValueError:
            self.notes.append((NO_TIMESTAMP, self._parser.CurrentLineNumber))
            return math.nan
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()

    def _ids(self, text: str) -> tuple[int, ...]:
        ids = re.findall(r"[0-9]+", text)
        if not ids or any(len(digits) > 18 or int(digits) < 1 for digits in ids):
            raise self._error(f"{short_repr(text)} where ids of Qase cases are needed", "give numbers such as 12")
        return tuple(int(digits) for digits in ids)
