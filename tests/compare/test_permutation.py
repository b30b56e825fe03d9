import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rl_eval.compare.permutation import paired_difference, smallest_p
from rl_eval.errors import InputError

number = st.integers(-20, 20).map(lambda value: value / 4)


def sample(least, most):
    return st.lists(number, min_size=least, max_size=most).map(np.array)


@pytest.mark.parametrize("count", [3, 8, 12])
def test_paired_agrees_with_scipy(count):
    rng = np.random.default_rng(count)
    x, y = rng.normal(0.4, 1.0, count), rng.normal(0.0, 1.0, count)
    result = paired_difference(x, y)
    for p, side in ((result.p_below, "less"), (result.p_above, "greater")):
        reference = stats.permutation_test(
            (x - y,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative=side
        )
        assert p == pytest.approx(reference.pvalue, abs=1e-12)


def test_darwins_plants():
    # Fisher, The Design of Experiments (1935), section 21: 15 pairs, in eighths of an inch; of 32,768 sign patterns
    # 863 give a sum as large as the 314 observed, in either direction 1,726.
    d = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])
    result = paired_difference(d, np.zeros(15))
    assert result.p_above == pytest.approx(863 / 2**15, abs=1e-12)
    assert result.estimate == pytest.approx(314 / 15)


@settings(max_examples=15)
@given(sample(6, 6), st.sampled_from([0.02, 0.05, 0.1]))
def test_paired_rejects_no_more_than_alpha_of_all_signs(values, alpha):
    signs = 1 - 2 * (np.arange(64)[:, None] >> np.arange(6) & 1)
    p = [paired_difference(sign * values, np.zeros(6), alpha).p_below for sign in signs]
    assert np.mean(np.array(p) <= alpha) <= alpha + 1e-12


def test_equal_differences_leave_no_doubt_about_their_size():
    result = paired_difference(np.full(5, 2.0), np.full(5, 0.5))
    assert (result.low, result.high, result.p_above) == (1.5, 1.5, 1 / 32)


@settings(max_examples=30)
@given(sample(5, 7), st.sampled_from([0.05, 0.1]))
def test_the_interval_excludes_0_where_the_test_rejects(d, alpha):
    result = paired_difference(d, np.zeros(len(d)), alpha)
    assert result.low <= result.estimate <= result.high
    assert result.low >= -1e-9 if result.p_above <= alpha else result.low <= 1e-9
    assert result.high <= 1e-9 if result.p_below <= alpha else result.high >= -1e-9


@settings(max_examples=40)
@given(sample(5, 8))
def test_a_sample_against_itself_shows_nothing(x):
    result = paired_difference(x, x)
    assert result.estimate == 0
    assert min(result.p_below, result.p_above) >= 0.5
    assert result.low <= 0 <= result.high


def test_too_few_pairs_have_no_interval():
    result = paired_difference(np.ones(4), np.zeros(4))
    assert (result.low, result.high) == (-math.inf, math.inf)
    assert result.p_above == smallest_p(4) == 1 / 16


@pytest.mark.parametrize("bad", [[], [math.nan], [[1.0]]])
def test_a_broken_sample_is_an_error(bad):
    with pytest.raises(InputError, match="finite"):
        paired_difference(np.array(bad), np.ones(2))
