"""A result as an object of JSON: a reporter's file, which is also v2's form, v1's, and a reporter's history.

Times are in seconds since 1970, durations in milliseconds: the specification says seconds for `start_time`, real
files hold milliseconds, and the size of the number tells which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rl_eval.domains.qase.formats.values import number_field, read_flag, read_id, read_list, read_object, text_field
from rl_eval.domains.qase.model.project import short_repr
from rl_eval.domains.qase.model.results import ResultsCollector
from rl_eval.errors import InputError

_MILLISECONDS = 1e11  # in seconds that is the year 5138, in milliseconds 1973


def time_field(values: Mapping[str, Any], name: str, where: str) -> float:
    """A time as seconds since 1970, from seconds or milliseconds; NaN where there is none.

    Raises:
        InputError: no number, or one before 1970.
    """
    found = number_field(values, name, where)
    if found < 0:
        raise InputError(f"{where}, field {name!r}: {found:g} is a time before 1970: mend the value or export again")
    return found / 1000 if found > _MILLISECONDS else found


def read_v2_result(values: dict[str, Any], run: int, where: str, into: ResultsCollector) -> None:
    """One result of the reporters, which is also what v2 takes.

    Raises:
        InputError: a missing or wrong value, with its field.
    """
    execution = values.get("execution")
    if type(execution) is not dict:
        execution = read_object(execution, f"{where}, field 'execution'")
    # There are millions of results: what is as it should be is taken as it is, and only the rest is looked at closer.
    begun, ended, duration = execution.get("start_time"), execution.get("end_time"), execution.get("duration")
    if type(begun) is not float or not 0.0 <= begun <= _MILLISECONDS:
        begun = time_field(execution, "start_time", where)
    if type(ended) is not float or not 0.0 <= ended <= _MILLISECONDS:
        ended = time_field(execution, "end_time", where)
    if type(duration) is not int or not 0 <= duration < 1e15:
        duration = number_field(execution, "duration", where)
        if math.isnan(duration):
            duration = (ended - begun) * 1000
    status, title, signature = execution.get("status"), values.get("title"), values.get("signature")
    if type(title) is not str or not title:
        title = text_field(values, "title", where)
        if not title:
            raise InputError(f"{where}, field 'title': it is missing, and every result needs one: export again")
    muted = values.get("muted")
    into.add(
        run,
        status if type(status) is str else text_field(execution, "status", where),
        where,
        muted=muted if type(muted) is bool else read_flag(muted, f"{where}, field 'muted'"),
        duration_ms=duration,
        started=begun,
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
        pass  # not as it should be: below it is told how
    suite = read_object(relations, where + ", relations").get("suite")
    if suite is None:
        return ()
    at = where + ", relations.suite"
    return tuple(
        [text_field(read_object(entry, at), "title", at) for entry in read_list(read_object(suite, at).get("data"), at)]
    )


def _ids(values: dict[str, Any], where: str) -> tuple[int, ...]:
    given = values.get("testops_ids")
    if given is None:
        one = values.get("testops_id")
        if one is None:
            return ()
        given = one if isinstance(one, list) else [one]
    if type(given) is list and all(type(key) is int and 0 < key < 2**63 for key in given):
        return tuple(given)
    at = where + ", field 'testops_ids'"
    found = [read_id(key, at) for key in read_list(given, at)]
    return tuple([key for key in found if key is not None])


def read_v1_result(values: dict[str, Any], run: int, where: str, into: ResultsCollector) -> None:
    """One result of v1: of `POST /v1/result/{project}/{run}/bulk`, or an entity of `GET /v1/result/{project}`.

    Raises:
        InputError: a missing or wrong value, with its field.
    """
    case = values.get("case")
    described = {} if case is None else read_object(case, where + ", field 'case'")
    key = read_id(values.get("case_id"), where + ", field 'case_id'")
    title = text_field(described, "title", where)
    if key is None and not title:
        raise InputError(f"{where}, field 'case_id': neither it nor 'case.title' is there: export again")
    duration = number_field(values, "time_ms" if "time_ms" in values else "time_spent_ms", where)
    if math.isnan(duration):
        duration = 1000 * number_field(values, "time", where)
    suites = text_field(described, "suite_title", where)
    into.add(
        run,
        text_field(values, "status", where),
        where,
        muted=False,
        duration_ms=duration,
        started=time_field(values, "start_time", where),
        signature="",
        title=title,
        path=tuple(suites.split("\t")) if suites else (),  # v1 puts the levels of suites side by side with tabs
        ids=() if key is None else (key,),
    )


def read_bulk_request(document: dict[str, Any], name: str, where: str, into: ResultsCollector) -> None:
    """The body of a bulk request, v1 or v2: one run, unless the results name theirs.

    Args:
        name: the run's, where nothing in the document says it.

    Raises:
        InputError: a missing or wrong value, with its place and field.
    """
    own = document.get("run_id")
    start = time_field(document, "start_time", where)
    default = run_id_text(own, where) if own is not None else name
    entries = read_list(document.get("results"), f"{where}, results")
    run = into.run(default, start) if entries else -1
    for i, entry in enumerate(entries):
        here = f"{where}, results[{i}]"
        values = read_object(entry, here)
        given = values.get("run_id")
        at = run if given is None else into.run(run_id_text(given, here))
        (read_v2_result if "execution" in values else read_v1_result)(values, at, here, into)


def run_id_text(value: Any, where: str) -> str:
    """A run's id as text.

    Raises:
        InputError: neither text nor a whole number.
    """
    if type(value) is int or (isinstance(value, str) and value):
        return str(value)
    raise InputError(f"{where}, field 'run_id': {short_repr(value)} where a run's id is needed: export again")


def read_test_history(document: dict[str, Any], skip: float, where: str, into: ResultsCollector) -> None:
    """The reporter's `test-history.json`: earlier runs of the same tests, by signature.

    Args:
        skip: the start (s) of the run that the folder itself holds, which its history repeats; NaN: none.

    Raises:
        InputError: a missing or wrong value, a run that is not listed.
    """
    runs: dict[str, int | None] = {}
    for i, entry in enumerate(read_list(document.get("runs"), f"{where}, runs")):
        here = f"{where}, runs[{i}]"
        values = read_object(entry, here)
        name = run_id_text(values.get("run_id"), here)
        started = time_field(values, "start_time", here)
        runs[name] = None if started == skip else into.run(name, started, from_history=True)
    for i, entry in enumerate(read_list(document.get("tests"), f"{where}, tests")):
        here = f"{where}, tests[{i}]"
        values = read_object(entry, here)
        signature, title = text_field(values, "signature", here), text_field(values, "title", here)
        for j, held in enumerate(read_list(values.get("runs"), f"{here}, runs")):
            at = f"{here}, runs[{j}]"
            result = read_object(held, at)
            name = run_id_text(result.get("run_id"), at)
            if name not in runs:
                raise InputError(
                    f"{at}, field 'run_id': {short_repr(name)} is not among the runs of the file: export again"
                )
            run = runs[name]
            if run is None:
                continue
            into.add(
                run, text_field(result, "status", at), at, muted=False,
                duration_ms=number_field(result, "duration", at), started=time_field(result, "start_time", at),
                signature=signature, title=title, path=(), ids=(),
            )  # fmt: skip
