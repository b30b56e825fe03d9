"""Read a result as a JSON object: the form of reporters and API v2, the form of API v1, and a reporter's history.

Times are in seconds since 1970, durations in milliseconds. The specification has seconds for `start_time`, but real
files have milliseconds; the size of the number decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rl_eval.domains.qase.formats.values import number_field, read_flag, read_id, read_list, read_object, text_field
from rl_eval.domains.qase.model.project import short_repr
from rl_eval.domains.qase.model.results import ResultsCollector
from rl_eval.errors import InputError

_MILLISECONDS = 1e11  # the year 5138 in seconds, 1973 in milliseconds


def time_field(values: Mapping[str, Any], name: str, where: str) -> float:
    """A time in seconds since 1970, from seconds or milliseconds; NaN for `null`.

    Raises:
        InputError: not a number.
    """
    time = number_field(values, name, where)
    return time / 1000 if time > _MILLISECONDS else time


def read_v2_result(values: dict[str, Any], run: int, where: str, results: ResultsCollector) -> None:
    """Read one result in the form of reporters and of API v2.

    Raises:
        InputError: a missing or wrong value, with its field.
    """
    execution = values.get("execution")
    if type(execution) is not dict:
        execution = read_object(execution, f"{where}, field 'execution'")
    # There are millions of results: values of the expected type skip the slower checks.
    started, ended, duration = execution.get("start_time"), execution.get("end_time"), execution.get("duration")
    if type(started) is not float or not 0.0 <= started <= _MILLISECONDS:
        started = time_field(execution, "start_time", where)
    if type(ended) is not float or not 0.0 <= ended <= _MILLISECONDS:
        ended = time_field(execution, "end_time", where)
    if type(duration) is not int or not 0 <= duration < 1e15:
        duration = number_field(execution, "duration", where)
        if math.isnan(duration):
            duration = (ended - started) * 1000 if started >= 0 else math.nan
    status, title, signature = execution.get("status"), values.get("title"), values.get("signature")
    if type(title) is not str or not title:
        title = text_field(values, "title", where)
        if not title:
            raise InputError(f"{where}, field 'title': it is missing, and every result needs one: export again")
    muted = values.get("muted")
    results.add(
        run,
        status if type(status) is str else text_field(execution, "status", where),
        where,
        muted=muted if type(muted) is bool else read_flag(muted, f"{where}, field 'muted'"),
        duration_ms=duration,
        started=started,
        signature=signature if type(signature) is str else text_field(values, "signature", where),
        title=title,
        path=_suite_path(values.get("relations"), where),
        ids=_ids(values, where),
    )


def _suite_path(relations: Any, where: str) -> tuple[str, ...]:
    if relations is None:
        return ()
    try:
        titles = [entry["title"] for entry in relations["suite"]["data"]]
        if all(type(title) is str for title in titles):
            return tuple(titles)
    except (KeyError, TypeError):
        pass  # another form: the checks below raise the error
    suite = read_object(relations, where + ", relations").get("suite")
    if suite is None:
        return ()
    at = where + ", relations.suite"
    return tuple(
        [text_field(read_object(entry, at), "title", at) for entry in read_list(read_object(suite, at).get("data"), at)]
    )


def _ids(values: dict[str, Any], where: str) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
    """The ids of the cases; with the code of their project where the reporter sends to several projects."""
    mapping = values.get("testops_project_mapping")
    if mapping:
        at = where + ", field 'testops_project_mapping'"
        return {code: _read_ids(ids, f"{at}, {short_repr(code)}") for code, ids in read_object(mapping, at).items()}
    raw_ids = values.get("testops_ids")
    if raw_ids is None:
        one = values.get("testops_id")
        if one is None:
            return ()
        raw_ids = one if isinstance(one, list) else [one]
    return _read_ids(raw_ids, where + ", field 'testops_ids'")


def _read_ids(raw_ids: Any, where: str) -> tuple[int, ...]:
    if type(raw_ids) is list and all(type(key) is int and 0 < key < 2**63 for key in raw_ids):
        return tuple(raw_ids)
    ids = [read_id(key, where) for key in read_list(raw_ids, where)]
    return tuple([key for key in ids if key is not None])


def read_v1_result(values: dict[str, Any], run: int, where: str, results: ResultsCollector) -> None:
    """Read one result of API v1: `POST /v1/result/{project}/{run}/bulk`, or an entity of `GET /v1/result/{project}`.

    Raises:
        InputError: a missing or wrong value, with its field.
    """
    case = values.get("case")
    case_values = {} if case is None else read_object(case, where + ", field 'case'")
    key = read_id(values.get("case_id"), where + ", field 'case_id'")
    title = text_field(case_values, "title", where)
    if key is None and not title:
        raise InputError(f"{where}, field 'case_id': it and 'case.title' are both missing: export again")
    duration = number_field(values, "time_ms" if "time_ms" in values else "time_spent_ms", where)
    if math.isnan(duration):
        duration = 1000 * number_field(values, "time", where)
    suites = text_field(case_values, "suite_title", where)
    results.add(
        run,
        text_field(values, "status", where),
        where,
        muted=False,
        duration_ms=duration,
        started=time_field(values, "start_time", where),
        signature="",
        title=title,
        path=tuple(suites.split("\t")) if suites else (),  # v1 separates nested suites by tabs
        ids=() if key is None else (key,),
    )


def read_bulk_request(document: dict[str, Any], name: str, where: str, results: ResultsCollector) -> None:
    """Read the body of a bulk request, v1 or v2: one run, unless the results name their runs.

    Args:
        name: name of the run if the document has none.

    Raises:
        InputError: a missing or wrong value, with location and field.
    """
    document_run_id = document.get("run_id")
    start = time_field(document, "start_time", where)
    default = run_id_text(document_run_id, where) if document_run_id is not None else name
    entries = read_list(document.get("results"), f"{where}, results")
    run = results.run(default, start) if entries else -1
    for i, entry in enumerate(entries):
        here = f"{where}, results[{i}]"
        values = read_object(entry, here)
        run_id = values.get("run_id")
        at = run if run_id is None else results.run(run_id_text(run_id, here))
        (read_v2_result if "execution" in values else read_v1_result)(values, at, here, results)


def run_id_text(value: Any, where: str) -> str:
    """A run's id as text.

    Raises:
        InputError: neither text nor an integer.
    """
    if type(value) is int or (isinstance(value, str) and value):
        return str(value)
    raise InputError(f"{where}, field 'run_id': {short_repr(value)} where a run's id is needed: export again")


def read_test_history(document: dict[str, Any], skip: float, where: str, results: ResultsCollector) -> None:
    """Read a reporter's `test-history.json`: earlier runs of the same tests, by signature.

    Args:
        skip: start time (s) of the folder's own run, which the history repeats; NaN: skip none.

    Raises:
        InputError: a missing or wrong value, a run that is not listed.
    """
    runs: dict[str, int | None] = {}
    for i, entry in enumerate(read_list(document.get("runs"), f"{where}, runs")):
        here = f"{where}, runs[{i}]"
        values = read_object(entry, here)
        name = run_id_text(values.get("run_id"), here)
        started = time_field(values, "start_time", here)
        runs[name] = None if started == skip else results.run(name, started, from_history=True)
    for i, entry in enumerate(read_list(document.get("tests"), f"{where}, tests")):
        here = f"{where}, tests[{i}]"
        values = read_object(entry, here)
        signature, title = text_field(values, "signature", here), text_field(values, "title", here)
        for j, run_entry in enumerate(read_list(values.get("runs"), f"{here}, runs")):
            at = f"{here}, runs[{j}]"
            result = read_object(run_entry, at)
            name = run_id_text(result.get("run_id"), at)
            if name not in runs:
                raise InputError(
                    f"{at}, field 'run_id': {short_repr(name)} is not among the runs of the file: export again"
                )
            run = runs[name]
            if run is None:
                continue
            results.add(
                run, text_field(result, "status", at), at, muted=False,
                duration_ms=number_field(result, "duration", at), started=time_field(result, "start_time", at),
                signature=signature, title=title, path=(), ids=(),
            )  # fmt: skip
