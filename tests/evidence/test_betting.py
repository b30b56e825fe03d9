"""The capital of a bet: a supermartingale by exact enumeration, bounded losses, and its parts worked by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.evidence.betting import LARGEST_STAKE, OneSidedBet

UNITS = st.lists(st.floats(0, 1), min_size=1, max_size=60).map(np.array)


def log_capitals(xs, m, limit=None, alpha=0.05):
    return OneSidedBet(m, alpha, limit).advance(np.asarray(xs, float) - m, np.full(len(xs), m))


@pytest.mark.parametrize("limit", [None, 9, 40])
@pytest.mark.parametrize("m", [0.05, 0.5, 0.8])
@pytest.mark.parametrize("values", [(0.0, 1.0), (0.0, 0.6, 1.0)])
def test_at_the_boundary_the_expected_capital_is_one_by_enumeration(limit, m, values):
    """Over all sequences of 7 units with mean m, each with its probability."""
    if len(values) == 2:
        chances = np.array([1 - m, m])
    else:  # a mixture with the same mean
        chances = np.array([1 - m, 0.0, m]) * 0.7
        middle = 0.3
        chances += np.array([1 - m / 0.6, m / 0.6, 0]) * middle if m < 0.6 else np.array([1 - m, 0, m]) * middle
    assert chances @ np.array(values) == pytest.approx(m)
    total = 0.0
    for sequence in itertools.product(range(len(values)), repeat=7):
        xs = np.array(values)[list(sequence)]
        total += math.exp(log_capitals(xs, m, limit)[-1]) * math.prod(chances[list(sequence)])
    assert total == pytest.approx(1.0)


def test_the_first_bet_is_the_larger_of_both_by_hand():
    """m = .5: fixed bets 4 sin(δ) cos(δ)·… from arcsine distance .013 to π/4; the aim is φ(u) / (α √(m(1−m) R))."""
    distances = np.geomspace(0.013, np.pi / 4, 40)
    fixed = (np.sin(np.pi / 4 + distances) ** 2 - 0.5) / 0.25
    universal = float(np.minimum(fixed, LARGEST_STAKE / 0.5).mean())
    gain = log_capitals([1.0], 0.5)[0]
    assert gain == pytest.approx(math.log1p(universal * 0.5))
    u = -1.6448536
    aim = math.exp(-u * u / 2) / math.sqrt(2 * math.pi) / 0.05 / math.sqrt(0.25 * 4)
    assert aim > LARGEST_STAKE / 0.5 > universal
    assert log_capitals([1.0], 0.5, limit=4)[0] == pytest.approx(math.log1p(LARGEST_STAKE))
    aim = math.exp(-u * u / 2) / math.sqrt(2 * math.pi) / 0.05 / math.sqrt(0.25 * 36)
    assert universal < aim < LARGEST_STAKE / 0.5
    assert log_capitals([1.0], 0.5, limit=36)[0] == pytest.approx(math.log1p(aim * 0.5), rel=1e-5)


@given(UNITS, st.floats(0.05, 0.95), st.integers(1, 59), st.sampled_from([None, 10, 100]))
def test_capital_does_not_depend_on_how_units_are_grouped(xs, m, cut, limit):
    in_parts = OneSidedBet(m, 0.05, limit)
    pieces = [in_parts.advance(piece - m, np.full(len(piece), m)) for piece in (xs[:cut], xs[cut:])]
    np.testing.assert_allclose(np.concatenate(pieces), log_capitals(xs, m, limit), atol=1e-9)


@given(UNITS, st.floats(0.05, 0.95), st.sampled_from([None, 10, 100]))
def test_no_single_unit_takes_more_than_the_largest_stake(xs, m, limit):
    assert np.diff(log_capitals(xs, m, limit), prepend=0.0).min() >= math.log(1 - LARGEST_STAKE) - 1e-9


@given(UNITS, st.sampled_from([0.0, 1e-9, 1 - 1e-9, 1.0]), st.sampled_from([None, 20]))
def test_extreme_thresholds_have_finite_capital(xs, m, limit):
    assert np.isfinite(log_capitals(xs, m, limit)).all()


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0, 2.0])
def test_an_impossible_alpha_is_an_error(alpha):
    with pytest.raises(InputError, match="alpha"):
        OneSidedBet(0.5, alpha)
