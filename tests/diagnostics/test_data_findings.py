"""Findings about observations and cases, on small tables."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstwo

from rl_eval.diagnostics._dead_features import constant_columns, duplicated_columns
from rl_eval.diagnostics._feature_shift import critical_distance, ks_distance
from rl_eval.diagnostics._observations import Observed


def table(rows, *, from_data=True, names=None):
    rows = np.asarray(rows, np.float32)
    return Observed(rows, names or tuple(f"c{i}" for i in range(rows.shape[1])), from_data)


def noise(rows=400, columns=4, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns))


def test_columns_that_vary_are_neither_dead_nor_copies():
    assert constant_columns(table(noise())) == []
    assert duplicated_columns(table(noise())) == []


def test_a_constant_column_is_named():
    rows = noise()
    rows[:, 2] = 7.0
    assert constant_columns(table(rows)) == ["c2"]


def test_a_column_kept_for_categories_to_come_may_be_empty():
    rows = noise(columns=2)
    rows[:, 1] = 0.0
    assert constant_columns(table(rows, names=("c0", "service=<other>"))) == []


@given(scale=st.floats(0.01, 1e3), shift=st.floats(-10, 10))
def test_a_scaled_copy_is_detected(scale, shift):
    rows = noise().astype(np.float32)
    rows = np.column_stack([rows, rows[:, 1] * np.float32(scale) + np.float32(shift) * np.float32(scale)])
    assert duplicated_columns(table(rows)) == [("c1", "c4")]


def test_the_complement_of_a_yes_or_no_is_no_copy():
    yes = np.random.default_rng(0).integers(0, 2, 400)
    assert duplicated_columns(table(np.column_stack([yes, 1 - yes]))) == []


def test_two_rare_events_that_coincide_in_a_short_play_are_no_copies():
    both = np.zeros((400, 2))
    both[17] = 1
    assert duplicated_columns(table(both, from_data=False)) == []
    assert duplicated_columns(table(both, from_data=True)) == [("c0", "c1")]


@given(seed=st.integers(0, 2**16), ties=st.booleans())
def test_the_distance_is_that_of_scipy(seed, ties):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=rng.integers(2, 60)), rng.normal(0.3, size=rng.integers(2, 60))
    if ties:
        a, b = a.round(), b.round()
    np.testing.assert_allclose(ks_distance(a, b), ks_2samp(a, b).statistic)


def test_the_critical_distance_is_near_the_exact_one():
    """SciPy's exact one-sample distribution at n·m/(n+m), for which the large-sample form stands."""
    exact = kstwo.isf(0.01, 500)
    assert abs(critical_distance(1000, 1000, 0.01) / exact - 1) < 0.02
