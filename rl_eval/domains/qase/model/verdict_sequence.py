"""Verdicts sorted by case and time, so that all verdicts before a cycle are one slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.domains.qase.model.execution_log import NO_VERDICT, ExecutionLog


@dataclass(frozen=True)
class VerdictSequence:
    """V verdicts sorted by group and time, and for each of the R rows of a log its slice of earlier cycles.

    Attributes:
        group: `[V]` the case or suite of each verdict.
        cycle: `[V]` cycle of each verdict; -1: before the first cycle of the log.
        verdict: `[V]` int8, 0 or 1.
        start: `[R]` first verdict of the row's group.
        stop: `[R]` first verdict of the row's own cycle: `start:stop` are those of earlier cycles.
        own_position: `[R]` position of the row's own verdict, or where it would be.
    """

    group: np.ndarray
    cycle: np.ndarray
    verdict: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    own_position: np.ndarray


def verdict_sequence(log: ExecutionLog, group: np.ndarray) -> VerdictSequence:
    """The verdicts of a log by group (`[R]`, from 0), including earlier verdicts recorded by the source."""
    has = log.verdict != NO_VERDICT
    groups, cycles, verdict = [group[has]], [log.cycle[has]], [log.verdict[has]]
    if log.earlier_verdicts is not None and log.earlier_start is not None and len(log):
        first = np.unique(log.case, return_index=True)[1]  # rows are in order of time
        lengths = np.diff(log.earlier_start)[first]
        ends = np.repeat(log.earlier_start[first] + lengths, lengths)
        oldest_first = ends - 1 - (np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths))
        groups.insert(0, np.repeat(group[first], lengths))
        cycles.insert(0, np.full(len(oldest_first), -1, np.int32))
        verdict.insert(0, log.earlier_verdicts[oldest_first])
    span = len(log.cycles) + 1
    key = np.concatenate(groups).astype(np.int64) * span + np.concatenate(cycles) + 1
    order = np.argsort(key, kind="stable")
    key = key[order]
    group_start = group.astype(np.int64) * span
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    own_position = np.searchsorted(key, group_start + log.cycle + 1, "left")
    stop = own_position.copy()
    own_position[has] = position[len(order) - int(has.sum()) :]
    return VerdictSequence(
        group=np.concatenate(groups)[order],
        cycle=np.concatenate(cycles)[order],
        verdict=np.concatenate(verdict)[order],
        start=np.searchsorted(key, group_start, "left"),
        stop=stop,
        own_position=own_position,
    )
