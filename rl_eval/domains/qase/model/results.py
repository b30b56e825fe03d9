"""Results of test runs as columns, since there may be a million. Every status is kept as written."""

from __future__ import annotations

import math
import re
from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import normalise_text, short_repr
from rl_eval.errors import InputError

FAILED_STATUSES = ("failed", "broken")
PASSED_STATUSES = ("passed",)
MAX_PROJECTS = 1000  # that the results of one import may name
NEGATIVE_DURATION = "a result ends before it starts, or its duration is negative: read without a duration"
BEFORE_1970 = "a start time before 1970: read as unknown"
KNOWN_STATUSES = (*PASSED_STATUSES, *FAILED_STATUSES, "blocked", "skipped", "invalid", "in_progress", "muted")


@dataclass(frozen=True)
class QaseRun:
    """A test run; each run is one test cycle.

    Attributes:
        started: seconds since 1970, NaN if unknown.
        from_history: known only from a reporter's `test-history.json`.
    """

    name: str
    started: float = math.nan
    from_history: bool = False


@dataclass(frozen=True)
class Results:
    """R results, ordered by run and, within a run, as in the files.

    Attributes:
        runs: in order of time.
        run: `[R]` int32, index into `runs`.
        statuses: the distinct statuses as written.
        status: `[R]` int16, index into `statuses`.
        muted: `[R]` bool.
        duration_ms: `[R]` float64, NaN if unknown.
        started: `[R]` float64, seconds since 1970, NaN if unknown.
        names: the distinct (signature, title, suite path).
        name: `[R]` int32, index into `names`.
        case_ids: `[I]` int64, the Qase ids of all results, concatenated.
        id_project: `[I]` int16, index into `projects`: the project that each id belongs to.
        projects: the distinct project codes; empty text: the project that is read.
        case_start: `[R + 1]` int64, where in `case_ids` the ids of each result begin.
    """

    runs: tuple[QaseRun, ...]
    run: np.ndarray = field(repr=False)
    statuses: tuple[str, ...]
    status: np.ndarray = field(repr=False)
    muted: np.ndarray = field(repr=False)
    duration_ms: np.ndarray = field(repr=False)
    started: np.ndarray = field(repr=False)
    names: tuple[tuple[str, str, tuple[str, ...]], ...] = field(repr=False)
    name: np.ndarray = field(repr=False)
    case_ids: np.ndarray = field(repr=False)
    id_project: np.ndarray = field(repr=False)
    projects: tuple[str, ...]
    case_start: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.run)

    def counts(self, *, from_history: bool = False) -> dict[str, int]:
        """Status -> number of results, of the runs themselves or of those known only from a history."""
        selected = np.array([run.from_history for run in self.runs], bool)
        rows = self.status[selected[self.run] == from_history] if len(self) else self.status
        counts = np.bincount(rows, minlength=len(self.statuses)).tolist()
        return {status: count for status, count in zip(self.statuses, counts, strict=True) if count}


@dataclass(frozen=True)
class ResultsChunk:
    """Results that one process read, to send to another: plain JSON and columns."""

    header: dict[str, Any] = field(repr=False)
    arrays: dict[str, np.ndarray] = field(repr=False)


class ResultsCollector:
    """Collects results one by one; `build` orders the runs by time and returns columns."""

    def __init__(self, notes: Notes):
        self._notes = notes
        self._runs: dict[str, float] = {}
        self._run_index: dict[str, int] = {}
        self._from_history: set[str] = set()
        self._statuses: dict[str, int] = {}
        self._written: dict[str, int] = {}  # as files spell them
        self._names: dict[tuple[str, str, tuple[str, ...]], int] = {}
        self._columns: dict[str, array[float]] = {name: array(kind) for name, kind in _COLUMNS.items()}
        self._appends = [column.append for column in self._columns.values()]
        self._ids, self._id_projects, self._ends = array("q"), array("h"), array("q")
        self._projects = {"": 0}

    def note(self, sentence: str, where: str) -> None:
        """Count something that was read as unknown."""
        self._notes.add(sentence, where)

    def run(self, name: str, started: float = math.nan, *, from_history: bool = False) -> int:
        """The index of a run, added if new. A start time, where known, replaces an unknown one."""
        if started < 0:
            self._notes.add(BEFORE_1970, name)
            started = math.nan
        if from_history and name not in self._run_index:
            self._from_history.add(name)
        index = self._run_index.setdefault(name, len(self._run_index))
        if not math.isnan(started) or name not in self._runs:
            self._runs[name] = started
        return index

    def add(
        self, run: int, status: str, where: str, *, muted: bool, duration_ms: float, started: float,
        signature: str, title: str, path: tuple[str, ...],
        ids: tuple[int, ...] | dict[str, tuple[int, ...]],
    ) -> None:  # fmt: skip
        """Add one result. A negative duration or start time counts as unknown.

        Args:
            ids: its cases, or its cases in each project by the project's code.

        Raises:
            InputError: no status, too many different ones, or too many projects.
        """
        if not status:
            raise InputError(f"{where}, field 'status': it is missing, and every result needs one: export again")
        if duration_ms < 0:
            self._notes.add(NEGATIVE_DURATION, where)
            duration_ms = math.nan
        if started < 0:
            self._notes.add(BEFORE_1970, where)
            started = math.nan
        code = self._written.get(status)
        if code is None:
            written, status = status, status.strip().lower()
            code = self._written[written] = self._statuses.setdefault(status, len(self._statuses))
            if len(self._written) > 1000:
                raise InputError(f"{where}: more than 1000 different statuses: the field 'status' is not a status")
            if status not in KNOWN_STATUSES:
                self._notes.add(_custom_status_note(status), where)
        name = (signature, title, path)
        key = self._names.get(name)
        if key is None:
            try:
                key = self._names.setdefault(
                    (normalise_text(signature), normalise_text(title), tuple(map(normalise_text, path))),
                    len(self._names),
                )
            except ValueError as error:
                raise InputError(f"{where}: {error}: export again") from error
        to_run, to_status, to_muted, to_duration, to_started, to_name = self._appends
        to_run(run)
        to_status(code)
        to_muted(muted)
        to_duration(duration_ms)
        to_started(started)
        to_name(key)
        if ids:
            self._add_ids(ids, where)
        self._ends.append(len(self._ids))

    def _add_ids(self, ids: tuple[int, ...] | dict[str, tuple[int, ...]], where: str) -> None:
        for project, own_ids in ids.items() if isinstance(ids, dict) else (("", ids),):
            code = self._projects.setdefault(project, len(self._projects))
            if code > MAX_PROJECTS:
                raise InputError(f"{where}: results of more than {MAX_PROJECTS} projects: give those of one project")
            self._ids.extend(own_ids)
            self._id_projects.extend([code] * len(own_ids))

    def chunk(self) -> ResultsChunk:
        """Everything collected, for `merge` in another process."""
        header = {
            "runs": [[name, self._runs[name], name in self._from_history] for name in self._run_index],
            "written": self._written,
            "statuses": list(self._statuses),
            "names": list(self._names),
            "projects": list(self._projects),
            "notes": self._notes.counts,
        }
        columns: dict[str, np.ndarray] = {
            name: np.array(column, _DTYPES[column.typecode]) for name, column in self._columns.items()
        }
        return ResultsChunk(
            header,
            {
                **columns,
                "ids": np.array(self._ids, np.int64),
                "id_projects": np.array(self._id_projects, np.int16),
                "ends": np.array(self._ends, np.int64),
            },
        )

    def merge(self, chunk: ResultsChunk) -> None:
        """Add what another process collected, as if it had been read here."""
        header, arrays = chunk.header, chunk.arrays
        runs = [self.run(name, started, from_history=from_history) for name, started, from_history in header["runs"]]
        statuses = [self._statuses.setdefault(status, len(self._statuses)) for status in header["statuses"]]
        repeated = [spelt for spelt in header["written"] if spelt in self._written]
        self._written = {**{spelt: statuses[code] for spelt, code in header["written"].items()}, **self._written}
        names = [
            self._names.setdefault((signature, title, tuple(path)), len(self._names))
            for signature, title, path in header["names"]
        ]
        places = {"run": runs, "status": statuses, "name": names}
        for column, column_values in self._columns.items():
            values = arrays[column]
            if column in places:
                values = np.array(places[column], values.dtype).take(values) if len(values) else values
            column_values.frombytes(np.ascontiguousarray(values, _DTYPES[column_values.typecode]).tobytes())
        self._ends.frombytes((arrays["ends"] + len(self._ids)).astype(np.int64).tobytes())
        self._ids.frombytes(arrays["ids"].astype(np.int64).tobytes())
        projects = [self._projects.setdefault(project, len(self._projects)) for project in header["projects"]]
        self._id_projects.frombytes(np.array(projects, np.int16)[arrays["id_projects"]].tobytes())
        for sentence, (count, first) in header["notes"].items():
            already_noted = sum(_custom_status_note(spelt.strip().lower()) == sentence for spelt in repeated)
            if count > already_noted:
                before, first_place = self._notes.counts.get(sentence, (0, first))
                self._notes.counts[sentence] = (before + count - already_noted, first_place)

    def build(self) -> Results:
        """The results as columns. Runs are ordered by start time, or by name if any start is unknown."""
        table: dict[str, np.ndarray] = {
            name: np.array(column, _DTYPES[column.typecode]) for name, column in self._columns.items()
        }
        names = list(self._run_index)
        started = np.array([self._runs[name] for name in names])
        first = np.full(len(names), np.inf)
        has_start = ~np.isnan(table["started"])
        np.minimum.at(first, table["run"][has_start], table["started"][has_start])
        started = np.where(np.isnan(started) & np.isfinite(first), first, started)
        if np.isnan(started).any():
            if len(names) > 1:
                self._notes.add("a run has no start time: runs are ordered by name", names[0])
            ranked = sorted(range(len(names)), key=lambda i: _natural(names[i]))
        else:
            ranked = sorted(range(len(names)), key=lambda i: (started[i], _natural(names[i])))
        rank = np.empty(len(names), np.int32)
        rank[ranked] = np.arange(len(names))
        run = rank[table["run"]] if len(names) else table["run"]
        order = np.argsort(run, kind="stable")
        ends = np.array(self._ends, np.int64)
        starts, ids = np.concatenate([[0], ends[:-1]])[: len(ends)], np.array(self._ids, np.int64)
        counts = (ends - starts)[order]
        case_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        id_order = np.repeat(starts[order] - case_start[:-1], counts) + np.arange(len(ids))
        return Results(
            runs=tuple(QaseRun(names[i], float(started[i]), names[i] in self._from_history) for i in ranked),
            run=run[order],
            statuses=tuple(self._statuses),
            status=table["status"][order],
            muted=table["muted"][order],
            duration_ms=table["duration_ms"][order],
            started=table["started"][order],
            names=tuple(self._names),
            name=table["name"][order],
            case_ids=ids[id_order],
            id_project=np.array(self._id_projects, np.int16)[id_order],
            projects=tuple(self._projects),
            case_start=case_start,
        )


_COLUMNS = {"run": "i", "status": "h", "muted": "b", "duration_ms": "d", "started": "d", "name": "i"}
_DTYPES = {"i": np.int32, "h": np.int16, "b": np.bool_, "d": np.float64}


def _custom_status_note(status: str) -> str:
    return f"the status {short_repr(status)} is a custom status: neither passed nor failed"


def _natural(name: str) -> list[tuple[int, str]]:
    """`run-9` before `run-10`."""
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(re.split(r"([0-9]{1,18})", name))]
