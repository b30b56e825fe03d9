"""Recognise the format of a file by its content, and read it: exports, results, REST pages, older records."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_eval.domains.qase.formats.csv_export import FIRST_COLUMN, read_csv_export
from rl_eval.domains.qase.formats.flat_records import read_flat_records
from rl_eval.domains.qase.formats.history_csv import history_separator, read_history_csv
from rl_eval.domains.qase.formats.json_export import read_json_export
from rl_eval.domains.qase.formats.junit_xml import MAX_BYTES as MAX_JUNIT_BYTES
from rl_eval.domains.qase.formats.junit_xml import is_junit, read_junit
from rl_eval.domains.qase.formats.rest_pages import Pages, add_page
from rl_eval.domains.qase.formats.result_json import (
    read_bulk_request,
    read_test_history,
    read_v1_result,
    read_v2_result,
    run_id_text,
    time_field,
)
from rl_eval.domains.qase.formats.values import decode_utf8, parse_json, read_bytes, read_list, read_object
from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Project
from rl_eval.domains.qase.model.results import ResultsChunk, ResultsCollector
from rl_eval.errors import InputError

MAX_FILES = 200_000
MAX_RESULT_BYTES = 64 << 20  # a reporter puts attachments into the file of a result
_SUFFIXES = (".json", ".jsonl", ".csv", ".xml")
JUNIT = "a JUnit report"


@dataclass
class FileContents:
    """Everything read from the files so far."""

    notes: Notes = field(default_factory=Notes)
    kinds: dict[str, int] = field(default_factory=dict)
    pages: Pages = field(default_factory=Pages)
    projects: list[tuple[str, Project]] = field(default_factory=list)
    log: ExecutionLog | None = None
    results: ResultsCollector = field(init=False)

    def __post_init__(self) -> None:
        self.results = ResultsCollector(self.notes)

    def count_kind(self, kind: str) -> None:
        """Count one file of a kind."""
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Switch the garbage collector off: parsed files are trees, and searching them for cycles doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_results_only(files: Sequence[Path]) -> ResultsChunk | None:
    """The results of files that are all bulk requests; None if any is something else or invalid."""
    contents = FileContents()
    try:
        with without_garbage_collection():
            read_entries(files, contents)
    except InputError:
        return None
    return contents.results.chunk() if set(contents.kinds) == {"results in bulk"} else None


def read_entries(children: Sequence[Path], contents: FileContents) -> None:
    """Read the files, reporter folders and folders of JUnit reports among the entries of a folder; others are skipped.

    The JUnit reports of one folder below it are one run.
    """
    for child in children:
        if child.is_dir() and ((child / "run.json").is_file() or (child / "results").is_dir()):
            read_reporter_folder(child, contents)
        elif child.is_dir():
            for report in folder_entries(child):
                if report.suffix.lower() == ".xml" and report.is_file():
                    read_file(report, contents, run=child.name)
        elif child.is_file() and child.suffix.lower() in _SUFFIXES:
            read_file(child, contents)


def folder_entries(path: Path) -> Iterator[Path]:
    """The entries of a folder, sorted by name."""
    try:
        names = sorted(path.iterdir())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path and its permissions") from error
    if len(names) > MAX_FILES:
        raise InputError(f"{path} has {len(names)} files and at most {MAX_FILES} are read: give a part of them")
    yield from names


def read_reporter_folder(path: Path, contents: FileContents) -> None:
    """Read a reporter's folder: `run.json`, `results/*.json`, and the earlier runs of `test-history.json`."""
    contents.count_kind("a reporter's folder")
    started, name = math.nan, path.name or str(path)
    listed_ids: set[str] = set()
    if (path / "run.json").is_file():
        where = str(path / "run.json")
        values = read_object(parse_json(read_bytes(path / "run.json"), where), where)
        times = values.get("execution")
        if times is not None:
            started = time_field(read_object(times, f"{where}, field 'execution'"), "start_time", where)
        title = values.get("title")
        name = title if isinstance(title, str) and title else name
        entries = read_list(values.get("results"), f"{where}, field 'results'")
        listed_ids = {str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry}
    if not math.isnan(started):
        name = f"{name} @{started:.0f}"  # nightly runs have the same title
    run = contents.results.run(name, started)
    for file in folder_entries(path / "results") if (path / "results").is_dir() else ():
        if file.suffix.lower() != ".json" or not file.is_file():
            continue
        document = read_object(parse_json(read_bytes(file, MAX_RESULT_BYTES), str(file)), str(file))
        read_v2_result(document, run, str(file), contents.results)
        listed_ids.discard(str(document.get("id", file.stem)))
    for missing in sorted(listed_ids):
        contents.notes.add("run.json lists a result that has no file", f"{path}, id {missing[:60]}")
    history = path / "test-history.json"
    if history.is_file():
        values = read_object(parse_json(read_bytes(history), str(history)), str(history))
        read_test_history(values, started, str(history), contents.results)
        contents.count_kind("the history of a reporter's folder")


def read_file(path: Path, contents: FileContents, run: str | None = None) -> None:
    """Read one file of any known format.

    Args:
        run: the run that a JUnit report belongs to; None: it is a run of its own.
    """
    where = str(path)
    data = read_bytes(path)
    if not data.strip():
        raise InputError(f"{where} is empty: export it again")
    if path.suffix.lower() == ".jsonl":
        _read_lines(data, where, path.stem, contents)
        return
    data = data.removeprefix(b"\xef\xbb\xbf")
    first = data.lstrip()[:1]
    if first in (b"{", b"["):
        _read_document(parse_json(data, where), where, path.stem, contents)
        return
    if is_junit(data):
        if len(data) > MAX_JUNIT_BYTES:
            raise InputError(f"{where} has more than {MAX_JUNIT_BYTES >> 20} MiB: split the report")
        read_junit(data, where, run or path.stem, contents.results)
        contents.count_kind(JUNIT)
        return
    header = data[: (data + b"\n").index(b"\n")].decode("utf-8", "replace").strip()
    if history_separator(header) is not None:
        project, log = read_history_csv(data, where, contents.notes)
        if contents.log is not None:
            raise InputError(f"{where}: executions were already read from another file: give one of them")
        contents.projects.append((where, project))
        contents.log = log
        contents.count_kind("executions as CSV (Id;Name;…;Cycle)")
        return
    if header.split(",")[0].strip().strip('"') in FIRST_COLUMN.values():
        version = "V2" if "v2.id" in header.split(",")[0] else "V1"
        contents.projects.append((where, read_csv_export(data, where, contents.notes)))
        contents.count_kind(f"a CSV export, {version}")
        return
    decode_utf8(data, where)
    raise InputError(
        f"{where} is neither JSON, a JUnit report nor a known CSV: an export begins with 'id' or 'v2.id', and "
        "executions have the columns Name, Verdict and Cycle"
    )


def _read_lines(data: bytes, where: str, name: str, contents: FileContents) -> None:
    contents.count_kind("results, one per line")
    for number, line in enumerate(decode_utf8(data, where).split("\n"), 1):
        if line.strip():
            at = f"{where}, line {number}"
            _read_result(read_object(parse_json(line, at), at), name, at, contents)


def _read_result(values: dict[str, Any], name: str, where: str, contents: FileContents) -> None:
    run_id = values.get("run_id")
    run = contents.results.run(name if run_id is None else run_id_text(run_id, where))
    (read_v2_result if "execution" in values else read_v1_result)(values, run, where, contents.results)


def _read_document(document: Any, where: str, name: str, contents: FileContents) -> None:
    if isinstance(document, list):
        if document and isinstance(document[0], dict) and "test_name" not in document[0]:
            raise InputError(f"{where}, [0] has no 'test_name': a list is read as records with test_name and a result")
        contents.projects.append((where, read_flat_records(document, where, contents.notes, contents.results)))
        contents.count_kind("flat records")
    elif "tests" in document and "runs" in document:
        read_test_history(document, math.nan, where, contents.results)
        contents.count_kind("the history of a reporter's folder")
    elif "suites" in document or "cases" in document:
        contents.projects.append((where, read_json_export(document, where, contents.notes)))
        contents.count_kind("a JSON export")
    elif "result" in document and "execution" not in document:
        add_page(document, where, contents.pages)
        contents.count_kind("a response of the REST API")
    elif "results" in document:
        read_bulk_request(document, name, where, contents.results)
        contents.count_kind("results in bulk")
    elif "execution" in document:
        _read_result(document, name, where, contents)
        contents.count_kind("a result")
    else:
        raise InputError(
            f"{where} is JSON of an unknown form: give an export ('suites'), results ('results', 'execution'), "
            "API responses ('result') or a list of records with 'test_name'"
        )
