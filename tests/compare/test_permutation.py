import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rl_eval.compare.permutation import paired_difference, smallest_p, unpaired_difference
from rl_eval.errors import InputError

number = st.integers(-20, 20).map(lambda value: value / 4)


def sample(least, most):
    return st.lists(number, min_size=least, max_size=most).map(np.array)


def welch(x, y, axis):
    return stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic


@pytest.mark.parametrize("sizes", [(4, 4), (6, 5), (8, 8)])
def test_unpaired_agrees_with_scipy(sizes):
    rng = np.random.default_rng(sum(sizes))
    x, y = rng.gamma(2.0, 1.0, sizes[0]) + 0.5, rng.gamma(2.0, 2.0, sizes[1])
    result = unpaired_difference(x, y)
    for p, side in ((result.p_below, "less"), (result.p_above, "greater")):
        reference = stats.permutation_test((x, y), welch, vectorized=True, n_resamples=np.inf, alternative=side)
        student = stats.ttest_ind(x, y, equal_var=False, alternative=side)
        assert p == pytest.approx(max(reference.pvalue, student.pvalue), abs=1e-12)


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


@settings(max_examples=30)
@given(sample(1, 5), sample(1, 5))
def test_the_other_way_round_is_the_mirror_image(x, y):
    forward, backward = unpaired_difference(x, y), unpaired_difference(y, x)
    assert forward.estimate == pytest.approx(-backward.estimate)
    assert (forward.p_below, forward.p_above) == pytest.approx((backward.p_above, backward.p_below))
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low), abs=1e-6)


@settings(max_examples=15)
@given(sample(6, 6), st.sampled_from([0.05, 0.1, 0.2]))
def test_unpaired_rejects_no_more_than_alpha_of_all_labellings(values, alpha):
    # exact: whatever the data, permuting the labels at random gives p ≤ alpha with probability ≤ alpha
    from itertools import combinations

    p = []
    for positions in combinations(range(6), 3):
        mask = np.isin(np.arange(6), positions)
        p.append(unpaired_difference(values[mask], values[~mask], alpha).p_below)
    assert np.mean(np.array(p) <= alpha) <= alpha + 1e-12


@settings(max_examples=15)
@given(sample(6, 6), st.sampled_from([0.02, 0.05, 0.1]))
def test_paired_rejects_no_more_than_alpha_of_all_signs(values, alpha):
    signs = 1 - 2 * (np.arange(64)[:, None] >> np.arange(6) & 1)
    p = [paired_difference(sign * values, np.zeros(6), alpha).p_below for sign in signs]
    assert np.mean(np.array(p) <= alpha) <= alpha + 1e-12


@settings(max_examples=30)
@given(sample(5, 7), sample(5, 5), st.sampled_from([0.05, 0.1]))
def test_the_interval_excludes_0_where_the_test_rejects(x, y, alpha):
    result = unpaired_difference(x, y, alpha)
    assert result.low <= result.estimate <= result.high
    if result.p_above > alpha:
        assert result.low <= 1e-9
    if result.p_below > alpha:
        assert result.high >= -1e-9
    if result.p_above <= alpha:
        assert result.low >= -1e-9
    if result.p_below <= alpha:
        assert result.high <= 1e-9


@settings(max_examples=40)
@given(sample(5, 8))
def test_a_sample_against_itself_shows_nothing(x):
    for result in (paired_difference(x, x), unpaired_difference(x, x)):
        assert result.estimate == 0
        assert min(result.p_below, result.p_above) >= 0.5
        assert result.low <= 0 <= result.high


def test_equal_differences_leave_no_doubt_about_their_size():
    result = paired_difference(np.full(5, 2.0), np.full(5, 0.5))
    assert (result.low, result.high, result.p_above) == (1.5, 1.5, 1 / 32)


def test_samples_too_small_have_no_interval():
    for result in (unpaired_difference(np.array([1.0]), np.array([9.0])), paired_difference(np.ones(4), np.zeros(4))):
        assert (result.low, result.high) == (-math.inf, math.inf)
        assert result.smallest > 0.05


@pytest.mark.parametrize("sizes", [(3, 3), (3, 8), (8, 3), (5, 5)])
def test_a_sample_that_varies_more_is_not_called_lower_for_that(sizes):
    # 200 times equal means and five times the spread: a rate of .05 gives more than 19 with a probability below .5 %
    rng = np.random.default_rng(1)
    result = [unpaired_difference(rng.normal(0, 5, sizes[0]), rng.normal(0, 1, sizes[1])).p_below for _ in range(200)]
    assert np.mean(np.array(result) <= 0.05) <= 19 / 200


def test_the_smallest_p_is_reached():
    far = np.arange(3.0) + 100
    assert unpaired_difference(far, np.arange(3.0)).p_above == smallest_p(3, 3, paired=False) == 1 / 20
    assert paired_difference(far, np.arange(3.0)).p_above == smallest_p(3, 3, paired=True) == 1 / 8


@pytest.mark.parametrize("sizes", [(12, 12), (40, 30)])
def test_where_permutations_are_drawn_they_are_near_students_t(sizes):
    rng = np.random.default_rng(5)
    x, y = rng.normal(0.5, 1.0, sizes[0]), rng.normal(0.0, 1.0, sizes[1])
    result, reference = unpaired_difference(x, y), stats.ttest_ind(x, y, equal_var=False, alternative="greater")
    assert result.p_above == pytest.approx(reference.pvalue, abs=0.02)
    assert result == unpaired_difference(x, y)  # seeded


@pytest.mark.parametrize("bad", [[], [math.nan], [[1.0]]])
def test_a_broken_sample_is_an_error(bad):
    with pytest.raises(InputError, match="finite"):
        unpaired_difference(np.array(bad), np.ones(2))
