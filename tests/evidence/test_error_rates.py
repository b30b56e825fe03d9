"""At the boundary, a gate accepts with probability at most alpha whenever it stops. A naive rule does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rl_eval.evidence import RatioTest
from rl_eval.evidence.bounds import to_unit_interval
from rl_eval.evidence.ratio_metrics import RatioCounts
from rl_eval.evidence.share_interval import share_interval
from tests.evidence import simulated_policies as policies
from tests.evidence.decisions import decide_mean
from tests.evidence.simulated_gates import decide_f1, decide_means
from tests.evidence.simulated_policies import HIGH, LOW, THRESHOLD

ALPHA = 0.05
# Seeded, so that a test either always holds or never does; the seeds were not chosen by their outcome.
SURE = 1e-3
SIZES = [2_000, pytest.param(20_000, marks=pytest.mark.verify)]


def betting_rule(xs, theta, low, high, population=None):
    """`[S]` of PASS, FAIL and INCONCLUSIVE."""
    return decide_means(xs, theta, low, high, ALPHA, population=population).decision


def naive_t_test(xs, theta, low, high, population=None):
    """A one-sided t-test after every unit from the fifth on, which stops at the first p < alpha.

    Equal units have no t: the test waits for the first that differs, which favours the rule.
    """
    count = np.arange(1, xs.shape[1] + 1)
    mean = np.cumsum(xs, axis=1) / count
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (np.cumsum(xs**2, axis=1) / count - mean**2) * count / (count - 1)
        t = np.where(variance > 1e-9 * (high - low) ** 2, (mean - theta) / np.sqrt(variance / count), 0.0)
    bar = stats.t.ppf(1 - ALPHA, np.maximum(count - 1, 1))
    above, below = ((sign * t > bar) & (count >= 5) for sign in (1, -1))
    first = [np.where(side.any(axis=1), side.argmax(axis=1), xs.shape[1]) for side in (above, below)]
    return np.select([first[0] < first[1], first[1] < first[0]], ["PASS", "FAIL"], "INCONCLUSIVE")


def skewed_returns(rule, rng, gates):
    return rule(policies.lander_returns(rng, gates, 400, THRESHOLD), THRESHOLD, LOW, HIGH)


def disasters(rule, rng, gates):
    return rule(policies.rare_disasters(rng, gates, 400, THRESHOLD), THRESHOLD, LOW, HIGH)


def success_rate(rule, rng, gates):
    return rule(policies.successes(rng, gates, 400, 0.8), 0.8, 0.0, 1.0)


def paired(rule, rng, gates):
    policy, reference = policies.pairs(rng, gates, 400, gain=0.0)
    return rule(policy - reference, 0.0, LOW - HIGH, HIGH - LOW)


def multiple(rule, rng, gates):
    """A success rate of .48 is .6 times one of .8; both succeed on the same easy seeds."""
    draws = rng.random((gates, 400))
    return rule((draws < 0.48) - 0.6 * (draws < 0.8), 0.0, -0.6, 1.0)


def paired_successes(rule, rng, gates):
    policy, reference = policies.paired_successes(rng, gates, 400, 0.8)
    return rule(policy - reference, 0.0, -1.0, 1.0)


def f1(rule, rng, gates):
    label, flagged = policies.detections(rng, gates, 400, 0.5, 0.8)
    # x(p) of F1 against p = .8 / 1.2, as `ratio_metrics` defines it
    share = 0.8 / 1.2
    return rule(share + (label & flagged) - share * (label | flagged), share, 0.0, 1.0)


def finite_set_below(rule, rng, gates):
    # one success short of the threshold, and not played to the end, where the answer is certain
    return rule(policies.finite_sets(rng, gates, 500, 399)[:, :-1], 0.8, 0.0, 1.0, population=500)


def finite_set_at(rule, rng, gates):
    return rule(policies.finite_sets(rng, gates, 500, 400)[:, :-1], 0.8, 0.0, 1.0, population=500)


# The errors that are possible: at the boundary of a source both, for a finite set the one that its value excludes.
BOTH = ("PASS", "FAIL")
SCENARIOS = [
    (skewed_returns, BOTH),
    (disasters, BOTH),
    (success_rate, BOTH),
    (f1, BOTH),
    (paired, BOTH),
    (paired_successes, BOTH),
    (multiple, BOTH),
    (finite_set_below, ("PASS",)),
    (finite_set_at, ("FAIL",)),
]
NAMES = [scenario.__name__ for scenario, _ in SCENARIOS]


def assert_errors_at_most_alpha(rule, scenario, errors, gates, record_figure=None):
    decisions = scenario(rule, np.random.default_rng(7), gates)
    for error in errors:
        count = int((decisions == error).sum())
        if record_figure:
            record_figure(f"{scenario.__name__}: false {error}", count / gates)
        assert stats.binomtest(count, gates, ALPHA, alternative="greater").pvalue > SURE, (error, count / gates)


@pytest.mark.parametrize("gates", SIZES)
@pytest.mark.parametrize(("scenario", "errors"), SCENARIOS, ids=NAMES)
def test_errors_under_optional_stopping_are_at_most_alpha(scenario, errors, gates, record_figure):
    assert_errors_at_most_alpha(betting_rule, scenario, errors, gates, record_figure)


@pytest.mark.parametrize(("scenario", "errors"), SCENARIOS, ids=NAMES)
def test_a_naive_t_test_after_every_unit_is_caught(scenario, errors, record_figure):
    with pytest.raises(AssertionError):
        assert_errors_at_most_alpha(naive_t_test, scenario, errors, 2_000)
    errors_made = int((scenario(naive_t_test, np.random.default_rng(7), 2_000) == errors[0]).sum())
    record_figure(f"{scenario.__name__}: false {errors[0]} of a naive t-test", errors_made / 2_000)
    assert stats.binomtest(errors_made, 2_000, ALPHA, alternative="greater").pvalue < SURE


@pytest.mark.parametrize("prevalence", [0.5, 0.109])
def test_f1_from_counts_is_the_same_gate(prevalence):
    gates = 500
    label, flagged = policies.detections(np.random.default_rng(3), gates, 600, prevalence, 0.8)
    decisions = decide_f1(label & flagged, label | flagged, 0.8, ALPHA)
    for error in ("PASS", "FAIL"):
        count = int((decisions.decision == error).sum())
        assert stats.binomtest(count, gates, ALPHA, alternative="greater").pvalue > SURE


def test_f1_of_episodes_whose_length_goes_with_how_hard_they_are():
    """Clusters: within an episode all decisions share one quality, and the hard episodes are long."""
    rng = np.random.default_rng(5)
    gates, units, longest = 500, 300, 10
    hard = rng.random((gates, units)) < 0.5
    length = np.where(hard, longest, 2)
    # pooled share: (.5·10·a + .5·2·b) / (.5·12) = .8/1.2 with b = 1 for the easy ones
    quality = np.where(hard, (0.8 / 1.2 * 6 - 1) / 5, 1.0)
    hits = np.where(rng.random((gates, units)) < quality, length, 0)  # the whole episode is right or wrong
    decisions = decide_f1(hits, length, 0.8, ALPHA, longest=longest)
    for error in ("PASS", "FAIL"):
        count = int((decisions.decision == error).sum())
        assert stats.binomtest(count, gates, ALPHA, alternative="greater").pvalue > SURE


@pytest.mark.parametrize("population", [None, 200])
@pytest.mark.parametrize("limit", [None, 200])
@pytest.mark.parametrize("gates", [60, pytest.param(3_000, marks=pytest.mark.verify)])
def test_the_interval_covers_whenever_one_looks(population, limit, gates, record_figure):
    """It is looked at after 10, 40, 100 and 199 units; one miss counts."""
    rng = np.random.default_rng(11)
    if population:
        xs, true = policies.finite_sets(rng, gates, population, 150)[:, :-1].astype(float), 0.75
    else:
        xs = to_unit_interval(policies.lander_returns(rng, gates, 200, 210.0), LOW, HIGH)
        true = (210.0 - LOW) / (HIGH - LOW)
    missed = 0
    for x in xs:
        ends = [share_interval(x[:n], np.ones(n), 1.0, ALPHA, population, limit, 12) for n in (10, 40, 100, 199)]
        missed += any(not lower <= true <= upper for lower, upper in ends)
    record_figure(f"interval misses at some time, {'finite set' if population else 'returns'}", missed / gates)
    assert stats.binomtest(missed, gates, 2 * ALPHA, alternative="greater").pvalue > SURE


def test_order_of_finishing_in_place_of_the_order_of_seeds_is_caught():
    """Good episodes are short here: 32 copies that report as they finish let them vote first."""
    rng = np.random.default_rng(13)
    gates = 600
    good = rng.random((gates, 320)) < 0.8
    finished = np.where(good, 1, 400) + rng.random(good.shape)
    by_finishing = np.argsort(finished.reshape(gates, -1, 32), axis=2) + 32 * np.arange(10)[:, None]
    for order, holds in ((None, True), (by_finishing.reshape(gates, -1), False)):
        xs = good if order is None else np.take_along_axis(good, order, axis=1)
        accepted = int((betting_rule(xs.astype(float), 0.8, 0.0, 1.0) == "PASS").sum())
        assert (stats.binomtest(accepted, gates, ALPHA, alternative="greater").pvalue > SURE) == holds


def test_one_gate_decides_as_many_at_once():
    rng = np.random.default_rng(17)
    for mean in (170.0, 200.0, 241.0):
        xs = policies.lander_returns(rng, 60, 400, mean)
        many = decide_means(xs, THRESHOLD, LOW, HIGH, ALPHA)
        ones = [decide_mean(x, THRESHOLD, LOW, HIGH, ALPHA, limit=400) for x in xs]
        assert [one.decision for one in ones] == many.decision.tolist()
        assert [one.decided_at or 400 for one in ones] == many.stopped_at.tolist()


@pytest.mark.parametrize("population", [None, 600])
def test_one_ratio_gate_decides_as_many_at_once(population):
    label, flagged = policies.detections(np.random.default_rng(19), 40, 600, 0.3, 0.85)
    many = decide_f1(label & flagged, label | flagged, 0.8, ALPHA, population=population)
    for i in range(40):
        unit_counts = RatioCounts(
            *(np.asarray(c, np.int64) for c in (label[i] & flagged[i], label[i] | flagged[i], label[i]))
        )
        test = RatioTest("f1", 0.8, ALPHA, population=population, limit=600)
        test.extend(unit_counts)
        assert (test.decision, test.result.decided_at or 600) == (many.decision[i], many.stopped_at[i])
