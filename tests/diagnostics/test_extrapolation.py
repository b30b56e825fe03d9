"""When a learning curve reaches a threshold."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rl_eval.diagnostics._extrapolation import MAX_EXTRAPOLATION, averaged, crossing

STEPS = np.linspace(0, 100_000, 60)


@settings(max_examples=30)
@given(
    constant=st.floats(0.45, 0.6),
    beyond=st.floats(1.05, 1.3),
    scale=st.floats(1e-3, 1e6),
)
def test_a_curve_that_bends_is_followed_to_where_it_crosses(constant, beyond, scale):
    """The threshold is what the curve comes to at `beyond` spans; the nearest time constant tried is within 8 %.

    Its asymptote is off by as little, so a threshold right below the curve's own may lie above that of the fit.
    """
    assume(beyond / constant < 2.4)
    curve = scale * (200 - 300 * np.exp(-STEPS / 1e5 / constant))
    threshold = float(scale * (200 - 300 * np.exp(-beyond / constant)))
    interval = crossing(STEPS, curve, threshold, seed=0)
    assert interval.low <= beyond * 1e5 * 1.08
    assert beyond * 1e5 * 0.92 <= interval.high < np.inf


def test_the_interval_holds_the_crossing_about_as_often_as_it_says():
    """Curves of known shape with noise that resembles its neighbours: 95 % is meant, and at least 85 % is kept."""
    rng = np.random.default_rng(0)
    inside = []
    while len(inside) < 60:
        constant, ceiling = rng.uniform(0.2, 0.6), rng.uniform(210, 260)
        truth = constant * np.log(300 / (ceiling - 200))
        noise = np.zeros(len(STEPS))
        for i in range(1, len(STEPS)):
            noise[i] = 0.7 * noise[i - 1] + rng.normal(0, 6)
        values = ceiling - 300 * np.exp(-STEPS / 1e5 / constant) + noise
        if truth <= 1 or values[-5:].mean() >= 200:
            continue
        interval = crossing(STEPS, values, 200.0, seed=len(inside))
        inside.append(interval.low <= truth * 1e5 <= interval.high)
    assert np.mean(inside) >= 0.85


def test_a_straight_line_promises_nothing():
    """It has not bent yet: the line gives the least that is needed, and nothing the most."""
    interval = crossing(STEPS, STEPS / 1e5, 2.0)
    assert interval.low <= 200_000 * 1.001
    assert interval.low > 100_000
    assert interval.high == np.inf


@given(threshold=st.floats(1.0, 1e6), seed=st.integers(0, 100))
@settings(max_examples=20)
def test_the_ends_are_in_order_and_after_what_was_seen(threshold, seed):
    values = np.cumsum(np.random.default_rng(seed).normal(0.02, 0.1, len(STEPS)))
    interval = crossing(STEPS, values, float(values[-10:].mean()) + threshold)
    assert STEPS[-1] <= interval.low <= interval.high
    assert interval.high == np.inf or interval.high <= STEPS[0] + MAX_EXTRAPOLATION * (STEPS[-1] - STEPS[0])


def test_a_curve_that_has_settled_below_never_gets_there():
    values = 100 - 100 * np.exp(-STEPS / 1e5 / 0.1) + np.random.default_rng(0).normal(0, 1, len(STEPS))
    assert crossing(STEPS, values, 200.0).high == np.inf


def test_averaging_keeps_the_mean_and_drops_what_is_not_a_number():
    steps, values = np.arange(1000.0), np.arange(1000.0)
    values[::10] = np.nan
    thin_steps, thin = averaged(steps, values, max_points=90)
    assert len(thin) == 90
    np.testing.assert_allclose(thin.mean(), np.nanmean(values))
    np.testing.assert_allclose(thin, thin_steps)
