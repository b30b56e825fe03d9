"""Read executions as RETECS published them: `Id;Name;Duration;LastRun;LastResults;Verdict;Cycle` (Spieker et al. 2017).

Verdict 1 is a failure. LastResults are the earlier verdicts of the name, newest first. If a name runs more than once in
a cycle, LastResults includes verdicts of the same cycle; the features leave those out.

Name, Verdict and Cycle are needed; the other columns may be missing. Columns are separated by `;`, `,` or tabs.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from rl_eval.domains.qase.formats import history_columns
from rl_eval.domains.qase.formats.csv_rows import csv_rows
from rl_eval.domains.qase.formats.values import build_model, decode_utf8
from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Case, Project, build_project, canonical_text, short_repr
from rl_eval.domains.qase.model.verdict_sequence import verdict_sequence
from rl_eval.errors import InputError, nearest
from rl_eval.extras import require_extra

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("Id", "Name", "Duration", "LastRun", "LastResults", "Verdict", "Cycle")
NEEDED_COLUMNS = ("Name", "Verdict", "Cycle")
SEPARATORS = (";", ",", "\t")
MAX_ROWS = 20_000_000
_BY_CASEFOLD = {name.casefold(): name for name in COLUMNS}


def history_separator(header: str) -> str | None:
    """The separator of a history CSV, by its first line; None if the line has fewer than three of the columns."""
    counts = {separator: len(set(_names(header, separator)) & set(COLUMNS)) for separator in SEPARATORS}
    best = max(SEPARATORS, key=lambda separator: counts[separator])
    return best if counts[best] >= 3 else None


def _names(header: str, separator: str) -> list[str]:
    names = [name.strip().strip('"') for name in header.removeprefix("\ufeff").split(separator)]
    return [_BY_CASEFOLD.get(name.casefold(), name) for name in names]


def read_history_csv(data: bytes, where: str, notes: Notes) -> tuple[Project, ExecutionLog]:
    """Names as cases, ordered by first run, and their executions by cycle.

    Raises:
        InputError: another form, with line and column.
    """
    require_extra("qase", f"{where}, a CSV of executions,", "polars")
    frame, lines = _table(data, where, notes)

    def checked(name: str, values: pl.Series, expected: str) -> pl.Series:
        if values.has_nulls():
            row = int(values.is_null().arg_max() or 0)
            raise InputError(
                f"{where}, line {lines[row]}, column {name!r}: {short_repr(frame[name][row])} where {expected} is "
                "needed: convert the column, or remove the row"
            )
        return values

    for name, column in (("Id", "an id"), ("Name", "a name"), ("Cycle", "a number, a date or another name of a cycle")):
        if name in frame.columns:
            checked(name, frame[name].replace("", None), column)
    if "Id" in frame.columns and (repeated := ~frame["Id"].is_first_distinct()).any():
        row = int(repeated.arg_max() or 0)
        raise InputError(
            f"{where}, line {lines[row]}, column 'Id': {short_repr(frame['Id'][row])} appears twice: remove the row"
        )
    verdict = checked(
        "Verdict", history_columns.read_verdicts(frame["Verdict"]), "0 (passed), 1 (failed) or a word such as failed"
    ).to_numpy()
    duration, started, earlier = np.full(len(frame), np.nan), np.full(len(frame), np.nan), None
    if "Duration" in frame.columns:
        durations = history_columns.read_durations(frame["Duration"])
        duration = checked("Duration", durations, "a number from 0, in milliseconds,").to_numpy()
    if "LastRun" in frame.columns:
        times = history_columns.read_times(frame["LastRun"])
        expected = "a time such as 2015-02-13 16:13:00 or 2015-02-13T16:13:00Z, or seconds since 1970,"
        started = checked("LastRun", times, expected).to_numpy()
        started = np.where(started < 0, np.nan, started)
    if "LastResults" in frame.columns:
        verdicts = history_columns.read_earlier_verdicts(frame["LastResults"])
        earlier = checked("LastResults", verdicts, "a list such as [0, 1] or ['passed', 'failed']")
    cycles, cycle, unusual = history_columns.order_cycles(frame["Cycle"], started)
    if unusual is not None:
        notes.add(unusual, where)

    order = np.argsort(cycle, kind="stable")
    titles, case = _cases_by_name(frame["Name"].gather(order))
    cases = [build_model(Case, {"id": i + 1, "title": title}, where) for i, title in enumerate(titles)]
    earlier_verdicts, earlier_start = None, None
    if earlier is not None:
        digits = earlier.gather(order)
        joined = np.frombuffer("".join(digits.to_list()).encode(), np.uint8)
        earlier_verdicts = (joined - ord("0")).astype(np.int8)
        lengths = digits.str.len_bytes().to_numpy().astype(np.int64)
        earlier_start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    log = ExecutionLog(
        n_cases=len(cases),
        cycles=cycles,
        case=case,
        cycle=cycle[order].astype(np.int32),
        verdict=verdict[order].astype(np.int8),
        duration_ms=duration[order],
        started=started[order],
        earlier_verdicts=earlier_verdicts,
        earlier_start=earlier_start,
    )
    differing = _count_disagreeing_rows(log)
    if differing:
        notes.add(f"LastResults of {differing} rows are not the earlier verdicts of the file: not used", where)
    return build_project((), cases, where), log


def _table(data: bytes, where: str, notes: Notes) -> tuple[pl.DataFrame, np.ndarray]:
    """The known columns as stripped text, and the line of each row, `[R]`.

    Raises:
        InputError: a needed column is missing, a column appears twice, a row has too few or too many, or no row.
    """
    import polars as pl

    text = decode_utf8(data, where).replace("\r\n", "\n").rstrip("\n") + "\n"
    first = text[: text.index("\n")]
    separator = history_separator(first) or ";"
    header = _names(first, separator)
    at = f"{where}, line 1"
    for name in NEEDED_COLUMNS:
        if name not in header:
            raise InputError(
                f"{at}: the column {name!r} is missing: {nearest(name, set(header) - set(COLUMNS))}the columns are "
                f"{';'.join(COLUMNS)}, and {', '.join(NEEDED_COLUMNS)} are needed"
            )
    if len(set(header)) < len(header):
        raise InputError(f"{at}: a column appears twice: each needs its own name")
    for name in sorted(set(header) - set(COLUMNS)):
        notes.add(f"the column {short_repr(name)} is not known: not used", at)
    for name in (name for name in COLUMNS if name not in header):
        notes.add(f"there is no column {name}: its values are unknown", at)
    data, rows = text.encode(), None
    if '"' in text:
        rows = csv_rows(text, where, separator)[1:]
        lines = np.array([line for line, _ in rows], np.int64)
        widths = np.array([max(len(row), 1) for _, row in rows], np.int64)
    else:
        octets = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(octets == ord("\n"))
        separators = np.flatnonzero(octets == ord(separator))
        widths = np.diff(np.searchsorted(separators, ends)) + 1
        lines = np.arange(2, len(ends) + 1)
    wrong = np.flatnonzero(widths != len(header))
    if len(wrong):
        lists = ", with lists in quotes" if separator == "," and "LastResults" in header else ""
        raise InputError(
            f"{where}, line {lines[wrong[0]]}: {widths[wrong[0]]} columns where {len(header)} are expected{lists}: fix "
            "or remove the row"
        )
    if not 0 < len(lines) <= MAX_ROWS:
        raise InputError(f"{where} has {len(lines)} rows where 1 to {MAX_ROWS} are read: give another file")
    frame = (
        pl.read_csv(
            io.BytesIO(data), separator=separator, has_header=False, skip_rows=1, new_columns=header,
            infer_schema=False, quote_char=None,
        )
        if rows is None
        else pl.DataFrame(dict(zip(header, zip(*(row for _, row in rows), strict=True), strict=True)))
    )  # fmt: skip
    names = [name for name in COLUMNS if name in header]
    return frame.select(pl.col(name).fill_null("").str.strip_chars() for name in names), lines


def _cases_by_name(names: pl.Series) -> tuple[list[str], np.ndarray]:
    """The title of each case, in order of first appearance, and the case of each row, int32 `[R]`."""
    import polars as pl

    distinct = names.unique(maintain_order=True)
    titles: dict[str, str] = {}
    for name in distinct.to_list():
        titles.setdefault(canonical_text(name), name)
    code = {name: i for i, name in enumerate(titles)}
    codes = pl.Series([code[canonical_text(name)] for name in distinct.to_list()])
    return list(titles.values()), names.replace_strict(distinct, codes, return_dtype=pl.Int32).to_numpy()


def _count_disagreeing_rows(log: ExecutionLog) -> int:
    """Number of rows whose LastResults differ from the earlier rows of the same case; 0 without LastResults."""
    if log.earlier_verdicts is None or log.earlier_start is None:
        return 0
    sequence = verdict_sequence(log, log.case)
    lengths = np.diff(log.earlier_start)
    row = np.repeat(np.arange(len(log)), lengths)
    back = np.arange(len(log.earlier_verdicts)) - log.earlier_start[row]
    at = sequence.own_position[row] - 1 - back
    first = np.searchsorted(sequence.group, log.case)
    wrong = np.zeros(len(log), bool)
    inside = at >= first[row]
    wrong[row[~inside]] = True
    wrong[row[inside][sequence.verdict[at[inside]] != log.earlier_verdicts[inside]]] = True
    return int(wrong.sum())
