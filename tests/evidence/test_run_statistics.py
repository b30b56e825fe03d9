"""Mean and variance over runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rl_eval.errors import InputError
from rl_eval.evidence import decide_over_runs, power_note
from rl_eval.evidence.run_statistics import mean_bounds, variance_bounds


@pytest.mark.parametrize(("runs", "factor"), [(5, 5.6), (10, 2.7)])
def test_the_bound_of_a_variance_that_so_few_runs_give(runs, factor):
    """The figures that the design and the power note quote, from scipy's chi-square."""
    assert round((runs - 1) / stats.chi2.ppf(0.05, runs - 1), 1) == factor
    values = stats.norm.ppf((np.arange(runs) + 0.5) / runs)
    assert variance_bounds(values)[1] == pytest.approx((runs - 1) * values.var(ddof=1) / stats.chi2.ppf(0.05, runs - 1))
    assert variance_bounds(values)[0] == pytest.approx((runs - 1) * values.var(ddof=1) / stats.chi2.ppf(0.95, runs - 1))


def test_power_note():
    assert power_note(5) == "with 5 runs the upper 95 % bound of a variance is 5.6·s², with 10 it would be 2.7·s²"


def test_mean_bounds_are_students():
    values = np.array([3.0, 5.0, 4.0, 6.0, 9.0])
    expected = stats.t.interval(0.9, 4, values.mean(), stats.sem(values))
    assert mean_bounds(values) == pytest.approx(expected)


def test_the_bounds_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    runs = rng.normal(10, 3, (2_000, 5))
    bounds = np.array([[*mean_bounds(r), *variance_bounds(r)] for r in runs])
    for missed in (bounds[:, 0] > 10, bounds[:, 1] < 10, bounds[:, 2] > 9, bounds[:, 3] < 9):
        assert stats.binomtest(int(missed.sum()), 2_000, 0.05, alternative="greater").pvalue > 1e-3


def test_decisions():
    values = np.array([10.0, 11.0, 9.0, 10.5, 9.5])
    s = values.std(ddof=1)
    assert decide_over_runs(values, 8.0).decision == "PASS"
    assert decide_over_runs(values, 12.0).decision == "FAIL"
    middle = decide_over_runs(values, 9.9)
    assert middle.decision == "INCONCLUSIVE"
    assert middle.more > 5
    assert decide_over_runs(values, 2.3 * s, "std", direction="at_most").decision == "INCONCLUSIVE"
    assert decide_over_runs(values, 2.4 * s, "std", direction="at_most").decision == "PASS"
    assert decide_over_runs(values, 5.7 * s**2, "variance", direction="at_most").decision == "PASS"
    assert decide_over_runs(values, 0.1 * s, "std", direction="at_most").decision == "FAIL"


def test_more_runs_would_decide_if_the_estimate_held():
    values = np.array([10.0, 11.0, 9.0, 10.5, 9.5])
    more = decide_over_runs(values, 1.5, "std", direction="at_most").more
    s, runs = values.std(ddof=1), 5 + more
    assert s * np.sqrt((runs - 1) / stats.chi2.ppf(0.05, runs - 1)) < 1.5
    assert s * np.sqrt((runs - 2) / stats.chi2.ppf(0.05, runs - 2)) >= 1.5


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan]])
def test_too_few_or_broken_runs_are_errors(values):
    for call in (mean_bounds, variance_bounds, lambda v: decide_over_runs(v, 1.0)):
        with pytest.raises(InputError):
            call(np.array(values))
    with pytest.raises(InputError, match="at least 2 runs"):
        power_note(1)
