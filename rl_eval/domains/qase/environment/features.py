"""The 64 features of a case in a cycle: its fields, its texts, and its history in earlier cycles.

No verdict or duration of the current cycle is used, neither of this case nor of any other.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

import numpy as np

from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.project import Case, CaseStep, Project
from rl_eval.domains.qase.model.verdict_sequence import VerdictSequence, verdict_sequence

_SEVERITY = {"blocker": 1.0, "critical": 0.8, "major": 0.6, "normal": 0.4, "minor": 0.2, "trivial": 0.0}
_PRIORITY = {"high": 1.0, "medium": 0.5, "low": 0.0}
_BEHAVIORS = ("positive", "negative", "destructive")
_TYPES = (
    "functional", "smoke", "regression", "security", "usability", "performance", "acceptance", "compatibility",
    "integration", "exploratory",
)  # fmt: skip
_LAYERS = ("e2e", "api", "unit")
_HASHED = (("title", 5), ("preconditions", 2), ("actions", 5))
RECENT = 6
_DECAY, _DECAY_OVER = 0.7, 8
_LONGEST_MS = 1e11  # three years

CASE_FEATURES = (
    "severity", "severity_set", "priority", "priority_set",
    *(f"behavior_{name}" for name in _BEHAVIORS), *(f"type_{name}" for name in _TYPES),
    *(f"layer_{name}" for name in _LAYERS), "automated", "to_be_automated", "draft", "deprecated", "is_flaky",
    "is_muted", "suite_depth", "steps", "step_depth", "parameters", "tags", "gherkin",
    *(f"{text}_hash_{i}" for text, width in _HASHED for i in range(width)),
)  # fmt: skip
HISTORY_FEATURES = (
    *(f"verdict_{i + 1}_ago" for i in range(RECENT)), "runs", "failure_rate", "failure_rate_smoothed",
    "failure_rate_recent", "cycles_since_run", "failed_lately", "ever_failed", "never_run", "pass_streak", "flip_rate",
    "duration_mean", "duration_last", "duration_rank", "suite_failure_rate",
)  # fmt: skip
FEATURES = (*CASE_FEATURES, *HISTORY_FEATURES)
_WORD = re.compile(r"\w+")


def case_features(project: Project) -> np.ndarray:
    """Features of each case on its own: float32 `[C, 44]`, in the order of `CASE_FEATURES`.

    Texts are signed word hashes, scaled to length 1 (Weinberger et al., *Feature hashing*, ICML 2009).
    """
    depth = {key: len(path) for key, path in project.suite_paths.items()}
    rows = [_described(case, depth.get(case.suite_id or 0, 0)) for case in project.cases]
    words: dict[str, int] = {}
    texts: tuple[Callable[[Case], str], ...] = (
        lambda case: case.title,
        lambda case: case.preconditions,
        lambda case: "\n".join(_actions(case.steps)),
    )
    hashed = [_hashed(project, text, width, words) for text, (_, width) in zip(texts, _HASHED, strict=True)]
    described = np.array(rows, np.float32).reshape(len(rows), len(CASE_FEATURES) - sum(n for _, n in _HASHED))
    return np.concatenate([described, *hashed], axis=1)


def _described(case: Case, suite_depth: int) -> list[float]:
    return [
        _SEVERITY.get(case.severity, 0.5),
        case.severity in _SEVERITY,
        _PRIORITY.get(case.priority, 0.5),
        case.priority in _PRIORITY,
        *(case.behavior == name for name in _BEHAVIORS),
        *(case.type == name for name in _TYPES),
        *(case.layer == name for name in _LAYERS),
        case.automation == "automated",
        case.automation == "to-be-automated",
        case.status == "draft",
        case.status == "deprecated",
        case.is_flaky,
        case.is_muted,
        suite_depth / 10,
        np.log1p(_count(case.steps)) / 5,
        _depth(case.steps) / 10,
        np.log1p(len(case.parameters)) / 5,
        np.log1p(len(case.tags)) / 5,
        case.steps_type == "gherkin",
    ]


def _count(steps: tuple[CaseStep, ...]) -> int:
    return sum(1 + _count(step.steps) for step in steps)


def _depth(steps: tuple[CaseStep, ...]) -> int:
    return 1 + max(_depth(step.steps) for step in steps) if steps else 0


def _actions(steps: tuple[CaseStep, ...]) -> list[str]:
    return [text for step in steps for text in (step.action, *_actions(step.steps))]


def _hashed(project: Project, text: Callable[[Case], str], width: int, words: dict[str, int]) -> np.ndarray:
    """Words hashed into `width` signed columns, float32 `[C, width]`; each row has length 1 or 0."""
    distinct: dict[str, int] = {}
    row = np.array([distinct.setdefault(text(case), len(distinct)) for case in project.cases], np.int64)
    owners: list[int] = []
    codes: list[int] = []
    for i, text_value in enumerate(distinct):
        for word in _WORD.findall(text_value.casefold()):
            code = words.get(word)
            if code is None:
                code = words[word] = zlib.crc32(word.encode())
            owners.append(i)
            codes.append(code)
    code_of, owner = np.array(codes, np.int64), np.array(owners, np.int64)
    sums = np.zeros((len(distinct), width))
    np.add.at(sums, (owner, (code_of >> 1) % width), np.where(code_of & 1, 1.0, -1.0))
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, length, out=np.zeros_like(sums), where=length > 0).astype(np.float32)[row]


def history_features(project: Project, log: ExecutionLog) -> np.ndarray:
    """Features of each execution from earlier cycles: float32 `[R, 20]`, in the order of `HISTORY_FEATURES`.

    A case without history has failure rate 1, as in failure-rate sorting, and smoothed and recent rates .5.
    """
    sequence = verdict_sequence(log, log.case)
    runs = sequence.stop - sequence.start
    failures = np.concatenate([[0], np.cumsum(sequence.verdict, dtype=np.int64)])
    failed = failures[sequence.stop] - failures[sequence.start]
    new = runs == 0
    ago = [_ago(sequence, i) for i in range(_DECAY_OVER)]  # 1 failed, 0 passed, NaN none
    weights = np.array([_DECAY**i for i in range(_DECAY_OVER)])[:, None] * ~np.isnan(ago)
    weighted = (weights * np.nan_to_num(ago)).sum(0)
    total = weights.sum(0)
    last_run = np.where(new, -2, sequence.cycle[sequence.stop - 1] if len(sequence.cycle) else -2)
    since_run = np.where(new, 0, log.cycle - np.maximum(last_run, -1))
    last_fail = _last_failure(sequence)
    fail_cycle = sequence.cycle[last_fail] if len(sequence.cycle) else last_fail
    since_fail = log.cycle - np.maximum(fail_cycle, -1)
    streak = np.where(failed > 0, sequence.stop - 1 - last_fail, runs)
    mean_ms, last_ms = _past_durations(log)
    suite_of = np.array([case.suite_id or 0 for case in project.cases], np.int64)
    suite = np.unique(suite_of, return_inverse=True)[1][log.case] if len(log) else log.case
    suite_sequence = verdict_sequence(log, suite)
    suite_runs = suite_sequence.stop - suite_sequence.start
    suite_failures = np.concatenate([[0], np.cumsum(suite_sequence.verdict, dtype=np.int64)])
    suite_failed = suite_failures[suite_sequence.stop] - suite_failures[suite_sequence.start]
    columns = [
        *(np.nan_to_num(2 * verdict - 1) for verdict in ago[:RECENT]),
        np.log1p(runs) / 5,
        np.where(new, 1.0, failed / np.maximum(runs, 1)),
        (failed + 0.5) / (runs + 1),
        np.where(new, 0.5, weighted / np.where(total > 0, total, 1)),
        np.log1p(since_run) / 5,
        np.where(failed > 0, 1 / np.maximum(since_fail, 1), 0),
        failed > 0,
        new,
        np.log1p(streak) / 5,
        _flips(sequence) / np.maximum(runs - 1, 1),
        np.nan_to_num(np.log1p(mean_ms) / 20),
        np.nan_to_num(np.log1p(last_ms) / 20),
        _rank_in_cycle(log.cycle, mean_ms),
        np.where(suite_runs == 0, 0.5, suite_failed / np.maximum(suite_runs, 1)),
    ]
    out = np.empty((len(log), len(columns)), np.float32)
    for i, column in enumerate(columns):
        out[:, i] = column
    return out


def extract_features(project: Project, log: ExecutionLog) -> np.ndarray:
    """The features of every execution: float32 `[R, 64]`, finite, in the order of `FEATURES`."""
    return np.concatenate([case_features(project)[log.case], history_features(project, log)], axis=1)


def default_features() -> np.ndarray:
    """The features of an empty case that never ran: float32 `[64]`."""
    nothing = Project(cases=(Case(id=1, title="-"),))
    first = ExecutionLog(1, ("1",), *(np.zeros(1, kind) for kind in (np.int32, np.int32, np.int8, float, float)))
    return extract_features(nothing, first)[0]


def default_rates(states: np.ndarray) -> np.ndarray:
    """Share of rows where each feature has its default value, float64 `[64]`, from `[R, 64]`; NaN without rows."""
    if not len(states):
        return np.full(states.shape[1], np.nan)
    return np.isclose(states, default_features()[: states.shape[1]]).mean(0)


def constant_features(states: np.ndarray) -> tuple[str, ...]:
    """Features with the same value in every row of `[R, 64]`; nothing can be learned from them."""
    if not len(states):
        return ()
    same = states.min(0) == states.max(0)
    return tuple(name for name, constant in zip(FEATURES, same, strict=False) if constant)


def _ago(sequence: VerdictSequence, back: int) -> np.ndarray:
    """The verdict `back` places before the newest known one, `[R]`; NaN if there is none."""
    at = sequence.stop - 1 - back
    exists = at >= sequence.start
    verdict = np.full(len(at), np.nan)
    verdict[exists] = sequence.verdict[at[exists]]
    return verdict


def _last_failure(sequence: VerdictSequence) -> np.ndarray:
    """Position of the newest known failure of each row's group, `[R]`; before `start` if there is none."""
    newest = np.maximum.accumulate(np.where(sequence.verdict == 1, np.arange(len(sequence.verdict)), -1))
    return (
        np.where(sequence.stop > 0, newest[sequence.stop - 1], -1) if len(newest) else np.full(len(sequence.stop), -1)
    )


def _flips(sequence: VerdictSequence) -> np.ndarray:
    """Number of verdicts that differ from the previous one, within each row's earlier cycles, `[R]`."""
    change = np.zeros(len(sequence.verdict) + 1, np.int64)
    change[1:-1] = np.cumsum(sequence.verdict[1:] != sequence.verdict[:-1])
    change[-1] = change[-2] if len(change) > 1 else 0
    changes = change[np.maximum(sequence.stop - 1, 0)] - change[np.minimum(sequence.start, len(change) - 1)]
    return np.where(sequence.stop - sequence.start > 1, changes, 0)


def _past_durations(log: ExecutionLog) -> tuple[np.ndarray, np.ndarray]:
    """Mean and newest duration (ms) of each row's case in earlier cycles, `[R]`; NaN if there is none."""
    has_duration = ~np.isnan(log.duration_ms)
    span = len(log.cycles) + 1
    key = log.case.astype(np.int64) * span + log.cycle
    order = np.argsort(key[has_duration], kind="stable")
    sorted_key, duration = key[has_duration][order], log.duration_ms[has_duration][order]
    start = np.searchsorted(sorted_key, log.case.astype(np.int64) * span)
    stop = np.searchsorted(sorted_key, key)
    count = stop - start
    exists = count > 0
    # Integer microseconds make sums exact, so that one duration cannot change another's by rounding.
    micro = np.rint(np.clip(duration, 0, _LONGEST_MS) * 1000).astype(np.int64)
    total = np.concatenate([[0], np.cumsum(micro)])
    mean, last = np.full(len(log), np.nan), np.full(len(log), np.nan)
    mean[exists] = (total[stop[exists]] - total[start[exists]]) / count[exists] / 1000
    last[exists] = micro[stop[exists] - 1] / 1000
    return mean, last


def _rank_in_cycle(cycle: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Rank of a value among the known values of its cycle, 0 to 1, ties by mean rank, `[R]`; .5 if unknown."""
    rank = np.full(len(cycle), 0.5)
    rows = np.flatnonzero(~np.isnan(value))
    if not len(rows):
        return rank
    order = rows[np.lexsort((value[rows], cycle[rows]))]
    cycles, values = cycle[order], value[order]
    new_cycle = np.concatenate([[True], cycles[1:] != cycles[:-1]])
    new_value = new_cycle | np.concatenate([[True], values[1:] != values[:-1]])
    tie = np.cumsum(new_value) - 1
    position = np.arange(len(order))
    middle = np.bincount(tie, position) / np.bincount(tie)
    which = np.cumsum(new_cycle) - 1
    first, size = position[new_cycle], np.bincount(which)
    within = middle[tie] - first[which]
    rank[order] = np.where(size[which] > 1, within / np.maximum(size[which] - 1, 1), 0.5)
    return rank
