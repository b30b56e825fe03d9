"""The difference of two means that different units show, as in a roll-out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rl_eval.errors import InputError
from rl_eval.evidence import MoreOftenTest, TwoSampleTest

ALPHA, SURE = 0.05, 1e-3
SIZES = [20, pytest.param(2_000, marks=pytest.mark.verify)]


def decide(rng, rates, share, margin, units, expected_share=None):
    """One roll-out of successes, looked at after every 250 units: its decision, and after how many units."""
    test = TwoSampleTest(margin, 0.0, 1.0, share=expected_share or share)
    for _ in range(0, units, 250):
        first = rng.random(250) < share
        test.extend((rng.random(250) < np.where(first, *rates)).astype(float), first)
        if test.decision != "INCONCLUSIVE":
            break
    return test.decision, test.decided_at or units


def too_often(errors, gates):
    """By a one-sided binomial test at level .001."""
    return stats.binomtest(int(errors), gates, ALPHA, alternative="greater").pvalue < SURE


@pytest.mark.parametrize("gates", SIZES)
@pytest.mark.parametrize(("share", "margin"), [(0.1, 0.0), (0.5, -0.05)])
def test_at_the_margin_each_decision_errs_with_alpha_at_most(share, margin, gates, record_figure):
    rng = np.random.default_rng(5)
    found = [decide(rng, (0.8 + margin, 0.8), share, margin, 2_000)[0] for _ in range(gates)]
    for error in ("PASS", "FAIL"):
        record_figure(f"two samples, share {share}, margin {margin}: {error}", found.count(error) / gates)
        assert not too_often(found.count(error), gates)


def test_a_t_test_after_every_look_is_caught():
    """The same roll-outs, decided by Welch's test whenever one looks."""
    rng, passed = np.random.default_rng(5), 0
    for _ in range(400):
        first = rng.random(3_000) < 0.5
        values = (rng.random(3_000) < 0.8).astype(float)
        looks = range(250, 3_001, 250)
        passed += any(
            stats.ttest_ind(
                values[:n][first[:n]], values[:n][~first[:n]], equal_var=False, alternative="greater"
            ).pvalue
            < ALPHA
            for n in looks
        )
    assert too_often(passed, 400)


@pytest.mark.parametrize("gates", SIZES)
def test_ten_points_worse_on_a_tenth_of_the_units_fails_sooner_than_a_test_of_fixed_size(gates, record_figure):
    rng = np.random.default_rng(7)
    outcomes = [decide(rng, (0.7, 0.8), 0.1, 0.0, 20_000) for _ in range(gates)]
    units = float(np.mean([at for _, at in outcomes]))
    record_figure("two samples, .7 against .8 on a tenth: mean units to FAIL", units)
    assert [decision for decision, _ in outcomes].count("PASS") == 0
    assert [decision for decision, _ in outcomes].count("FAIL") >= 0.98 * gates
    # the z-test of fixed size with errors of 5 % on both sides
    variance = 0.7 * 0.3 / 0.1 + 0.8 * 0.2 / 0.9
    assert units < (2 * stats.norm.ppf(1 - ALPHA)) ** 2 * variance / 0.1**2


def test_a_wrong_share_takes_more_units_and_is_as_right():
    rng = np.random.default_rng(9)
    named = {share: [decide(rng, (0.8, 0.6), 0.1, 0.0, 5_000, share) for _ in range(5)] for share in (0.1, 0.3)}
    assert {decision for outcomes in named.values() for decision, _ in outcomes} == {"PASS"}
    units = {share: np.mean([at for _, at in outcomes]) for share, outcomes in named.items()}
    assert units[0.1] < units[0.3]


def test_two_samples_of_ten_with_a_few_outliers_decide_nothing():
    """A rank test passes the first; the mean of the second is lower by thirty, and ten values cannot show either."""
    values = np.concatenate([np.repeat([100.0, 1.0], [7, 3]), np.ones(10)])
    test = TwoSampleTest(0.0, 0.0, 1_000.0)
    test.extend(values, np.arange(20) < 10)
    assert test.decision == "INCONCLUSIVE"
    assert test.result.estimate == pytest.approx(69.3)


def test_a_policy_without_units_has_no_value_and_no_decision():
    test = TwoSampleTest(0.0, 0.0, 1.0)
    test.extend(np.ones(500), np.ones(500, bool))
    assert test.decision == "INCONCLUSIVE"
    assert test.result.estimate is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.95), st.floats(-50, 50), st.floats(0.1, 100))
def test_the_interval_holds_the_estimate_in_the_units_of_the_values(seed, share, low, span):
    rng = np.random.default_rng(seed)
    first, values = rng.random(60) < share, low + span * rng.random(60)
    first[:2] = True, False
    test = TwoSampleTest(0.0, low, low + span, share=share)
    test.extend(values, first)
    result = test.result
    assert result.estimate == pytest.approx(values[first].mean() - values[~first].mean(), abs=1e-9 * (span + abs(low)))
    assert result.interval[0] <= result.estimate <= result.interval[1]
    assert -span <= result.interval[0]
    assert result.interval[1] <= span * (1 + 1e-12)


@pytest.mark.parametrize("rates", [(0.7, 0.8), (0.9, 0.7), (0.8, 0.8)])
def test_looking_rarely_decides_the_same_a_little_later(rates):
    """The capital at each look is that of the test that looks after every unit."""
    rng = np.random.default_rng(11)
    first = rng.random(3_000) < 0.3
    values = (rng.random(3_000) < np.where(first, *rates)).astype(float)
    often, rarely = (TwoSampleTest(0.0, 0.0, 1.0, share=0.3, looks_rarely=rare) for rare in (False, True))
    for start in range(0, 3_000, 50):
        part = slice(start, start + 50)
        often.extend(values[part], first[part])
        rarely.extend(values[part], first[part])
        if often.decided_at is not None:
            break
    if often.decided_at is not None and rarely.decided_at is None:
        rarely.extend(values[start + 50 : start + 300], first[start + 50 : start + 300])
    assert rarely.decision == often.decision
    if often.decided_at is not None:
        assert often.decided_at <= rarely.decided_at <= often.decided_at + 300
    else:
        assert rarely.result.interval == pytest.approx(often.result.interval)


@pytest.mark.parametrize(("rates", "shown"), [((0.2, 0.05), True), ((0.05, 0.05), False), ((0.02, 0.0), False)])
def test_counts_show_what_the_units_show(rates, shown):
    rng = np.random.default_rng(13)
    counted, units = (
        MoreOftenTest(0.01, 0.2),
        TwoSampleTest(0.01, 0.0, 1.0, 0.2, direction="at_most", looks_rarely=True),
    )
    for _ in range(30):
        first = rng.random(100) < 0.2
        values = rng.random(100) < np.where(first, *rates)
        counts = [(int(values[mine].sum()), int(mine.sum())) for mine in (first, ~first)]
        counted.add(*counts)
        units.extend(values.astype(float), first)
        assert counted.shown == (units.decision == "FAIL")
    assert counted.shown == shown


@pytest.mark.parametrize("gates", SIZES)
@pytest.mark.parametrize("champion", [0.0, 0.02])
def test_more_often_by_just_the_margin_is_shown_with_alpha_at_most(champion, gates, record_figure):
    """The share of units changes on the way, as from one step of a roll-out to the next."""
    rng, shown = np.random.default_rng(17), 0
    for _ in range(gates):
        test = MoreOftenTest(0.01, alpha=ALPHA)
        for look in range(40):
            share = 0.1 if look < 20 else 0.5
            first = int(rng.binomial(150, share))
            bad = int(rng.binomial(first, champion + 0.01)), int(rng.binomial(150 - first, champion))
            test.add((bad[0], first), (bad[1], 150 - first), share)
            if test.shown:
                break
        shown += test.shown
    record_figure(f"more often by the margin of .01 than {champion}: shown", shown / gates)
    assert not too_often(shown, gates)


@pytest.mark.parametrize(("first", "second"), [((3, 2), (0, 1)), ((-1, 2), (0, 1)), ((0, 1), (1, 0))])
def test_counts_that_make_no_sense_are_refused(first, second):
    with pytest.raises(InputError):
        MoreOftenTest(0.01).add(first, second)
    with pytest.raises(InputError):
        MoreOftenTest(1.0)


def test_changing_places_mirrors_the_interval():
    rng = np.random.default_rng(3)
    first, values = rng.random(400) < 0.5, rng.random(400)
    both = [TwoSampleTest(0.0, 0.0, 1.0) for _ in range(2)]
    both[0].extend(values, first)
    both[1].extend(values, ~first)
    np.testing.assert_allclose(both[0].result.interval, [-end for end in reversed(both[1].result.interval)], atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "values", "first"),
    [
        ({"share": 0.0}, [1.0], [True]),
        ({"share": float("nan")}, [1.0], [True]),
        ({"margin": 1.5}, [1.0], [True]),
        ({"low": 1.0}, [1.0], [True]),
        ({}, [1.0, 0.0], [True]),
        ({}, [1.1], [True]),
        ({}, [float("nan")], [True]),
        ({}, [], []),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, values, first):
    with pytest.raises(InputError):
        TwoSampleTest(**{"margin": 0.0, "low": 0.0, "high": 1.0, **arguments}).extend(np.array(values), np.array(first))
