"""Join results to cases: by Qase id, then by signature, then by suite path and title."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from rl_eval.domains.qase.model.execution_log import ExecutionLog, result_verdicts
from rl_eval.domains.qase.model.project import Project, canonical_text, suite_path
from rl_eval.domains.qase.model.results import Results

UNKNOWN_ID, NO_MATCH, AMBIGUOUS = "no case has its id", "no case matches", "more than one case matches"
OTHER_PROJECT = "its ids are of other projects"
_SIGNATURE_IDS = re.compile(r"([0-9]{1,18}(?:-[0-9]{1,18})*)::")  # reporters begin a signature with the ids


@dataclass(frozen=True)
class UnjoinedResults:
    """Results of one test that match no case."""

    title: str
    reason: str
    results: int


@dataclass(frozen=True)
class JoinedResults:
    """Results joined to cases.

    Attributes:
        log: one row for each pair of a result and a case.
        result: `[len(log)]` int64, index of the result of each row.
        counts: number of results joined by `id`, `signature` and `title`.
        unjoined: all other results by test, most frequent first.
    """

    log: ExecutionLog
    result: np.ndarray = field(repr=False)
    counts: dict[str, int]
    unjoined: tuple[UnjoinedResults, ...] = field(repr=False)


def join(project: Project, results: Results, code: str = "") -> JoinedResults:
    """Join results to the cases of a project.

    A result with an unknown id is not joined by signature or title: its case is in another project, or was deleted.
    Ids that a result maps to a project count only if it is this one.

    Args:
        code: the code of the project; empty if unknown.
    """
    index = {case.id: i for i, case in enumerate(project.cases)}
    n_results, ids_per_result = len(results), np.diff(results.case_start)
    id_values, id_inverse = np.unique(results.case_ids, return_inverse=True)
    id_case = np.array([index.get(int(key), -1) for key in id_values], np.int64)
    by_id = id_case[id_inverse] if len(id_inverse) else np.empty(0, np.int64)
    is_own = np.array([name in ("", code) for name in results.projects], bool)[results.id_project]
    by_id = np.where(is_own, by_id, -1)
    owner = np.repeat(np.arange(n_results), ids_per_result)
    has_id = ids_per_result > 0

    learned = _cases_by_signature(results, owner, by_id)
    by_title = _cases_by_title(project)
    resolved: list[tuple[tuple[int, ...], str]] = [
        _resolve(name, learned.get(i), index, by_title) for i, name in enumerate(results.names)
    ]
    size = np.array([len(cases) for cases, _ in resolved], np.int64)
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    flat = np.array([case for cases, _ in resolved for case in cases], np.int64)
    without_id = np.flatnonzero(~has_id)
    case_counts = size[results.name[without_id]]
    offset = np.arange(case_counts.sum()) - np.repeat(np.cumsum(case_counts) - case_counts, case_counts)
    matched_cases = (
        flat[np.repeat(start[results.name[without_id]], case_counts) + offset] if len(flat) else np.empty(0, np.int64)
    )

    pair_result = np.concatenate([owner[by_id >= 0], np.repeat(without_id, case_counts)]).astype(np.int64)
    pair_case = np.concatenate([by_id[by_id >= 0], matched_cases]).astype(np.int32)
    order = np.argsort(pair_result, kind="stable")
    pair_result, pair_case = pair_result[order], pair_case[order]
    log = ExecutionLog(
        n_cases=len(project.cases),
        cycles=tuple(run.name for run in results.runs),
        case=pair_case,
        cycle=results.run[pair_result],
        verdict=result_verdicts(results)[pair_result],
        duration_ms=results.duration_ms[pair_result],
        started=results.started[pair_result],
    )
    joined = np.zeros(n_results, bool)
    joined[pair_result] = True
    means = np.array([_REASONS.index(how) for _, how in resolved], np.int64)
    how = np.where(has_id, _REASONS.index("id"), means[results.name] if n_results else 0)
    counts = {name: int((joined & (how == code)).sum()) for code, name in enumerate(_REASONS[:3])}
    foreign = has_id.copy()
    foreign[owner[is_own]] = False
    id_problem = np.where(foreign, _ID_PROBLEMS.index(OTHER_PROJECT), has_id)
    return JoinedResults(log, pair_result, counts, _unjoined_results(results, joined, id_problem, resolved))


_REASONS = ("id", "signature", "title", UNKNOWN_ID, NO_MATCH, AMBIGUOUS)
_ID_PROBLEMS = ("", UNKNOWN_ID, OTHER_PROJECT)  # why an id did not join; empty: there was none


def _cases_by_signature(results: Results, owner: np.ndarray, by_id: np.ndarray) -> dict[int, int]:
    """Name -> the case of the results with that signature and one id; -1 if they disagree."""
    single = np.flatnonzero((np.diff(results.case_start)[owner] == 1) & (by_id >= 0)) if len(owner) else owner
    cases = int(by_id.max(initial=0)) + 1
    by_signature: dict[str, int] = {}
    for pair in np.unique(results.name[owner[single]].astype(np.int64) * cases + by_id[single]).tolist():
        name, case = divmod(pair, cases)
        signature = canonical_text(results.names[name][0])
        if signature:
            by_signature[signature] = case if by_signature.get(signature, case) == case else -1
    signatures = [canonical_text(name[0]) for name in results.names]
    return {i: by_signature[signature] for i, signature in enumerate(signatures) if signature in by_signature}


def _title_key(path: tuple[str, ...], title: str) -> tuple[str, ...]:
    return tuple(canonical_text(" ".join(part.split())).casefold() for part in (*path, title))


def _cases_by_title(project: Project) -> dict[tuple[str, ...], list[int]]:
    by_title: dict[tuple[str, ...], list[int]] = {}
    for i, case in enumerate(project.cases):
        by_title.setdefault(_title_key(suite_path(project, case), case.title), []).append(i)
    return by_title


def _resolve(
    name: tuple[str, str, tuple[str, ...]], learned: int | None, index: dict[int, int],
    by_title: dict[tuple[str, ...], list[int]],
) -> tuple[tuple[int, ...], str]:  # fmt: skip
    """The cases of a result without ids, and how they were matched or why not."""
    signature, title, path = name
    ids = _SIGNATURE_IDS.match(signature)
    if ids:
        cases = tuple(index[int(key)] for key in ids[1].split("-") if int(key) in index)
        return (cases, "signature") if cases else ((), UNKNOWN_ID)
    if learned is not None and learned >= 0:
        return (learned,), "signature"
    cases = tuple(by_title.get(_title_key(path, title), ())) if title else ()
    how = "title"
    if not cases and "::" in signature:  # suite titles and case title, as reporters write them
        *above, last = signature.split("::")
        cases, how = tuple(by_title.get(_title_key(tuple(above), last), ())), "signature"
    if len(cases) > 1:
        return (), AMBIGUOUS
    return (cases, how) if cases else ((), NO_MATCH)


def _unjoined_results(
    results: Results, joined: np.ndarray, id_problem: np.ndarray, resolved: list[tuple[tuple[int, ...], str]]
) -> tuple[UnjoinedResults, ...]:
    rows = np.flatnonzero(~joined)
    size = len(_ID_PROBLEMS)
    pairs, counts = np.unique(results.name[rows].astype(np.int64) * size + id_problem[rows], return_counts=True)
    unjoined = [
        UnjoinedResults(results.names[name][1] or results.names[name][0], _ID_PROBLEMS[problem] or resolved[name][1], n)
        for (name, problem), n in zip((divmod(pair, size) for pair in pairs.tolist()), counts.tolist(), strict=True)
    ]
    return tuple(sorted(unjoined, key=lambda entry: (-entry.results, entry.title)))
