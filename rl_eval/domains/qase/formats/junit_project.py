"""A project made only from results: every test that ran is a case, and its class is its suite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.domains.qase.model.execution_log import ExecutionLog, result_verdicts
from rl_eval.domains.qase.model.project import Case, CaseSuite, Project, build_project
from rl_eval.domains.qase.model.results import Results

MAX_TITLE = 255  # of Qase


Test = tuple[tuple[str, ...], str]  # the parts of its class, and its name


def named_tests(results: Results) -> list[Test]:
    """The tests that have results, by the index of their name."""
    return [(path, title) for _, title, path in results.names]


def project_of_tests(results: Results, where: str, new: Sequence[Test] = ()) -> tuple[Project, ExecutionLog]:
    """Tests as cases, and their executions.

    The case of test i, in the order of `named_tests` and then of `new`, has the id i + 1, which is not an id of Qase.
    Titles are cut to Qase's length.

    Args:
        new: tests without results.

    Raises:
        InputError: suites are nested too deep.
    """
    tests = [*named_tests(results), *new]
    suite_ids: dict[tuple[str, ...], int] = {}
    for path, _ in tests:
        for depth in range(1, len(path) + 1):
            suite_ids.setdefault(path[:depth], len(suite_ids) + 1)
    suites = [
        CaseSuite(id=key, title=_title(path[-1]), parent_id=suite_ids.get(path[:-1])) for path, key in suite_ids.items()
    ]
    cases = [
        Case(id=index + 1, title=_title(title), suite_id=suite_ids.get(path), automation="automated")
        for index, (path, title) in enumerate(tests)
    ]
    project = build_project(suites, cases, where)
    position = np.empty(len(cases), np.int32)
    position[[case.id - 1 for case in project.cases]] = np.arange(len(cases))
    log = ExecutionLog(
        n_cases=len(cases),
        cycles=tuple(run.name for run in results.runs),
        case=position[results.name],
        cycle=results.run,
        verdict=result_verdicts(results),
        duration_ms=results.duration_ms,
        started=results.started,
    )
    return project, log


def _title(text: str) -> str:
    return text if len(text) <= MAX_TITLE else f"{text[: MAX_TITLE - 1]}…"
