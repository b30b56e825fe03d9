"""Pairs weighed by time: their sum, the order that they reward, and APFDc worked by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains.qase.config import LEVELS, Config
from rl_eval.domains.qase.environment.dataset import CycleSet
from rl_eval.domains.qase.environment.ranking import apfd, apfdc, mid_ranks, running_order
from rl_eval.domains.qase.environment.vector import QaseVector

CASE = st.tuples(st.booleans(), st.integers(1, 2000), st.integers(0, LEVELS - 1))


def record(verdicts, durations):
    """One cycle of these cases."""
    n = len(verdicts)
    return CycleSet(
        features=np.zeros((n, 64), np.float32),
        verdict=np.array(verdicts, np.int8),
        duration_ms=np.array(durations, float),
        case=np.arange(n, dtype=np.int32),
        unseen=np.zeros(n, bool),
        security=np.zeros(n, bool),
        hashes=np.arange(n, dtype=np.uint64),
        start=np.array([0, n]),
        names=("1",),
    )


def earned(verdicts, durations, level, **config):
    """The sum of pairs over the cycle, by the order in which its cases happen to be shown, and the last outcome."""
    part = record(verdicts, durations)
    vector = QaseVector(Config(**{"weigh_time": True, **config}), n_envs=1, part="train", record=part)
    vector.reset(seed=sum(durations) & 0xFFFF)
    total = 0.0
    for _ in verdicts:
        case = vector._rows[0, vector._time[0]]
        _, reward, done, _, infos = vector.step(np.array([level[case]]))
        total += float(reward[0])
    assert done[0]
    return total, infos["outcome"]


def apfdc_of(order, verdicts, durations):
    """By its definition: when each failure is half run, what share of the time is left."""
    begins, full, remaining = 0.0, sum(durations), []
    for case in order:
        if verdicts[case]:
            remaining.append(1 - (begins + durations[case] / 2) / full)
        begins += durations[case]
    return np.mean(remaining)


@settings(max_examples=60)
@given(st.lists(CASE, min_size=1, max_size=6))
def test_a_cycle_adds_up_to_2_apfdc_less_1_in_the_mean_over_all_ways_to_break_ties(cases):
    """Exactly so, without a term for the half of a failure's own time.

    With A the time after a failure, B that before, d its own and T all of it: A + B + d = T, so that
    (A - B) / T = 2 (A + d / 2) / T - 1, and (A + d / 2) / T is its part of APFDc.
    """
    verdicts, durations, level = (list(column) for column in zip(*cases, strict=True))
    if not any(verdicts):
        assert earned(verdicts, durations, level)[0] == 0
        return
    orders = [
        order
        for order in itertools.permutations(range(len(cases)))
        if all(level[a] >= level[b] for a, b in itertools.pairwise(order))
    ]
    expected = np.mean([apfdc_of(order, verdicts, durations) for order in orders])
    total, outcome = earned(verdicts, durations, level)
    assert total == pytest.approx(2 * expected - 1, abs=1e-5)
    reported_apfdc = float(outcome["apfdc"][0])
    assert any(reported_apfdc == pytest.approx(apfdc_of(order, verdicts, durations), abs=1e-5) for order in orders)
    if len(set(level)) == len(level):
        assert reported_apfdc == pytest.approx(expected, abs=1e-5)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 2000)), min_size=1, max_size=30), st.integers(0, LEVELS - 1))
def test_one_level_for_all_adds_up_to_0(cases, level):
    verdicts, durations = (list(column) for column in zip(*cases, strict=True))
    assert earned(verdicts, durations, [level] * len(cases))[0] == 0


def test_the_order_of_smiths_rule_earns_most_worked_by_hand():
    """Two cases, a that fails with .5 and takes 100, b with .4 and 20; the full time is 120.

    In the order a, b: where only a fails (.3), 20 of 120 are spared it; only b (.2), it waits 100 of 120; both (.2),
    (20 - 100) of 2 · 120. In the mean .05 - .1667 - .0667 = -.55 / 3, and in the order b, a the opposite: probability
    over time is .005 and .02. A third that fails with .1 and takes 1 has .1, and comes before both.
    """
    chance, durations = [0.5, 0.4], [100, 20]
    means = {level: expectation(level, chance, durations) for level in ((7, 0), (0, 7))}
    assert means[(7, 0)] == pytest.approx(-0.55 / 3, abs=1e-6)
    assert means[(0, 7)] == pytest.approx(0.55 / 3, abs=1e-6)
    chance, durations = [0.5, 0.4, 0.1], [100, 20, 1]
    means = {level: expectation(level, chance, durations) for level in itertools.permutations([2, 1, 0])}
    assert max(means, key=means.get) == (0, 1, 2)
    plain = {level: expectation(level, chance, durations, weigh_time=False) for level in means}
    assert max(plain, key=plain.get) == (2, 1, 0), "without time, the likeliest failure first"


def expectation(level, chance, durations, **config):
    """The mean of what an order earns over all ways in which its cases may fail."""
    mean = 0.0
    for verdicts in itertools.product([0, 1], repeat=len(chance)):
        weight = np.prod([p if failed else 1 - p for p, failed in zip(chance, verdicts, strict=True)])
        mean += weight * earned(list(verdicts), durations, level, **config)[0]
    return mean


# -- APFD by time ------------------------------------------------------------------------------------------------------


def by_time(durations, failed):
    order, real = np.arange(len(failed))[None], np.ones((1, len(failed)), bool)
    return apfdc(order, np.array([failed], bool), np.array([durations], float), real)[0]


@pytest.mark.parametrize(
    ("durations", "failed", "expected"),
    [
        # 1 less the mean of when failures are half run, over the full time
        ([10, 20, 30, 40], [1, 0, 0, 0], 0.95),  # 5 of 100
        ([10, 20, 30, 40], [0, 0, 0, 1], 0.2),  # 80
        ([10, 20, 30, 40], [0, 1, 0, 1], 0.5),  # 20 and 80
        ([40, 30, 20, 10], [0, 1, 0, 1], 0.25),  # 55 and 95
        ([0, 0, 50, 50], [1, 1, 0, 0], 1.0),  # at once
        ([7], [1], 0.5),
    ],
)
def test_a_table_of_apfdc_worked_by_hand(durations, failed, expected):
    assert by_time(durations, failed) == pytest.approx(expected, abs=1e-12)


def test_without_failures_or_time_there_is_none():
    assert np.isnan(by_time([1, 2], [0, 0]))
    assert np.isnan(by_time([0, 0], [1, 0]))


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=9), st.floats(1e-3, 1e6))
def test_where_all_cases_take_as_long_it_is_apfd(cases, ms):
    failed, scores = (np.array([column]) for column in zip(*cases, strict=True))
    scores = scores + np.arange(scores.shape[1]) / 100  # no ties
    real = np.ones(scores.shape, bool)
    order = running_order(scores, np.zeros_like(scores), real)
    result = apfdc(order, failed, np.full(scores.shape, ms), real)
    np.testing.assert_allclose(result, apfd(mid_ranks(scores, real), failed, real), rtol=1e-9)


@given(st.lists(CASE, min_size=1, max_size=8), st.integers(1, 5))
def test_many_cycles_equal_single_cycles(cases, more):
    verdicts, durations, level = (list(column) for column in zip(*cases, strict=True))
    n, longest = len(cases), len(cases) + more
    rng = np.random.default_rng(0)
    scores, time = rng.random((2, longest)), rng.random((2, longest)) * 100
    scores[0, :n], time[0, :n] = level, durations
    failed = rng.random((2, longest)) < 0.3
    failed[0, :n] = verdicts
    real = np.arange(longest) < np.array([[n], [longest]])
    order = running_order(scores, np.broadcast_to(np.arange(longest), scores.shape), real)
    alone = sorted(range(n), key=lambda case: -level[case])
    expected = apfdc_of(alone, verdicts, durations) if any(verdicts) else np.nan
    np.testing.assert_allclose(apfdc(order, failed, time, real)[0], expected, atol=1e-9)
