"""APFD and similar measures, against a table worked by hand, scipy's ranks, and the mean over all tie breaks."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from rl_eval.domains.qase.environment.ranking import apfd, mid_ranks, napfd, passing_behind, ran_within, running_order

SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=7)


def padded(values, longest, fill=0.0):
    return np.array([[*values, *[fill] * (longest - len(values))]], np.float64)


def mask(count, longest):
    return (np.arange(longest) < count)[None]


def one(scores, failed):
    """APFD of one cycle."""
    real = np.ones((1, len(scores)), bool)
    return apfd(mid_ranks(np.array([scores], float), real), np.array([failed], bool), real)[0]


@pytest.mark.parametrize(
    ("scores", "failed", "expected"),
    [
        # ranks of the failing cases; 1 - sum / (n m) + 1 / (2n)
        ([9, 8, 7, 6, 5], [1, 0, 0, 0, 0], 0.9),  # 1: 1 - 1/5 + 1/10
        ([9, 8, 7, 6, 5], [0, 0, 0, 0, 1], 0.1),  # 5: 1 - 5/5 + 1/10
        ([9, 8, 7, 6, 5], [0, 1, 0, 1, 0], 0.5),  # 2, 4: 1 - 6/10 + 1/10
        ([1, 1, 1, 1], [0, 0, 1, 0], 0.5),  # 2.5 each: 1 - 2.5/4 + 1/8
        ([2, 1, 1, 0], [0, 1, 0, 1], 0.3125),  # 2.5, 4: 1 - 6.5/8 + 1/8
        ([1, 2, 3], [1, 1, 1], 0.5),  # all: nothing to order
    ],
)
def test_a_table_worked_by_hand(scores, failed, expected):
    assert one(scores, failed) == pytest.approx(expected, abs=1e-12)


def test_a_cycle_without_failures_has_none():
    assert np.isnan(one([3, 2, 1], [0, 0, 0]))


@given(SCORES, st.integers(0, 3))
def test_mid_ranks_are_those_of_scipy(scores, pad):
    longest = len(scores) + pad
    ranks = mid_ranks(padded(scores, longest, fill=99.0), mask(len(scores), longest))
    np.testing.assert_allclose(ranks[0, : len(scores)], rankdata(-np.array(scores)))


@given(SCORES.flatmap(lambda s: st.tuples(st.just(s), st.lists(st.booleans(), min_size=len(s), max_size=len(s)))))
def test_mid_ranks_give_the_mean_over_all_ways_to_break_ties(case):
    scores, failed = case
    if not any(failed):
        return
    every = [
        1 - sum(rank + 1 for rank, i in enumerate(order) if failed[i]) / (len(scores) * sum(failed)) + 0.5 / len(scores)
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    assert one(scores, failed) == pytest.approx(np.mean(every), abs=1e-9)


@st.composite
def cycles(draw):
    n = draw(st.integers(1, 8))
    lists = [
        draw(st.lists(elements, min_size=n, max_size=n))
        for elements in (st.integers(0, 4), st.booleans(), st.integers(0, 50), st.integers(0, 3))
    ]
    scores, failed, duration, ties = (np.array([values], float) for values in lists)
    return scores, failed.astype(bool), duration, ties, draw(st.integers(0, 400))


def ranks_of(order):
    ranks = np.empty(order.shape, int)
    np.put_along_axis(ranks, order, np.arange(1, order.shape[1] + 1)[None], axis=1)
    return ranks


@given(cycles())
def test_what_runs_within_a_budget_is_a_prefix_of_the_order_that_fits(cycle):
    scores, _, duration, ties, budget = cycle
    real = np.ones(scores.shape, bool)
    order = running_order(scores, ties, real)
    ran = ran_within(order, duration, np.array([budget], float), real)[0][order[0]]
    count = int(ran.sum())
    assert ran[:count].all()
    assert duration[0][order[0]][:count].sum() <= budget
    assert count == len(ran) or duration[0][order[0]][: count + 1].sum() > budget
    assert sorted(order[0]) == list(range(scores.shape[1]))
    assert (np.diff(scores[0][order[0]]) <= 0).all()


@given(cycles())
def test_under_no_budget_napfd_is_apfd(cycle):
    scores, failed, _, ties, _ = cycle
    real = np.ones(scores.shape, bool)
    ranks = ranks_of(running_order(scores, ties, real))
    np.testing.assert_allclose(napfd(ranks, failed, real, real), apfd(ranks, failed, real))


@given(cycles())
def test_a_smaller_budget_is_never_worth_more(cycle):
    scores, failed, duration, ties, budget = cycle
    if not failed.any():
        return
    real = np.ones(scores.shape, bool)
    order = running_order(scores, ties, real)
    ranks = ranks_of(order)
    worth = [
        measure(places, failed, ran_within(order, duration, np.array([b], float), real), real)[0]
        for measure, places in ((napfd, ranks), (passing_behind, order))
        for b in (budget / 2, budget)
    ]
    assert worth[0] <= worth[1] + 1e-12
    assert worth[2] <= worth[3] + 1e-12


@given(cycles())
def test_time_ranked_counts_the_passing_cases_behind_each_failure(cycle):
    scores, failed, duration, ties, budget = cycle
    if not failed.any():
        return
    real = np.ones(scores.shape, bool)
    order = running_order(scores, ties, real)
    ran = ran_within(order, duration, np.array([budget], float), real)
    in_order, ran_in_order = failed[0][order[0]], ran[0][order[0]]
    passing = (~in_order).sum()
    worth = [
        1.0 - ((~in_order[:i]).sum() / passing if passing else 0.0)
        for i in range(len(in_order))
        if in_order[i] and ran_in_order[i]
    ]
    result = passing_behind(order, failed, ran, real)[0]
    assert result == pytest.approx(sum(worth) / failed.sum(), abs=1e-9)


def test_many_cycles_equal_single_cycles():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 12, 50)
    longest = lengths.max()
    real = np.arange(longest) < lengths[:, None]
    scores, failed = rng.integers(0, 5, real.shape).astype(float), rng.random(real.shape) < 0.3
    together = apfd(mid_ranks(scores, real), failed, real)
    for row, n in enumerate(lengths):
        np.testing.assert_allclose(together[row], one(scores[row, :n], failed[row, :n]))
