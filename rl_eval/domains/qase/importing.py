"""What lies at a path, told by its content, and read into one project and the results of its runs."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_eval.domains.qase.beside import Beside, second_half
from rl_eval.domains.qase.csv_export import FIRST, read_csv_export
from rl_eval.domains.qase.flat import read_flat
from rl_eval.domains.qase.history import read_history
from rl_eval.domains.qase.join import Joined, join
from rl_eval.domains.qase.json_export import read_json_export
from rl_eval.domains.qase.log import Log
from rl_eval.domains.qase.model import Project
from rl_eval.domains.qase.reading import Notes, decoded, listed, mapping, parse_json, read_bytes
from rl_eval.domains.qase.rest_pages import Pages, assemble, collect, sort_page
from rl_eval.domains.qase.result_object import read_bulk, read_test_history, read_v1, read_v2, run_name, seconds_of
from rl_eval.domains.qase.results import Collecting, Part, Results
from rl_eval.errors import InputError

MAX_FILES = 200_000
MAX_RESULT_BYTES = 64 << 20  # a reporter puts attachments into the file of a result
_SUFFIXES = (".json", ".jsonl", ".csv")


@dataclass(frozen=True)
class Imported:
    """What was read.

    Attributes:
        kinds: what the files were, in words.
        project: None where there are results alone.
        results: None where there are cases alone, and for the history CSV, whose executions need no joining.
        joined: results and cases brought together; None where one of them is missing.
        log: the executions by case and cycle; None where there are none.
        notes: sentence -> (how often, where first): what was read in good faith.
    """

    kinds: tuple[str, ...]
    project: Project | None = field(repr=False)
    results: Results | None = field(repr=False)
    joined: Joined | None = field(repr=False)
    log: Log | None = field(repr=False)
    notes: dict[str, tuple[int, str]]


@dataclass
class _Gathering:
    notes: Notes = field(default_factory=Notes)
    kinds: dict[str, int] = field(default_factory=dict)
    pages: Pages = field(default_factory=Pages)
    projects: list[tuple[str, Project]] = field(default_factory=list)
    log: Log | None = None
    into: Collecting = field(init=False)

    def __post_init__(self) -> None:
        self.into = Collecting(self.notes)

    def found(self, kind: str) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


def load(path: str, results: str | None = None) -> Imported:
    """A project, its results, or both, from a file, a folder or `rest:<project code>`.

    Args:
        results: where the results lie, where they are not at `path`.

    Raises:
        InputError: nothing that is known, or a file that is faulty; with file, row and field.
    """
    with _no_cycles():
        return _load(path, results)


@contextmanager
def _no_cycles() -> Iterator[None]:
    """Parsed files are trees: looking for cycles among millions of their parts doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _load(path: str, results: str | None) -> Imported:
    gathering = _Gathering()
    for place in (path, results):
        if place is not None:
            _gather(place, gathering)
    pages = gathering.pages
    if pages.cases or pages.suites:
        gathering.projects.append((path, assemble(pages, path, gathering.notes)))
    collect(pages, Path(path).stem, gathering.into)
    if len(gathering.projects) > 1:
        names = " and ".join(where for where, _ in gathering.projects[:2])
        raise InputError(f"{path} holds {len(gathering.projects)} projects ({names}): name one of them")
    project = gathering.projects[0][1] if gathering.projects else None
    found = gathering.into.finished()
    if gathering.log is not None:
        if len(found):
            raise InputError(f"{path} holds executions with and without cases: name one of them")
        return Imported(_told(gathering), project, None, None, gathering.log, gathering.notes.said)
    if project is None and not len(found):
        raise InputError(f"{path} holds neither cases nor results: give an export of Qase, or results of its reporters")
    joined = join(project, found) if project is not None and len(found) else None
    log = None if joined is None else joined.log
    return Imported(_told(gathering), project, found if len(found) else None, joined, log, gathering.notes.said)


def _told(gathering: _Gathering) -> tuple[str, ...]:
    return tuple(kind if count == 1 else f"{kind} ({count} files)" for kind, count in gathering.kinds.items())


def _gather(place: str, into: _Gathering) -> None:
    if place.startswith("rest:"):
        from rl_eval.domains.qase.rest import connect, fetch_project, fetch_results

        code, connection = place.removeprefix("rest:"), connect()
        into.projects.append((place, fetch_project(connection, code, into.notes)))
        fetch_results(connection, code, into.into)
        into.found("Qase's REST API")
        return
    path = Path(place)
    if path.is_dir():
        _folder(path, into)
    elif path.is_file():
        _file(path, into)
    else:
        raise InputError(f"{path} does not exist: give an export of Qase, a folder of results, or rest:<project code>")


def _folder(path: Path, into: _Gathering) -> None:
    if (path / "run.json").is_file() or (path / "results").is_dir():
        _reporter_folder(path, into)
        return
    children = list(_children(path))
    half = second_half(children) if all(child.suffix.lower() == ".json" for child in children) else len(children)
    beside = Beside(children[half:]) if half < len(children) else None
    try:
        _each(children[:half], into)
        part = beside.result() if beside else None
        if part is None:
            _each(children[half:], into)
        else:
            into.into.absorb(part)
            into.kinds["results in bulk"] = into.kinds.get("results in bulk", 0) + len(children) - half
    finally:
        if beside:
            beside.close()


def results_alone(files: Sequence[Path]) -> Part | None:
    """What bulk requests in some files hold; None where one of them holds anything else, or is faulty."""
    into = _Gathering()
    try:
        with _no_cycles():
            _each(files, into)
    except InputError:
        return None
    return into.into.part() if set(into.kinds) == {"results in bulk"} else None


def _each(children: Sequence[Path], into: _Gathering) -> None:
    for child in children:
        if child.is_dir() and ((child / "run.json").is_file() or (child / "results").is_dir()):
            _reporter_folder(child, into)
        elif child.is_file() and child.suffix.lower() in _SUFFIXES:
            _file(child, into)


def _children(path: Path) -> Iterator[Path]:
    try:
        names = sorted(path.iterdir())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name a folder that can") from error
    if len(names) > MAX_FILES:
        raise InputError(f"{path} holds {len(names)} files and at most {MAX_FILES} are read: name a part of it")
    yield from names


def _reporter_folder(path: Path, into: _Gathering) -> None:
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
    for file in _children(path / "results") if (path / "results").is_dir() else ():
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


def _file(path: Path, into: _Gathering) -> None:
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


def _lines(data: bytes, where: str, name: str, into: _Gathering) -> None:
    into.found("results, one a line")
    for number, line in enumerate(decoded(data, where).split("\n"), 1):
        if line.strip():
            at = f"{where}, line {number}"
            _one_result(mapping(parse_json(line, at), at), name, at, into)


def _one_result(values: dict[str, Any], name: str, where: str, into: _Gathering) -> None:
    own = values.get("run_id")
    run = into.into.run(name if own is None else run_name(own, where))
    (read_v2 if "execution" in values else read_v1)(values, run, where, into.into)


def _document(document: Any, where: str, name: str, into: _Gathering) -> None:
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
