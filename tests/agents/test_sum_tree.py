"""The sum tree compared with a plain list: weights, sums to the bit, and drawn indices."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agents.sum_tree import LARGEST, SumTree

WEIGHT = st.one_of(
    st.just(0.0), st.floats(0.0, 10.0), st.sampled_from([5e-324, 1e-300, 1e-9, 1e9, 1e150, LARGEST]), st.integers(0, 9)
)


@st.composite
def changes(draw, weight=WEIGHT):
    """A capacity, and calls of `set` on it, some with indices that occur twice."""
    capacity = draw(st.one_of(st.integers(1, 40), st.sampled_from([255, 256, 257, 700, 5000])))
    index = st.integers(0, capacity - 1)
    one = st.lists(st.tuples(index, weight), max_size=20)
    return capacity, draw(st.lists(one, max_size=8))


def set_all(tree, pairs):
    tree.set(np.array([i for i, _ in pairs], np.int64), np.array([w for _, w in pairs], np.float64))


def levels(tree):
    """Every number in it, its sums up to date."""
    assert tree.total >= 0
    return {name: value for name, value in vars(tree).items() if isinstance(value, np.ndarray)}


@given(changes(), st.lists(st.floats(0, 1), min_size=1, max_size=20), st.booleans())
def test_it_is_a_list_of_weights_with_their_sum(case, shares, look_between):
    capacity, calls = case
    tree, plain = SumTree(capacity), [0.0] * capacity
    for pairs in calls:
        set_all(tree, pairs)
        for i, weight in pairs:  # in order, so that the last of an index stays
            plain[i] = float(weight)
        if look_between:
            assert tree.total == pytest.approx(math.fsum(plain), rel=1e-12, abs=0)
    np.testing.assert_array_equal(tree.leaves, plain)
    total = math.fsum(plain)
    assert tree.total == pytest.approx(total, rel=1e-12, abs=0)
    assert tree.least == min((w for w in plain if w > 0), default=math.inf)
    if total > 0:
        targets = np.array(shares) * tree.total
        for target, leaf in zip(targets, tree.find(targets), strict=True):
            assert plain[leaf] > 0
            assert math.fsum(plain[:leaf]) <= target + 1e-12 * total
            assert math.fsum(plain[: leaf + 1]) >= target - 1e-12 * total


@given(changes(st.integers(0, 9)))
def test_integer_weights_are_searched_as_in_their_running_total(case):
    capacity, calls = case
    tree = SumTree(capacity)
    for pairs in calls:
        set_all(tree, pairs)
    running = np.cumsum(tree.leaves)
    if running[-1] > 0:
        targets = np.arange(running[-1])  # no rounding in any of this
        np.testing.assert_array_equal(tree.find(targets), np.searchsorted(running, targets, side="right"))


def test_rounding_leads_to_no_leaf_of_weight_0():
    """A group's sum and the running total of its leaves are added up in different orders."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        weights = rng.exponential(size=16) ** 3
        weights[0] = 0.0
        tree = SumTree(16)
        tree.set(np.arange(16), weights)
        assert tree.find(np.array([tree.total, np.nextafter(tree.total, 0.0)])).tolist() == [15, 15]


@given(changes(), st.data())
def test_a_tree_that_was_changed_and_one_built_at_once_have_the_same_bits(case, data):
    capacity, calls = case
    changed = SumTree(capacity)
    for pairs in calls:
        set_all(changed, pairs)
        if data.draw(st.booleans()):
            levels(changed)
    built = SumTree(capacity)
    set_all(built, [(i, 7.0) for i in range(capacity)])  # what was there before is gone
    filled = data.draw(st.integers(max([i + 1 for pairs in calls for i, _ in pairs], default=0), capacity))
    built.load(changed.leaves[:filled].copy())
    for name, level in levels(changed).items():
        np.testing.assert_array_equal(level, levels(built)[name], err_msg=name)


def test_the_same_bits_for_one_change_at_a_time_and_for_many():
    """numpy's sum over the first axis adds a single column in another order than several."""
    rng = np.random.default_rng(0)
    weights = rng.exponential(size=20_000) ** 5
    one, many = SumTree(20_000), SumTree(20_000)
    many.set(np.arange(20_000), weights)
    order = rng.permutation(20_000)
    for i in order[:3000]:
        one.set(np.array([i]), weights[i])
        levels(one)
    for i in order[3000:]:  # sums are taken after so many calls, though nobody asks
        one.set(np.array([i]), weights[i])
    for name, level in levels(one).items():
        np.testing.assert_array_equal(level, levels(many)[name], err_msg=name)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_leaves_are_drawn_in_proportion(size):
    rng = np.random.default_rng(1)
    tree = SumTree(1000)
    weights = rng.exponential(size=1000) * (rng.random(1000) < 0.9)
    tree.set(np.arange(1000), weights)
    draws = 200_000 // size if size > 1 else 20_000
    counts = np.bincount(np.concatenate([tree.sample(size, rng) for _ in range(draws)]), minlength=1000)
    assert not counts[weights == 0].any()
    expected = counts.sum() * weights / weights.sum()
    # Stratified draws vary less than independent ones, so the statistic is below its distribution, never above.
    enough = expected > 5
    statistic = np.sum((counts - expected)[enough] ** 2 / expected[enough])
    assert stats.chi2.sf(statistic, enough.sum() - 1) > 1e-3


def test_independent_targets_give_the_chi_square_distribution_itself():
    rng = np.random.default_rng(2)
    tree = SumTree(300)
    tree.set(np.arange(300), rng.exponential(size=300) + 0.1)
    p = [
        stats.chisquare(
            np.bincount(tree.find(rng.random(30_000) * tree.total), minlength=300),
            30_000 * tree.leaves / tree.leaves.sum(),
        ).pvalue
        for _ in range(200)
    ]
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_each_stratum_gives_one():
    tree = SumTree(4)
    tree.set(np.arange(4), np.array([1.0, 2.0, 3.0, 4.0]))
    for seed in range(50):
        drawn = tree.sample(10, np.random.default_rng(seed))
        assert drawn.tolist() == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3]


def drift(rounds, size, capacity):
    """Relative error of the total after many changes of weights over 30 orders of magnitude."""
    rng = np.random.default_rng(3)
    tree = SumTree(capacity)
    for _ in range(rounds):
        index = rng.integers(0, capacity, size)
        tree.set(index, 10.0 ** rng.uniform(-15, 15, size) * (rng.random(size) < 0.9))
        tree.find(np.array([0.5]) * tree.total) if tree.total else None
    tree.set(np.arange(capacity), rng.random(capacity))  # a sum kept by differences still has the errors of 1e15
    return abs(tree.total - math.fsum(tree.leaves)) / math.fsum(tree.leaves)


def test_the_sum_does_not_drift():
    assert drift(500, 200, 10_000) < 1e-12


@pytest.mark.verify
def test_the_sum_after_ten_million_changes():
    assert drift(40_000, 250, 1_000_000) < 1e-9


def test_what_cannot_be_a_weight_is_refused_by_its_value():
    tree = SumTree(3)
    for wrong in (-1.0, np.nan, np.inf, 2 * LARGEST):
        with pytest.raises(
            ValueError, match=re.escape(f"a weight of a sum tree is {wrong}: it must be in [0, 1e+300]")
        ):
            tree.set(np.array([0, 1]), np.array([1.0, wrong]))
    assert tree.leaves.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="all 0"):
        tree.sample(2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="4 weights for a sum tree of capacity 3"):
        tree.load(np.ones(4))
    with pytest.raises(ValueError, match="capacity 0"):
        SumTree(0)
