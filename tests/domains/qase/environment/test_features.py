"""The 64 features: finite, from earlier cycles only, and equal to a plain loop over each case's history."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rl_eval.domains.qase.environment.features import (
    CASE_FEATURES,
    FEATURES,
    HISTORY_FEATURES,
    case_features,
    constant_features,
    default_features,
    default_rates,
    extract_features,
    history_features,
)
from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.project import Case, CaseStep, CaseSuite, Project, build_project
from tests.domains.qase.project_strategies import projects

PROJECT = build_project(
    [CaseSuite(id=1, title="a"), CaseSuite(id=2, title="b", parent_id=1)],
    [Case(id=i + 1, title=f"case {i}", suite_id=i // 2 + 1) for i in range(4)],
    "here",
)


def log_of(case, cycle, verdict, duration=None, earlier_verdicts=None):
    """A log of four cases; `earlier_verdicts` is a list of recorded verdicts a row."""
    n = len(case)
    starts = (
        None
        if earlier_verdicts is None
        else np.concatenate([[0], np.cumsum([len(row) for row in earlier_verdicts])]).astype(np.int64)
    )
    return ExecutionLog(
        n_cases=4, cycles=tuple(map(str, range(max(cycle, default=-1) + 1))), case=np.array(case, np.int32),
        cycle=np.array(cycle, np.int32), verdict=np.array(verdict, np.int8),
        duration_ms=np.array([math.nan] * n if duration is None else duration, float), started=np.full(n, math.nan),
        earlier_verdicts=None if starts is None else np.array([v for row in earlier_verdicts for v in row], np.int8),
        earlier_start=starts,
    )  # fmt: skip


@st.composite
def logs(draw):
    rows = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from([-1, 0, 1]),
                                   st.sampled_from([math.nan, 0.0, 3.25, 1e4, 1e300])), max_size=25))  # fmt: skip
    rows.sort(key=lambda row: row[0])
    return log_of([r[1] for r in rows], [r[0] for r in rows], [r[2] for r in rows], [r[3] for r in rows])


def one(log, row, name):
    return float(history_features(PROJECT, log)[row, HISTORY_FEATURES.index(name)])


def test_there_are_64_and_each_has_a_name_of_its_own():
    assert len(FEATURES) == len(set(FEATURES)) == 64
    assert default_features().shape == (64,)


@settings(max_examples=80)
@given(logs())
def test_states_are_float32_finite_and_small(log):
    states = extract_features(PROJECT, log)
    assert states.shape == (len(log), 64)
    assert states.dtype == np.float32
    assert np.isfinite(states).all()
    assert (np.abs(states) <= 5).all()


@settings(max_examples=40)
@given(projects())
def test_any_case_has_finite_features(project):
    features = case_features(project)
    assert features.shape == (len(project.cases), len(CASE_FEATURES))
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert (np.abs(features) <= 5).all()


@settings(max_examples=120)
@given(logs(), st.data())
def test_the_present_cycle_never_shows(log, data):
    """Whatever its verdicts and durations become, no feature of it or of an earlier one moves by a bit."""
    cycle = data.draw(st.integers(0, 5))
    now = log.cycle >= cycle
    verdict = np.where(now, data.draw(arrays(np.int8, len(log), elements=st.sampled_from([-1, 0, 1]))), log.verdict)
    changed = data.draw(arrays(float, len(log), elements=st.sampled_from([math.nan, 1.0, 77.7, 1e9, 1e300])))
    duration = np.where(now, changed, log.duration_ms)
    flipped = log_of(log.case, log.cycle.tolist(), verdict, duration)
    rows = log.cycle <= cycle
    assert np.array_equal(extract_features(PROJECT, log)[rows], extract_features(PROJECT, flipped)[rows])


def test_a_past_verdict_does_show():
    first, second = (log_of([0, 0], [0, 1], [verdict, 0]) for verdict in (0, 1))
    assert (history_features(PROJECT, first)[1] != history_features(PROJECT, second)[1]).any()


@settings(max_examples=80)
@given(logs())
def test_history_is_what_a_plain_reading_gives(log):
    states = history_features(PROJECT, log)
    for row in range(len(log)):
        mine = (log.case == log.case[row]) & (log.cycle < log.cycle[row])
        earlier = [int(v) for v in log.verdict[mine] if v >= 0]
        cycles = [int(c) for c, v in zip(log.cycle[mine], log.verdict[mine], strict=True) if v >= 0]
        durations = [min(d, 1e11) for d in log.duration_ms[mine] if not math.isnan(d)]
        got = dict(zip(HISTORY_FEATURES, states[row].tolist(), strict=True))
        newest = earlier[::-1]
        for i in range(6):
            assert got[f"verdict_{i + 1}_ago"] == (2 * newest[i] - 1 if i < len(newest) else 0)
        failed = sum(earlier)
        weights = [0.7**i for i in range(8)][: len(newest)]
        flips = sum(a != b for a, b in zip(earlier[1:], earlier[:-1], strict=True))
        streak = next((i for i, v in enumerate(newest) if v), len(newest))
        suite_log = (log.case // 2 == log.case[row] // 2) & (log.cycle < log.cycle[row]) & (log.verdict >= 0)
        lately = [c for c, v in zip(cycles, earlier, strict=True) if v]
        expected = {
            "runs": math.log1p(len(earlier)) / 5,
            "failure_rate": failed / len(earlier) if earlier else 1,
            "failure_rate_smoothed": (failed + 0.5) / (len(earlier) + 1),
            "failure_rate_recent": np.dot(weights, newest[:8]) / sum(weights) if earlier else 0.5,
            "cycles_since_run": math.log1p(int(log.cycle[row]) - cycles[-1]) / 5 if cycles else 0,
            "failed_lately": 1 / (int(log.cycle[row]) - lately[-1]) if lately else 0,
            "ever_failed": float(failed > 0),
            "never_run": float(not earlier),
            "pass_streak": math.log1p(streak) / 5,
            "flip_rate": flips / max(len(earlier) - 1, 1),
            "duration_mean": math.log1p(sum(durations) / len(durations)) / 20 if durations else 0,
            "duration_last": math.log1p(durations[-1]) / 20 if durations else 0,
            "suite_failure_rate": float(log.verdict[suite_log].mean()) if suite_log.any() else 0.5,
        }  # fmt: skip
        for name, value in expected.items():
            assert got[name] == pytest.approx(value, abs=1e-5), name


def test_recorded_verdicts_from_before_the_log_count_and_those_of_the_same_cycle_do_not():
    # case 0 ran twice before the log (failed, then passed); then twice in cycle 0 and once in cycle 1
    log = log_of([0, 0, 0], [0, 0, 1], [1, 0, 0], earlier_verdicts=[[0, 1], [1, 0, 1], [0, 1, 0, 1]])
    assert [one(log, row, "failure_rate") for row in range(3)] == [0.5, 0.5, 0.5]
    assert [one(log, row, "verdict_1_ago") for row in range(3)] == [-1, -1, -1]
    assert [one(log, row, "runs") for row in range(3)] == pytest.approx([math.log(3) / 5] * 2 + [math.log(5) / 5])


def test_durations_are_ranked_among_the_known_of_the_cycle():
    log = log_of([0, 1, 2, 0, 1, 2, 3], [0, 0, 0, 1, 1, 1, 1], [0] * 7, [30.0, 10.0, 20.0, 1.0, 1.0, 1.0, 1.0])
    assert [one(log, row, "duration_rank") for row in range(7)] == [0.5, 0.5, 0.5, 1.0, 0.0, 0.5, 0.5]


def test_words_count_and_not_their_order_or_case():
    def hashed(title):
        features = case_features(Project(cases=(Case(id=1, title=title),)))[0]
        return features[[name.startswith("title_hash") for name in CASE_FEATURES]].tolist()

    assert hashed("Pay by card") == hashed("card, PAY by!")
    assert hashed("Pay by card") != hashed("Search the catalogue")
    assert np.linalg.norm(hashed("Pay by card")) == pytest.approx(1)
    position = (zlib.crc32(b"pay") >> 1) % 5
    assert [i for i, value in enumerate(hashed("pay")) if value] == [position]


def test_a_wrong_field_name_shows_as_features_that_say_nothing():
    cases = [
        Case(id=i + 1, title="t", severity=["blocker", "minor"][i % 2], steps=(CaseStep(action="x"),) * i)
        for i in range(4)
    ]
    states = case_features(Project(cases=tuple(cases)))
    rates = dict(zip(CASE_FEATURES, default_rates(states), strict=True))
    assert (rates["severity"], rates["priority"], rates["steps"]) == (0, 1, 0.25)
    constant = constant_features(states)
    assert "priority" in constant
    assert not {"severity", "steps"} & set(constant)


def test_nothing_has_no_rates():
    assert np.isnan(default_rates(np.empty((0, 64), np.float32))).all()
    assert constant_features(np.empty((0, 64), np.float32)) == ()
