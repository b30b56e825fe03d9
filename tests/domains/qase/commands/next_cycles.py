"""A small project, executions of its cases, and what a log was before a cycle."""

import csv
import io
import math

import numpy as np
from hypothesis import strategies as st

from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.project import Case, CaseSuite, build_project

BIG = 12  # cases of the project on the disk
CYCLES = 40
PROJECT = build_project(
    [CaseSuite(id=1, title="Shop"), CaseSuite(id=2, title="Basket", parent_id=1)],
    [Case(id=10 + i, title=f"case {i}", suite_id=i % 2 + 1) for i in range(4)],
    "here",
)


def log_of(rows, n_cases=4):
    """Executions (cycle, case, verdict, duration), in the order of their cycles."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    cycle = np.array(columns[0], np.int32)
    return ExecutionLog(
        n_cases, tuple(map(str, range(int(cycle.max(initial=-1)) + 1))), np.array(columns[1], np.int32), cycle,
        np.array(columns[2], np.int8), np.array(columns[3], float), np.full(len(rows), math.nan),
    )  # fmt: skip


def until(log, cycle):
    """The log as it was before a cycle began."""
    earlier = log.cycle < cycle
    columns = (log.case, log.cycle, log.verdict, log.duration_ms, log.started)
    starts = None if log.earlier_start is None else log.earlier_start[: int(earlier.sum()) + 1]
    return ExecutionLog(
        log.n_cases, log.cycles[:cycle], *(column[earlier] for column in columns), log.earlier_verdicts, starts
    )


@st.composite
def executions(draw):
    rows = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from([-1, 0, 1]),
                                   st.sampled_from([math.nan, 0.0, 3.25, 1e4, 1e300])), max_size=25))  # fmt: skip
    return sorted(rows, key=lambda row: row[0])


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))
