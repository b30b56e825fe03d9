"""The capital process: compared with a table worked by hand, and its limits."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.evidence.capital_process import CapitalProcess

UNITS = st.lists(st.floats(0, 1), min_size=1, max_size=60).map(np.array)


def test_capital_against_a_table_worked_by_hand():
    """x = 1, 1, 0 against m = 0.6: aGRAPA as printed in arXiv 2010.09686, B.3, one line a unit.

    i  μ̂        σ̂²      gap     λ                                    factor
    1  1/2      1/4      −.1     −.1/(.25+.01)       = −.384615      1 + λ(1−.6)  =  .846154
    2  3/4      5/32     .15     .15/(.15625+.0225)  =  .839161      1 + λ·.4     = 1.335664
    3  5/6      25/216   7/30    (7/30)/(25/216+49/900) = 1.370854 > .75/.6 = 1.25, so 1.25:  1 − 1.25·.6 = .25
    """
    capital = CapitalProcess(1)
    up, down = capital.advance(np.array([[1.0], [1.0], [0.0]]), np.array([[0.6]]))
    np.testing.assert_allclose(np.exp(down[:, 0]), [0.846154, 0.846154, 0.846154], rtol=1e-6)
    np.testing.assert_allclose(np.exp(up[:, 0]), [1, 1.335664, 1.335664 * 0.25], rtol=1e-6)


@given(UNITS, st.floats(0.05, 0.95), st.integers(1, 59))
@settings(deadline=None)
def test_capital_does_not_depend_on_how_units_are_grouped(xs, m, cut):
    at_once, in_parts = CapitalProcess(1), CapitalProcess(1)
    expected = at_once.advance(xs[:, None], np.array([[m]]))
    pieces = [in_parts.advance(piece[:, None], np.array([[m]])) for piece in (xs[:cut], xs[cut:])]
    for side in (0, 1):
        np.testing.assert_allclose(np.concatenate([p[side] for p in pieces]), expected[side], atol=1e-9)


@given(UNITS, st.floats(0.05, 0.95))
@settings(deadline=None)
def test_no_single_unit_takes_more_than_three_quarters(xs, m):
    for log_capital in CapitalProcess(1).advance(xs[:, None], np.array([[m]])):
        assert np.diff(log_capital[:, 0], prepend=0.0).min() >= math.log(0.25) - 1e-9
