"""Load a project and its results from a file, a folder or Qase's REST API."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rl_eval.domains.qase.formats.recognise import (
    FileContents,
    folder_entries,
    read_entries,
    read_file,
    read_reporter_folder,
    without_garbage_collection,
)
from rl_eval.domains.qase.formats.rest_pages import collect_results, project_from_pages
from rl_eval.domains.qase.formats.second_process import SecondProcess, second_half_start
from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.join import JoinedResults, join
from rl_eval.domains.qase.model.project import Project
from rl_eval.domains.qase.model.results import Results
from rl_eval.errors import InputError


@dataclass(frozen=True)
class ImportedProject:
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
    joined: JoinedResults | None = field(repr=False)
    log: ExecutionLog | None = field(repr=False)
    notes: dict[str, tuple[int, str]]


def load(path: str, results: str | None = None) -> ImportedProject:
    """A project, its results, or both, from a file, a folder or `rest:<project code>`.

    Args:
        results: where the results lie, where they are not at `path`.

    Raises:
        InputError: nothing that is known, or a file that is faulty; with file, row and field.
    """
    with without_garbage_collection():
        return _load(path, results)


def _load(path: str, results: str | None) -> ImportedProject:
    gathering = FileContents()
    for place in (path, results):
        if place is not None:
            _read_source(place, gathering)
    pages = gathering.pages
    if pages.cases or pages.suites:
        gathering.projects.append((path, project_from_pages(pages, path, gathering.notes)))
    collect_results(pages, Path(path).stem, gathering.into)
    if len(gathering.projects) > 1:
        names = " and ".join(where for where, _ in gathering.projects[:2])
        raise InputError(f"{path} holds {len(gathering.projects)} projects ({names}): name one of them")
    project = gathering.projects[0][1] if gathering.projects else None
    found = gathering.into.build()
    if gathering.log is not None:
        if len(found):
            raise InputError(f"{path} holds executions with and without cases: name one of them")
        return ImportedProject(_kind_texts(gathering), project, None, None, gathering.log, gathering.notes.counts)
    if project is None and not len(found):
        raise InputError(f"{path} holds neither cases nor results: give an export of Qase, or results of its reporters")
    joined = join(project, found) if project is not None and len(found) else None
    log = None if joined is None else joined.log
    return ImportedProject(
        _kind_texts(gathering), project, found if len(found) else None, joined, log, gathering.notes.counts
    )


def _kind_texts(gathering: FileContents) -> tuple[str, ...]:
    return tuple(kind if count == 1 else f"{kind} ({count} files)" for kind, count in gathering.kinds.items())


def _read_source(place: str, into: FileContents) -> None:
    if place.startswith("rest:"):
        from rl_eval.domains.qase.formats.rest_client import connect, fetch_project, fetch_results

        code, connection = place.removeprefix("rest:"), connect()
        into.projects.append((place, fetch_project(connection, code, into.notes)))
        fetch_results(connection, code, into.into)
        into.found("Qase's REST API")
        return
    path = Path(place)
    if path.is_dir():
        _read_folder(path, into)
    elif path.is_file():
        read_file(path, into)
    else:
        raise InputError(f"{path} does not exist: give an export of Qase, a folder of results, or rest:<project code>")


def _read_folder(path: Path, into: FileContents) -> None:
    if (path / "run.json").is_file() or (path / "results").is_dir():
        read_reporter_folder(path, into)
        return
    children = list(folder_entries(path))
    half = second_half_start(children) if all(child.suffix.lower() == ".json" for child in children) else len(children)
    beside = SecondProcess(children[half:]) if half < len(children) else None
    try:
        read_entries(children[:half], into)
        part = beside.result() if beside else None
        if part is None:
            read_entries(children[half:], into)
        else:
            into.into.merge(part)
            into.kinds["results in bulk"] = into.kinds.get("results in bulk", 0) + len(children) - half
    finally:
        if beside:
            beside.close()
