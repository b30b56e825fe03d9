"""Units on which the metric is undefined, and cases that stand several times, keep the error rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rl_eval.evidence import MeanTest, RatioTest
from rl_eval.evidence.ratio_metrics import RatioCounts
from rl_eval.gates.case_copies import count_copies
from tests.evidence.simulated_gates import run_gates
from tests.evidence.test_error_rates import naive_t_test

ALPHA, SURE = 0.05, 1e-3
SIZES = [400, pytest.param(5_000, marks=pytest.mark.verify)]
# F1 of .8 as the share of true positives among the informative cases
SHARES = {"mean": 0.8, "f1": 0.8 / 1.2}


def too_often(errors, gates):
    """By a one-sided binomial test at level .001."""
    return stats.binomtest(int(errors), gates, ALPHA, alternative="greater").pvalue < SURE


# --- undefined units -------------------------------------------------------------------------------

SIZE, DEFINED, BAR = 500, 300, 0.8


def sets_with_undefined_units(rng, gates, successes):
    """`[S, 500]` the same set in S orders: NaN, 0 or 1; the truth is the mean of the 300 defined ones."""
    units = np.full(SIZE, np.nan)
    units[:DEFINED] = np.arange(DEFINED) < successes
    return rng.permuted(np.broadcast_to(units, (gates, SIZE)), axis=1)


@pytest.mark.parametrize(("successes", "error"), [(239, "PASS"), (240, "FAIL")])
@pytest.mark.parametrize("gates", SIZES)
def test_a_set_with_undefined_units_errs_with_alpha_at_most(successes, error, gates, record_figure):
    """One success below the bar, or on it, and not played to the end, where the answer is certain."""
    xs = sets_with_undefined_units(np.random.default_rng(61), gates, successes)[:, :-1]
    z = np.where(np.isnan(xs), 0.0, xs - BAR)
    decisions = run_gates(z.T, BAR, ALPHA, "at_least", SIZE, SIZE)
    record_figure(f"set with undefined units, {successes} of 300: false {error}", decisions.share(error))
    assert not too_often((decisions.decision == error).sum(), gates)
    for row in range(20):
        test = MeanTest(BAR, population=SIZE)
        test.extend(xs[row])
        assert (test.decision, test.decided_at or SIZE - 1) == (decisions.decision[row], decisions.stopped_at[row])
    whole = MeanTest(BAR, population=SIZE)
    whole.extend(sets_with_undefined_units(np.random.default_rng(67), 1, successes)[0])
    assert whole.decision == ("FAIL" if error == "PASS" else "PASS")


def test_a_naive_t_test_on_the_defined_units_is_caught():
    gates = 2_000
    xs = sets_with_undefined_units(np.random.default_rng(61), gates, 239)
    values = xs[~np.isnan(xs)].reshape(gates, DEFINED)[:, :-1]
    assert too_often((naive_t_test(values, BAR, 0.0, 1.0) == "PASS").sum(), gates)


# --- copies ----------------------------------------------------------------------------------------

ROWS = 400


def copied_cases(rng, share, *, easy_copied):
    """Rows of a source whose cases stand 1 to 13 times: whether each is a hit, and its case.

    Args:
        share: of hits among distinct cases.
        easy_copied: whether cases of many copies are hit more often, at the same share.
    """
    copies = rng.integers(1, 14, ROWS)
    chance = share + (0.15 * np.sign(copies - 7) if easy_copied else 0.0)
    hit = rng.random(ROWS) < chance
    case = rng.permutation(np.repeat(np.arange(ROWS), copies))[:ROWS]
    # a case counts here where one of its copies is among the rows, and has as many as are among them
    return hit[case], case


def play_copies(metric, gates, seed, *, rule, easy_copied=False):
    """Decisions of S gates at the bar: `first` copies count, or all `rows`."""
    rng, share = np.random.default_rng(seed), SHARES[metric]
    hits, counted = np.empty((2, gates, ROWS))
    for gate in range(gates):
        hits[gate], case = copied_cases(rng, share, easy_copied=easy_copied)
        copies = count_copies("case", case, np.zeros(ROWS), np.ones(ROWS, bool), weigh=False)
        order = rng.permutation(ROWS)
        hits[gate] = hits[gate][order]
        counted[gate] = copies.weight[order] if rule == "first" else 1.0
    z = counted * (hits - share)
    decisions = run_gates(z.T, share, ALPHA, "at_least", None, ROWS)
    for gate in range(10):
        if metric == "mean":
            test = MeanTest(share, limit=ROWS)
            test.extend(np.where(counted[gate] > 0, hits[gate], np.nan))
        else:
            test = RatioTest("f1", 0.8, limit=ROWS)
            units = np.stack([counted[gate] * hits[gate], counted[gate], counted[gate]]).astype(np.int64)
            test.extend(RatioCounts(*units))
        assert (test.decision, test.decided_at or ROWS) == (decisions.decision[gate], decisions.stopped_at[gate])
    return decisions


@pytest.mark.parametrize("metric", SHARES)
@pytest.mark.parametrize("gates", SIZES)
def test_first_copies_err_with_alpha_at_most(metric, gates, record_figure):
    decisions = play_copies(metric, gates, 71, rule="first")
    for error in ("PASS", "FAIL"):
        record_figure(f"copies 1 to 13 times, {metric}: false {error}", decisions.share(error))
        assert not too_often((decisions.decision == error).sum(), gates)


@pytest.mark.parametrize("metric", SHARES)
@pytest.mark.parametrize("easy_copied", [False, True])
def test_counting_every_row_is_caught(metric, easy_copied, record_figure):
    gates = 400
    decisions = play_copies(metric, gates, 71, rule="rows", easy_copied=easy_copied)
    which = "the easy ones more often" if easy_copied else "alike"
    record_figure(f"copies 1 to 13 times, {which}, {metric}: false PASS by rows", decisions.share("PASS"))
    assert too_often((decisions.decision == "PASS").sum(), gates)
