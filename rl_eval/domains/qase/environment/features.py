"""The 64 features of a case in a cycle: what it is, what it says, and how it fared in earlier cycles.

Nothing of the present cycle is used: not its verdicts, not its durations, of this case or any other.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

import numpy as np

from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.project import Case, Project, Step
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
    """What each case is and says: float32 `[C, 44]`, in the order of `CASE_FEATURES`.

    Texts are hashed words with signs, scaled to length 1 (Weinberger et al., *Feature hashing*, ICML 2009).
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


def _count(steps: tuple[Step, ...]) -> int:
    return sum(1 + _count(step.steps) for step in steps)


def _depth(steps: tuple[Step, ...]) -> int:
    return 1 + max(_depth(step.steps) for step in steps) if steps else 0


def _actions(steps: tuple[Step, ...]) -> list[str]:
    return [text for step in steps for text in (step.action, *_actions(step.steps))]


def _hashed(project: Project, text: Callable[[Case], str], width: int, words: dict[str, int]) -> np.ndarray:
    """Words hashed into `width` signed places, float32 `[C, width]`, each row of length 1 or 0."""
    distinct: dict[str, int] = {}
    row = np.array([distinct.setdefault(text(case), len(distinct)) for case in project.cases], np.int64)
    owners: list[int] = []
    codes: list[int] = []
    for i, held in enumerate(distinct):
        for word in _WORD.findall(held.casefold()):
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
    """How the case of each execution fared in earlier cycles: float32 `[R, 20]`, in the order of `HISTORY_FEATURES`.

    A case without any: failure rate 1, as failure-rate sorting has it; smoothed and recent rates .5.
    """
    seen = verdict_sequence(log, log.case)
    runs = seen.stop - seen.start
    failures = np.concatenate([[0], np.cumsum(seen.verdict, dtype=np.int64)])
    failed = failures[seen.stop] - failures[seen.start]
    new = runs == 0
    ago = [_ago(seen, i) for i in range(_DECAY_OVER)]  # 1 failed, 0 passed, NaN none
    weights = np.array([_DECAY**i for i in range(_DECAY_OVER)])[:, None] * ~np.isnan(ago)
    weighted = (weights * np.nan_to_num(ago)).sum(0)
    total = weights.sum(0)
    last_run = np.where(new, -2, seen.cycle[seen.stop - 1] if len(seen.cycle) else -2)
    since_run = np.where(new, 0, log.cycle - np.maximum(last_run, -1))
    last_fail = _last_failure(seen)
    fail_cycle = seen.cycle[last_fail] if len(seen.cycle) else last_fail
    since_fail = log.cycle - np.maximum(fail_cycle, -1)
    streak = np.where(failed > 0, seen.stop - 1 - last_fail, runs)
    mean_ms, last_ms = _past_durations(log)
    suite_of = np.array([case.suite_id or 0 for case in project.cases], np.int64)
    suite = np.unique(suite_of, return_inverse=True)[1][log.case] if len(log) else log.case
    beside = verdict_sequence(log, suite)
    suite_runs = beside.stop - beside.start
    suite_failures = np.concatenate([[0], np.cumsum(beside.verdict, dtype=np.int64)])
    suite_failed = suite_failures[beside.stop] - suite_failures[beside.start]
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
        _flips(seen) / np.maximum(runs - 1, 1),
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
    """The features of a case that says nothing, and that never ran: float32 `[64]`."""
    nothing = Project(cases=(Case(id=1, title="-"),))
    first = ExecutionLog(1, ("1",), *(np.zeros(1, kind) for kind in (np.int32, np.int32, np.int8, float, float)))
    return extract_features(nothing, first)[0]


def default_rates(states: np.ndarray) -> np.ndarray:
    """The share of rows in which each feature says nothing, float64 `[64]`, from `[R, 64]`; of no rows, NaN."""
    if not len(states):
        return np.full(states.shape[1], np.nan)
    return np.isclose(states, default_features()[: states.shape[1]]).mean(0)


def constant_features(states: np.ndarray) -> tuple[str, ...]:
    """The features that are the same in every row of `[R, 64]`, from which nothing can be learnt."""
    if not len(states):
        return ()
    same = states.min(0) == states.max(0)
    return tuple(name for name, constant in zip(FEATURES, same, strict=False) if constant)


def _ago(seen: VerdictSequence, back: int) -> np.ndarray:
    """The verdict `back` places before the newest known one, `[R]`; NaN where there is none."""
    at = seen.stop - 1 - back
    there = at >= seen.start
    found = np.full(len(at), np.nan)
    found[there] = seen.verdict[at[there]]
    return found


def _last_failure(seen: VerdictSequence) -> np.ndarray:
    """Where the newest known failure of each row's group stands, `[R]`; before `start` where there is none."""
    newest = np.maximum.accumulate(np.where(seen.verdict == 1, np.arange(len(seen.verdict)), -1))
    return np.where(seen.stop > 0, newest[seen.stop - 1], -1) if len(newest) else np.full(len(seen.stop), -1)


def _flips(seen: VerdictSequence) -> np.ndarray:
    """How often a verdict differed from the one before it, within each row's window, `[R]`."""
    change = np.zeros(len(seen.verdict) + 1, np.int64)
    change[1:-1] = np.cumsum(seen.verdict[1:] != seen.verdict[:-1])
    change[-1] = change[-2] if len(change) > 1 else 0
    changes = change[np.maximum(seen.stop - 1, 0)] - change[np.minimum(seen.start, len(change) - 1)]
    return np.where(seen.stop - seen.start > 1, changes, 0)


def _past_durations(log: ExecutionLog) -> tuple[np.ndarray, np.ndarray]:
    """Mean and newest duration (ms) of each row's case in earlier cycles, `[R]`; NaN where there is none."""
    known = ~np.isnan(log.duration_ms)
    span = len(log.cycles) + 1
    key = log.case.astype(np.int64) * span + log.cycle
    order = np.argsort(key[known], kind="stable")
    held, duration = key[known][order], log.duration_ms[known][order]
    start = np.searchsorted(held, log.case.astype(np.int64) * span)
    stop = np.searchsorted(held, key)
    count = stop - start
    there = count > 0
    # Whole microseconds: sums are exact, so that one duration can never move another's by rounding.
    micro = np.rint(np.clip(duration, 0, _LONGEST_MS) * 1000).astype(np.int64)
    total = np.concatenate([[0], np.cumsum(micro)])
    mean, last = np.full(len(log), np.nan), np.full(len(log), np.nan)
    mean[there] = (total[stop[there]] - total[start[there]]) / count[there] / 1000
    last[there] = micro[stop[there] - 1] / 1000
    return mean, last


def _rank_in_cycle(cycle: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The rank of a value among those known of its cycle, 0 to 1, ties by their mean, `[R]`; .5 where not known."""
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
