"""Statistics over tasks and runs against tables worked by hand, scipy, and a plain loop."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rl_eval.errors import InputError
from rl_eval.evidence import iqm, stratified_bootstrap
from rl_eval.evidence.bootstrap import _resampled

# 4 runs on 2 tasks. Sorted: 0 1 2 3 4 5 6 20; without the two lowest and highest: 2 3 4 5.
TABLE = np.array([[0.0, 4.0], [1.0, 5.0], [2.0, 6.0], [3.0, 20.0]])


def test_hand_worked_table():
    assert iqm(TABLE) == 3.5


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_scipy_agrees(runs, tasks, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, (runs, tasks)).astype(float)
    assert iqm(scores) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))


def test_replicates_are_as_of_a_plain_loop():
    """Each replicate holds, in each task's column, only scores of that task; and each run is equally likely."""
    table = np.arange(15.0).reshape(5, 3)
    drawn = _resampled(table, 20_000, np.random.default_rng(0))
    assert drawn.shape == (20_000, 5, 3)
    assert (drawn % 3 == np.arange(3)).all()
    shares = np.array([(drawn == value).mean() * 3 for value in table.ravel()])
    np.testing.assert_allclose(shares, 0.2, atol=0.01)


def test_the_interval_of_a_mean_is_the_textbook_one():
    scores = np.random.default_rng(1).normal(0, 1, (60, 4))
    interval = stratified_bootstrap(lambda drawn: drawn.mean(axis=(-2, -1)), scores, replicates=20_000)
    error = np.sqrt(scores.var(axis=0).mean() / 60 / 4)
    assert interval.estimate == pytest.approx(scores.mean())
    assert interval.low == pytest.approx(scores.mean() - 1.96 * error, abs=0.01)
    assert interval.high == pytest.approx(scores.mean() + 1.96 * error, abs=0.01)


def test_tasks_are_strata():
    """Runs that agree on every task leave nothing to chance, however much the tasks differ."""
    scores = np.broadcast_to(np.array([1.0, 50.0, 900.0]), (5, 3))
    interval = stratified_bootstrap(iqm, scores, replicates=1_000)
    assert interval.low == interval.high == interval.estimate


def test_it_is_seeded():
    scores = np.random.default_rng(2).random((5, 4))
    interval = stratified_bootstrap(iqm, scores, replicates=2_000)
    assert interval.low <= interval.estimate <= interval.high
    assert interval == stratified_bootstrap(iqm, scores, replicates=2_000)
    assert interval != stratified_bootstrap(iqm, scores, replicates=2_000, seed=1)


def test_fifty_thousand_replicates_of_five_runs_on_26_tasks_are_quick(record_figure):
    scores = np.random.default_rng(3).random((5, 26))
    seconds = []
    for _ in range(5):
        start = time.process_time()
        stratified_bootstrap(iqm, scores, replicates=50_000)
        seconds.append(time.process_time() - start)
    record_figure("seconds for 50,000 replicates of a 5 x 26 IQM on one core", min(seconds))
    assert min(seconds) < 0.6  # several times what it takes on an idle core


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros(3), r"\[runs, tasks\]"),
        (np.zeros((0, 3)), "at least one of each"),
        (np.array([[1.0, np.nan]]), "run 0 on task 1 is nan"),
    ],
)
def test_broken_scores_are_errors(scores, message):
    with pytest.raises(InputError, match=message):
        stratified_bootstrap(iqm, scores)
