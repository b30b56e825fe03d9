"""Load a project and its results from a file, a folder or Qase's REST API."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from rl_eval.domains.qase.formats.junit_project import project_of_tests
from rl_eval.domains.qase.formats.recognise import (
    JUNIT,
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
from rl_eval.domains.qase.model.project import Project, short_repr
from rl_eval.domains.qase.model.results import Results
from rl_eval.errors import InputError


@dataclass(frozen=True)
class ImportedProject:
    """Everything that was read.

    Attributes:
        kinds: the formats of the files, in words.
        project: None if only results were read.
        results: None if only cases were read, or a history CSV, whose executions need no joining.
        joined: the results joined to the cases; None if either is missing, or if JUnit's tests are the cases.
        log: the executions by case and cycle; None without results.
        notes: what was accepted although it looks unusual: sentence -> (count, first location).
    """

    kinds: tuple[str, ...]
    project: Project | None = field(repr=False)
    results: Results | None = field(repr=False)
    joined: JoinedResults | None = field(repr=False)
    log: ExecutionLog | None = field(repr=False)
    notes: dict[str, tuple[int, str]]


# DEMO, or as Qase names its exports: DEMO-2026-02-18
_PROJECT_CODE = re.compile(r"(?:^|.*[_ -])([A-Z][A-Z0-9]{1,9})(?:-\d{4}-\d{2}-\d{2})?")


def load(path: str, results: str | None = None) -> ImportedProject:
    """Load a project, its results, or both, from a file, a folder or `rest:<project code>`.

    Args:
        results: path of the results, if they are not at `path`.

    Raises:
        InputError: an unknown format or an invalid file, with file, row and field.
    """
    with without_garbage_collection():
        return _load(path, results)


def _load(path: str, results_path: str | None) -> ImportedProject:
    contents = FileContents()
    for source in (path, results_path):
        if source is not None:
            _read_source(source, contents)
    pages = contents.pages
    if pages.cases or pages.suites:
        contents.projects.append((path, project_from_pages(pages, path, contents.notes)))
    collect_results(pages, Path(path).stem, contents.results)
    if len(contents.projects) > 1:
        names = " and ".join(where for where, _ in contents.projects[:2])
        raise InputError(f"{path} has {len(contents.projects)} projects ({names}): give one of them")
    project = contents.projects[0][1] if contents.projects else None
    results = contents.results.build()
    if contents.log is not None:
        if len(results):
            raise InputError(f"{path} has a history CSV and other results: give one of them")
        return ImportedProject(_kind_texts(contents), project, None, None, contents.log, contents.notes.counts)
    if project is None and not len(results):
        raise InputError(
            f"{path} has neither cases nor results: give a Qase export, results of its reporters, or JUnit reports"
        )
    if project is None and set(contents.kinds) == {JUNIT}:
        tests, executions = project_of_tests(results, path)
        return ImportedProject(_kind_texts(contents), tests, results, None, executions, contents.notes.counts)
    joined = None
    if project is not None and len(results):
        code = project_code(contents.projects[0][0])
        mapped = [name for name in results.projects if name]
        if mapped and code not in mapped:
            names = ", ".join(map(short_repr, mapped[:5]))
            contents.notes.add(
                f"results name their projects ({names}), and the name of the export has none of them: those results "
                "are not joined; name the export like DEMO-2026-02-18.json, with the code of its project",
                contents.projects[0][0],
            )
        joined = join(project, results, code)
    log = None if joined is None else joined.log
    return ImportedProject(
        _kind_texts(contents), project, results if len(results) else None, joined, log, contents.notes.counts
    )


def project_code(where: str) -> str:
    """The code of a project by its location; empty if the location has none."""
    if where.startswith("rest:"):
        return where.removeprefix("rest:").upper()
    match = _PROJECT_CODE.fullmatch(Path(where).stem)
    return match[1] if match else ""


def _kind_texts(gathering: FileContents) -> tuple[str, ...]:
    return tuple(kind if count == 1 else f"{kind} ({count} files)" for kind, count in gathering.kinds.items())


def _read_source(source: str, contents: FileContents) -> None:
    if source.startswith("rest:"):
        from rl_eval.domains.qase.formats.rest_client import connect, fetch_project, fetch_results

        code, connection = source.removeprefix("rest:"), connect()
        contents.projects.append((source, fetch_project(connection, code, contents.notes)))
        fetch_results(connection, code, contents.results)
        contents.count_kind("Qase's REST API")
        return
    path = Path(source)
    if path.is_dir():
        _read_folder(path, contents)
    elif path.is_file():
        read_file(path, contents)
    else:
        raise InputError(f"{path} does not exist: give a Qase export, a folder of results, or rest:<project code>")


def _read_folder(path: Path, contents: FileContents) -> None:
    if (path / "run.json").is_file() or (path / "results").is_dir():
        read_reporter_folder(path, contents)
        return
    children = list(folder_entries(path))
    half = second_half_start(children) if all(child.suffix.lower() == ".json" for child in children) else len(children)
    second_process = SecondProcess(children[half:]) if half < len(children) else None
    try:
        read_entries(children[:half], contents)
        part = second_process.result() if second_process else None
        if part is None:
            read_entries(children[half:], contents)
        else:
            contents.results.merge(part)
            contents.kinds["results in bulk"] = contents.kinds.get("results in bulk", 0) + len(children) - half
    finally:
        if second_process:
            second_process.close()
