"""Read executions as RETECS published them: `Id;Name;Duration;LastRun;LastResults;Verdict;Cycle` (Spieker et al. 2017).

Verdict 1 is a failure. LastResults are the earlier verdicts of the name, newest first. If a name runs more than once in
a cycle, LastResults includes verdicts of the same cycle; the features leave those out.
"""

from __future__ import annotations

import io

import numpy as np

from rl_eval.domains.qase.formats.values import build_model, decode_utf8
from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Case, Project, build_project, short_repr
from rl_eval.domains.qase.model.verdict_sequence import verdict_sequence
from rl_eval.errors import InputError, nearest

COLUMNS = ("Id", "Name", "Duration", "LastRun", "LastResults", "Verdict", "Cycle")
MAX_ROWS = 20_000_000


def read_history_csv(data: bytes, where: str, notes: Notes) -> tuple[Project, ExecutionLog]:
    """Names as cases, ordered by first run, and their executions by cycle.

    Raises:
        InputError: another form, with line and column.
    """
    import polars as pl

    decode_utf8(data, where)
    data = data.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"
    header = data[: data.index(b"\n")].decode().removeprefix("\ufeff").split(";")
    for name in COLUMNS:
        if name not in header:
            raise InputError(f"{where}, line 1: the column {name!r} is missing: {nearest(name, header)}it is "
                             f"{';'.join(COLUMNS)}")  # fmt: skip
    if len(set(header)) < len(header):
        raise InputError(f"{where}, line 1: a column appears twice: each needs its own name")
    for name in set(header) - set(COLUMNS):
        notes.add(f"the column {short_repr(name)} is not known: not used", f"{where}, line 1")
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets == ord("\n"))
    widths = np.diff(np.searchsorted(np.flatnonzero(octets == ord(";")), np.concatenate([[0], ends]))) + 1
    wrong = np.flatnonzero(widths != len(header))
    if len(wrong):
        raise InputError(
            f"{where}, line {wrong[0] + 1}: {widths[wrong[0]]} columns where {len(header)} are expected: fix or "
            "remove the row"
        )
    if not 1 < len(ends) <= MAX_ROWS:
        raise InputError(f"{where} has {len(ends) - 1} rows where 1 to {MAX_ROWS} are read: give another file")
    frame = pl.read_csv(
        io.BytesIO(data), separator=";", has_header=False, skip_rows=1, new_columns=header, infer_schema=False,
        quote_char=None,
    ).select(pl.col(name).fill_null("").str.strip_chars() for name in COLUMNS)  # fmt: skip

    def parsed(name: str, values: pl.Series, expected: str) -> np.ndarray:
        bad = values.is_null().to_numpy()
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{where}, line {row + 2}, column {name!r}: {short_repr(frame[name][row])} where {expected} is needed: "
                "fix or remove the row"
            )
        return values.to_numpy()

    number = parsed("Id", frame["Id"].cast(pl.Int64, strict=False), "a whole number")
    sorted_ids, firsts = np.unique(number, return_index=True)
    if len(sorted_ids) < len(number):
        twice = int(np.setdiff1d(np.arange(len(number)), firsts)[0])
        raise InputError(f"{where}, line {twice + 2}, column 'Id': {number[twice]} appears twice: remove the row")
    parsed("Name", frame["Name"].replace("", None), "a name")
    cycle = parsed("Cycle", frame["Cycle"].cast(pl.Int64, strict=False), "a whole number")
    verdict = parsed("Verdict", frame["Verdict"].replace_strict({"0": 0, "1": 1}, default=None), "0 or 1")
    duration = frame["Duration"].cast(pl.Float64, strict=False)
    duration = pl.select(pl.when(duration.is_finite() & (duration >= 0)).then(duration)).to_series()
    duration_ms = parsed("Duration", duration, "a number from 0")
    time = frame["LastRun"].str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).dt.epoch("s")
    time = pl.select(pl.when(frame["LastRun"] == "").then(pl.lit(-1, pl.Int64)).otherwise(time)).to_series()
    started = parsed("LastRun", time, "a time such as 2015-02-13 16:13:00").astype(np.float64)
    form = frame["LastResults"].str.contains(r"^\[\s*(?:[01]\s*(?:,\s*[01]\s*)*)?\]$")
    parsed("LastResults", form.replace_strict({True: 1}, default=None, return_dtype=pl.Int8), "a list such as [0, 1]")

    order = np.argsort(cycle, kind="stable")
    digits = frame["LastResults"].gather(order).str.replace_all(r"[^01]", "")
    lengths = digits.str.len_bytes().to_numpy().astype(np.int64)
    joined = "".join(digits.to_list()).encode()
    names = frame["Name"].gather(order)
    distinct = names.unique(maintain_order=True)
    code = names.replace_strict(distinct, pl.Series(range(len(distinct))), return_dtype=pl.Int32).to_numpy()
    cycles, dense = np.unique(cycle[order], return_inverse=True)
    cases = [build_model(Case, {"id": i + 1, "title": name}, where) for i, name in enumerate(distinct.to_list())]
    project = build_project((), cases, where)
    log = ExecutionLog(
        n_cases=len(cases),
        cycles=tuple(map(str, cycles.tolist())),
        case=code.astype(np.int32),
        cycle=dense.astype(np.int32),
        verdict=verdict[order].astype(np.int8),
        duration_ms=duration_ms[order],
        started=np.where(started < 0, np.nan, started)[order],
        earlier_verdicts=(np.frombuffer(joined, np.uint8) - ord("0")).astype(np.int8),
        earlier_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )
    differing = _count_disagreeing_rows(log)
    if differing:
        notes.add(f"LastResults of {differing} rows are not the earlier verdicts of the file: not used", where)
    return project, log


def _count_disagreeing_rows(log: ExecutionLog) -> int:
    """Number of rows whose LastResults differ from the earlier rows of the same case."""
    assert log.earlier_verdicts is not None
    assert log.earlier_start is not None
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
