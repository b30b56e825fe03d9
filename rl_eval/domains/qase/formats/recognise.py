"""Recognise what a file holds by its content, and read it: exports, results, REST pages, older records."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_eval.domains.qase.formats.csv_export import FIRST, read_csv_export
from rl_eval.domains.qase.formats.flat_records import read_flat
from rl_eval.domains.qase.formats.history_csv import read_history
from rl_eval.domains.qase.formats.json_export import read_json_export
from rl_eval.domains.qase.formats.rest_pages import Pages, sort_page
from rl_eval.domains.qase.formats.result_json import (
    read_bulk,
    read_test_history,
    read_v1,
    read_v2,
    run_name,
    seconds_of,
)
from rl_eval.domains.qase.formats.values import decoded, listed, mapping, parse_json, read_bytes
from rl_eval.domains.qase.model.execution_log import Log
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Project
from rl_eval.domains.qase.model.results import Collecting, Part
from rl_eval.errors import InputError

MAX_FILES = 200_000
MAX_RESULT_BYTES = 64 << 20  # a reporter puts attachments into the file of a result
_SUFFIXES = (".json", ".jsonl", ".csv")


@dataclass
class Gathered:
    """What the files read so far held."""

    notes: Notes = field(default_factory=Notes)
    kinds: dict[str, int] = field(default_factory=dict)
    pages: Pages = field(default_factory=Pages)
    projects: list[tuple[str, Project]] = field(default_factory=list)
    log: Log | None = None
    into: Collecting = field(init=False)

    def __post_init__(self) -> None:
        self.into = Collecting(self.notes)

    def found(self, kind: str) -> None:
        """Count one more file of a kind."""
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


@contextmanager
def collector_off() -> Iterator[None]:
    """Parsed files are trees: looking for cycles among millions of their parts doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def results_alone(files: Sequence[Path]) -> Part | None:
    """What bulk requests in some files hold; None where one of them holds anything else, or is faulty."""
    into = Gathered()
    try:
        with collector_off():
            read_entries(files, into)
    except InputError:
        return None
    return into.into.part() if set(into.kinds) == {"results in bulk"} else None


def read_entries(children: Sequence[Path], into: Gathered) -> None:
    """Read the files and reporter folders among the entries of a folder; other files are skipped."""
    for child in children:
        if child.is_dir() and ((child / "run.json").is_file() or (child / "results").is_dir()):
            reporter_folder(child, into)
        elif child.is_file() and child.suffix.lower() in _SUFFIXES:
            read_file(child, into)


def entries_of(path: Path) -> Iterator[Path]:
    """What a folder holds, sorted by name."""
    try:
        names = sorted(path.iterdir())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name a folder that can") from error
    if len(names) > MAX_FILES:
        raise InputError(f"{path} holds {len(names)} files and at most {MAX_FILES} are read: name a part of it")
    yield from names


def reporter_folder(path: Path, into: Gathered) -> None:
    """`run.json`, `results/*.json`, and the earlier runs of `test-history.json`."""
    into.found("a reporter's folder")
    started, name = math.nan, path.name or str(path)
    listed_ids: set[str] = set()
    if (path / "run.json").is_file():
        where = str(path / "run.json")
        values = mapping(parse_json(read_bytes(path / "run.json"), where), where)
        times = values.get("execution")
        if times is not None:
            started = seconds_of(mapping(times, f"{where}, field 'execution'"), "start_time", where)
        title = values.get("title")
        name = title if isinstance(title, str) and title else name
        entries = listed(values.get("results"), f"{where}, field 'results'")
        listed_ids = {str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry}
    if not math.isnan(started):
        name = f"{name} @{started:.0f}"  # the same title comes every night
    run = into.into.run(name, started)
    for file in entries_of(path / "results") if (path / "results").is_dir() else ():
        if file.suffix.lower() != ".json" or not file.is_file():
            continue
        document = mapping(parse_json(read_bytes(file, MAX_RESULT_BYTES), str(file)), str(file))
        read_v2(document, run, str(file), into.into)
        listed_ids.discard(str(document.get("id", file.stem)))
    for missing in sorted(listed_ids):
        into.notes.add("run.json lists a result that has no file: it is missing here", f"{path}, id {missing[:60]}")
    history = path / "test-history.json"
    if history.is_file():
        values = mapping(parse_json(read_bytes(history), str(history)), str(history))
        read_test_history(values, started, str(history), into.into)
        into.found("the history of a reporter's folder")


def read_file(path: Path, into: Gathered) -> None:
    """Read one file, whatever of the known forms it has."""
    where = str(path)
    data = read_bytes(path)
    if not data.strip():
        raise InputError(f"{where} is empty: export it again")
    if path.suffix.lower() == ".jsonl":
        _lines(data, where, path.stem, into)
        return
    data = data.removeprefix(b"\xef\xbb\xbf")
    first = data.lstrip()[:1]
    if first in (b"{", b"["):
        _document(parse_json(data, where), where, path.stem, into)
        return
    header = data[: (data + b"\n").index(b"\n")].decode("utf-8", "replace").strip()
    if header.startswith("Id;") or ";LastResults" in header:
        project, log = read_history(data, where, into.notes)
        if into.log is not None:
            raise InputError(f"{where}: executions of another file were read already: name one of them")
        into.projects.append((where, project))
        into.log = log
        into.found("executions as CSV (Id;Name;…;Cycle)")
        return
    if header.split(",")[0].strip().strip('"') in FIRST.values():
        version = "V2" if "v2.id" in header.split(",")[0] else "V1"
        into.projects.append((where, read_csv_export(data, where, into.notes)))
        into.found(f"a CSV export, {version}")
        return
    decoded(data, where)
    raise InputError(
        f"{where} is neither JSON nor a known CSV: an export begins with 'id' or 'v2.id', executions with 'Id;Name;'"
    )


def _lines(data: bytes, where: str, name: str, into: Gathered) -> None:
    into.found("results, one a line")
    for number, line in enumerate(decoded(data, where).split("\n"), 1):
        if line.strip():
            at = f"{where}, line {number}"
            _one_result(mapping(parse_json(line, at), at), name, at, into)


def _one_result(values: dict[str, Any], name: str, where: str, into: Gathered) -> None:
    own = values.get("run_id")
    run = into.into.run(name if own is None else run_name(own, where))
    (read_v2 if "execution" in values else read_v1)(values, run, where, into.into)


def _document(document: Any, where: str, name: str, into: Gathered) -> None:
    if isinstance(document, list):
        if document and isinstance(document[0], dict) and "test_name" not in document[0]:
            raise InputError(f"{where}, [0] has no 'test_name': a list is read as records with test_name and a result")
        into.projects.append((where, read_flat(document, where, into.notes, into.into)))
        into.found("flat records")
    elif "tests" in document and "runs" in document:
        read_test_history(document, math.nan, where, into.into)
        into.found("the history of a reporter's folder")
    elif "suites" in document or "cases" in document:
        into.projects.append((where, read_json_export(document, where, into.notes)))
        into.found("a JSON export")
    elif "result" in document and "execution" not in document:
        sort_page(document, where, into.pages)
        into.found("an answer of the REST API")
    elif "results" in document:
        read_bulk(document, name, where, into.into)
        into.found("results in bulk")
    elif "execution" in document:
        _one_result(document, name, where, into)
        into.found("a result")
    else:
        raise InputError(
            f"{where} is JSON of no known form: give an export ('suites'), results ('results', 'execution'), answers "
            "of the API ('result') or a list of records with 'test_name'"
        )
