"""The next cycle: its results are unknown, cases run by score, and the budget limits how many run."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.domains.qase.commands.next_cycle import (
    empty_log,
    expected_durations,
    next_cycle,
    next_cycle_features,
    order_cases,
)
from rl_eval.domains.qase.environment.features import FEATURES, default_features, extract_features
from rl_eval.domains.qase.formats.load import load
from rl_eval.domains.qase.model.project import Case, Project
from tests.domains.qase.commands.next_cycles import PROJECT, executions, log_of, until

ROOT = Path(__file__).resolve().parents[4]
DATA = ROOT.parent / "shared/data"
V1, REPORT = DATA / "qase/qase-demo_QD-2026-02-18.csv", DATA / "qase/report"
IOFROL = DATA / "iofrol/iofrol.csv"
cases = st.lists(st.tuples(st.integers(-3, 3), st.floats(0, 1e6)), min_size=1, max_size=30)


@given(rows=executions().filter(bool))
def test_the_next_cycle_has_the_features_that_it_is_recorded_with_later(rows):
    log = log_of(rows)
    recorded = extract_features(PROJECT, log)
    for cycle in set(log.cycle.tolist()):
        inside = log.cycle == cycle
        assert np.array_equal(next_cycle_features(PROJECT, until(log, cycle), log.case[inside]), recorded[inside])


@pytest.mark.skipif(not IOFROL.is_file(), reason="iofrol.csv is not at ../shared/data/iofrol")
def test_so_has_that_of_a_source_which_records_earlier_verdicts_itself():
    result = load(str(IOFROL))
    recorded = extract_features(result.project, result.log)
    inside = result.log.cycle == 160
    before = until(result.log, 160)
    assert np.array_equal(next_cycle_features(result.project, before, result.log.case[inside]), recorded[inside])


def test_without_results_only_case_features_are_set():
    planned = next_cycle(PROJECT, empty_log(PROJECT))
    history = FEATURES.index("verdict_1_ago")
    default = default_features()[history:]
    assert np.array_equal(planned.features[:, history:], np.tile(default, (4, 1)))
    assert np.isnan(planned.expected_ms).all()
    assert planned.last_verdict.tolist() == [-1] * 4


def test_a_planned_case_counts_its_verdicts():
    planned = next_cycle(PROJECT, log_of([(0, 0, 1, 5), (0, 1, 0, 5), (1, 0, 0, 5), (1, 0, -1, 5), (2, 2, -1, 5)]))
    assert planned.runs.tolist() == [2, 1, 0, 0]
    assert planned.failures.tolist() == [1, 0, 0, 0]
    assert planned.last_verdict.tolist() == [0, 0, -1, -1]


def test_verdicts_before_the_first_cycle_are_used():
    log = log_of([(0, 1, 0, 5), (1, 1, 0, 5)])
    recorded = dataclasses.replace(
        log, earlier_verdicts=np.array([1, 1, 0, 1, 1], np.int8), earlier_start=np.array([0, 2, 5])
    )
    planned = next_cycle(PROJECT, recorded)
    assert planned.runs.tolist() == [0, 4, 0, 0]
    assert planned.failures.tolist() == [0, 2, 0, 0]


def test_deprecated_muted_and_gone_cases_are_counted_and_left_out():
    fields = [{"status": "deprecated", "is_muted": True}, {"is_muted": True}, {"status": "draft"}, {}, {}]
    project = Project(cases=tuple(Case(id=i + 1, title="t", **values) for i, values in enumerate(fields)))
    planned = next_cycle(project, empty_log(project), np.array([False, False, False, False, True]))
    assert planned.case.tolist() == [2, 3]
    assert planned.left_out == {"deprecated": 1, "muted": 1, "gone": 1}


def test_a_case_takes_its_mean_or_the_median_of_all_and_only_executions_that_ended_count():
    rows = [(0, 0, 0, 100.0), (0, 1, 1, 7.0), (1, 0, 1, 200.0), (1, 1, -1, 1e6), (2, 2, -1, 0.0), (2, 0, 0, math.nan)]
    expected, guessed = expected_durations(log_of(rows), np.arange(4))
    assert expected.tolist() == [150.0, 7.0, 100.0, 100.0]  # the median of 7, 100, 200
    assert guessed.tolist() == [False, False, True, True]


@given(cases=cases, budget=st.floats(0, 1e7))
def test_the_order_is_by_score_and_the_budget_holds_the_longest_prefix_that_ends_in_time(cases, budget):
    scores, expected = np.array([c[0] for c in cases], np.float32), np.array([c[1] for c in cases])
    result = order_cases(expected, scores, budget)
    assert result.order.tolist() == sorted(range(len(cases)), key=lambda i: (-cases[i][0], i))  # ties as listed
    assert result.scores.tolist() == [cases[i][0] for i in result.order]
    ends, spent = [], 0.0
    for i in result.order:
        spent += cases[i][1]
        ends.append(spent)
    assert result.total_ms == pytest.approx(ends)
    for rank, end in enumerate(ends):  # sums may differ in their last digit
        assert (rank < result.within) == (end <= budget) or end == pytest.approx(budget)


@given(cases=cases, budgets=st.tuples(st.floats(0, 1e7), st.floats(0, 1e7)))
def test_more_time_never_lets_fewer_cases_run_and_all_of_it_lets_all(cases, budgets):
    scores, expected = np.array([c[0] for c in cases], np.float32), np.array([c[1] for c in cases])
    less, more = (order_cases(expected, scores, budget).within for budget in sorted(budgets))
    assert less <= more <= order_cases(expected, scores, math.inf).within == len(cases)
    assert order_cases(expected, scores, float(expected.sum())).within == len(cases)


def test_a_case_that_was_always_skipped_is_not_new_and_comes_last():
    planned = next_cycle(PROJECT, log_of([(0, 0, 0, 5), (0, 1, -1, 5), (1, 1, -1, 5), (1, 2, 1, 5), (2, 2, -1, 5)]))
    assert planned.skipped.tolist() == [False, True, False, False]  # the last one never ran, and is new
    rate = planned.features[:, FEATURES.index("failure_rate")]
    assert rate.tolist() == [0, 1, 1, 1]
    order = order_cases(planned.expected_ms, rate, math.inf, planned.skipped).order
    assert order.tolist() == [2, 3, 0, 1]
