"""Running statistics against two-pass statistics, and reward scaling against Stable-Baselines3."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agents import normalize
from agents.normalize import Moments, RewardScale, denormalize, merge, of, scale_rewards, update

SCALE = st.sampled_from([1e-8, 1e-4, 1.0, 1e4, 1e8])
UNIT = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=30), elements=st.floats(-1, 1)
)


def same(a: Moments, data: np.ndarray, scale: float) -> None:
    """`a` has the count, mean and variance that two passes over `data` give."""
    assert a.count == len(data)
    np.testing.assert_allclose(a.mean, data.mean(axis=0), rtol=1e-9, atol=1e-12 * scale)
    np.testing.assert_allclose(a.variance, data.var(axis=0), rtol=1e-7, atol=1e-12 * scale**2)


@given(UNIT, SCALE, st.lists(st.integers(0, 30), max_size=5), st.randoms(use_true_random=False))
def test_batching_merging_and_order_do_not_matter(unit, scale, cuts, random):
    data = unit * scale
    parts = np.split(data, sorted(min(c, len(data)) for c in cuts))
    running = Moments.empty(data.shape[1:])
    for part in parts:
        running = update(running, part)
    same(running, data, scale)
    parts = random.sample(parts, len(parts))
    merged = Moments.empty(data.shape[1:])
    for part in parts:
        merged = merge(of(part), merged)
    same(merged, data, scale)


@given(UNIT, SCALE)
def test_a_large_offset_keeps_the_variance(unit, scale):
    """Where a sum of squares would cancel: a mean a million times the deviation."""
    data = unit * scale + 1e6 * scale
    running = Moments.empty(data.shape[1:])
    for row in data:
        running = update(running, row[None])
    np.testing.assert_allclose(running.variance, data.var(axis=0), rtol=1e-3, atol=1e-9 * scale**2)


@given(UNIT, SCALE)
def test_denormalize_undoes_normalize_where_nothing_is_clipped(unit, scale):
    data = unit * scale
    moments = of(data)
    spread = np.sqrt(moments.variance + 1e-8)
    back = denormalize(normalize.normalize(data, moments), moments)
    np.testing.assert_allclose(back, data, rtol=1e-5, atol=1e-6 * float(np.max(spread + np.abs(moments.mean))))


@given(st.floats(-1e8, 1e8), st.integers(1, 5))
def test_constants_and_single_samples_stay_finite(value, count):
    moments = of(np.full((count, 1), value))
    assert np.isfinite(normalize.normalize(np.array([[value]]), moments)).all()
    assert np.isfinite(normalize.normalize(np.array([[value + 1]]), moments, clip=10)).all()
    scaled, scale = scale_rewards(np.full((count, 1), value), np.zeros((count, 1), bool), RewardScale.start(1), 0.99)
    assert np.isfinite(scaled).all()
    assert np.isfinite(scale.moments.variance)


def test_without_data_normalising_is_the_identity():
    x = np.array([[0.5, -2.0]], np.float32)
    np.testing.assert_allclose(normalize.normalize(x, Moments.empty((2,))), x, rtol=1e-6)


def test_the_clip_holds():
    moments = of(np.array([[0.0], [1.0]]))
    assert normalize.normalize(np.array([[1e9]]), moments, clip=5.0).item() == 5.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_named(bad):
    batch = np.zeros((4, 3))
    batch[2, 1] = bad
    with pytest.raises(ValueError, match=r"observations\[2, 1\]"):
        update(Moments.empty((3,)), batch, "observations")
    with pytest.raises(ValueError, match=r"rewards\[2, 1\]"):
        scale_rewards(batch, batch > 1e300, RewardScale.start(3), 0.99)


@settings(max_examples=40)
@given(
    st.integers(1, 20),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
    st.sampled_from([1e-2, 1.0, 1e3]),
)
def test_reward_scaling_equals_stable_baselines3(steps, n_envs, seed, gamma, size):
    from stable_baselines3.common.running_mean_std import RunningMeanStd

    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(steps, n_envs)) * size
    done = rng.random((steps, n_envs)) < 0.3
    # The lines of VecNormalize.step_wait that bear on rewards, on its own statistics class.
    statistics, returns, expected = RunningMeanStd(shape=()), np.zeros(n_envs), np.empty((steps, n_envs))
    for t in range(steps):
        returns = returns * gamma + rewards[t]
        statistics.update(returns)
        expected[t] = np.clip(rewards[t] / np.sqrt(statistics.var + 1e-8), -10, 10)
        returns[done[t]] = 0
    cut = rng.integers(0, steps + 1)  # in two calls, as two rollouts
    first, scale = scale_rewards(rewards[:cut], done[:cut], RewardScale.start(n_envs, prior_count=1e-4), gamma)
    second, scale = scale_rewards(rewards[cut:], done[cut:], scale, gamma)
    np.testing.assert_allclose(np.concatenate([first, second]), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scale.moments.variance, statistics.var, rtol=1e-8)
    np.testing.assert_allclose(scale.returns, returns, rtol=1e-12)
