"""Claims about training again: sign tests of pairs of runs, and bets on the difference of two means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rl_eval.compare.run_evidence import _log_capital as log_capital
from rl_eval.compare.run_evidence import bounded_difference, least_pairs, pair_wins

scores = st.lists(st.integers(0, 8).map(lambda value: value / 8), min_size=2, max_size=9).map(np.array)


@pytest.mark.parametrize(("wins", "losses"), [(5, 0), (7, 1), (3, 4), (0, 6), (12, 5)])
def test_pairs_agree_with_scipy(wins, losses):
    x = np.r_[np.ones(wins), -np.ones(losses), np.zeros(3)]
    result = pair_wins(x, np.zeros(len(x)))
    assert (result.wins, result.losses, result.ties) == (wins, losses, 3)
    test = stats.binomtest(wins, wins + losses, 0.5, alternative="greater")
    assert result.p_above == pytest.approx(test.pvalue)
    assert result.p_below == pytest.approx(stats.binomtest(wins, wins + losses, 0.5, alternative="less").pvalue)
    interval = stats.binomtest(wins, wins + losses).proportion_ci(0.9, method="exact")
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high))


def test_pairs_that_all_tie_show_nothing():
    result = pair_wins(np.ones(9), np.ones(9))
    assert (result.p_above, result.p_below, result.low, result.high) == (1.0, 1.0, 0.0, 1.0)


@pytest.mark.parametrize(("alpha", "pairs"), [(0.05, 5), (0.0625, 4), (0.01, 7), (0.25, 2)])
def test_fewer_pairs_than_the_least_cannot_decide(alpha, pairs):
    assert least_pairs(alpha) == pairs
    assert pair_wins(np.ones(pairs), np.zeros(pairs)).p_above <= alpha
    assert pair_wins(np.ones(pairs - 1), np.zeros(pairs - 1)).p_above > alpha


@settings(max_examples=30)
@given(scores, scores, st.booleans())
def test_the_other_way_round_is_the_mirror_image(x, y, share_seeds):
    pairs = min(len(x), len(y)) if share_seeds else 0
    forward = bounded_difference(x, y, (0.0, 1.0), pairs=pairs)
    backward = bounded_difference(y, x, (0.0, 1.0), pairs=pairs)
    assert forward.estimate == pytest.approx(-backward.estimate)
    assert (forward.p_below, forward.p_above) == pytest.approx((backward.p_above, backward.p_below))
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low), abs=1e-6)
    assert forward.low <= forward.estimate + 1e-9
    assert forward.estimate <= forward.high + 1e-9


@settings(max_examples=20)
@given(scores, scores)
def test_scores_in_other_units_show_the_same(x, y):
    reference, other = (
        bounded_difference(x, y, (0.0, 1.0)),
        bounded_difference(500 * x - 200, 500 * y - 200, (-200, 300)),
    )
    assert other.p_above == pytest.approx(reference.p_above, rel=1e-6)
    assert other.low == pytest.approx(500 * reference.low, abs=1e-3)
    assert other.least_runs == reference.least_runs


@settings(max_examples=30)
@given(scores, scores, st.booleans(), st.floats(-0.9, 0.9), st.floats(0.01, 0.99))
def test_the_capital_is_at_most_that_of_every_theta(x, y, share_seeds, shift, position):
    """It is the infimum over θ of a mean over stakes of products."""
    pairs = min(len(x), len(y)) if share_seeds else 0
    theta = max(0.0, shift) + position * (min(1.0, 1.0 + shift) - max(0.0, shift))
    stakes = [0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    gain_x, gain_y = x / theta - 1, (1 - y) / (1 - theta + shift) - 1
    both = [np.prod(1 + a * gain_x[:pairs] + b * gain_y[:pairs]) for a in stakes for b in stakes if a + b <= 1]
    alone = [np.mean([np.prod(1 + a * gain[pairs:]) for a in stakes]) for gain in (gain_x, gain_y)]
    capital = (np.mean(both) if pairs else 1.0) * alone[0] * alone[1]
    assert log_capital(x, y, shift, pairs) <= np.log(max(capital, 1e-300)) + 1e-9


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (0.95, 0.5), (0.95, 0.9)])
@pytest.mark.parametrize("share_seeds", [False, True])
def test_no_fewer_runs_with_these_means_decide(x, y, share_seeds):
    least = bounded_difference(np.full(3, x), np.full(3, y), (0.0, 1.0), pairs=3 * share_seeds).least_runs
    for count, decides in ((least, True), (least - 1, False)):
        result = bounded_difference(np.full(count, x), np.full(count, y), (0.0, 1.0), pairs=count * share_seeds)
        assert (result.p_above <= 0.05) == decides
    # runs that differ need more
    rng = np.random.default_rng(0)
    spread = np.clip(x + min(x, 1 - x) * rng.choice([-1, 1], 2 * least)[: least - 1], 0, 1)
    assert bounded_difference(spread + x - spread.mean(), np.full(least - 1, y), (-1.0, 2.0)).p_above > 0.05


def test_equal_means_are_not_decided_by_any_number_of_runs():
    assert bounded_difference(np.full(3, 0.4), np.full(3, 0.4), (0.0, 1.0)).least_runs is None
