"""Sampling from a replay buffer: uniformly, and in proportion to priorities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.replay import ReplayBuffer
from agents.replay_sampling import PRIORITY_EPSILON
from tests.agents.replay_copies import GAMMA, Copies, one_copy


@settings(max_examples=60)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32), st.booleans())
def test_exactly_what_can_be_drawn_has_a_priority(n_envs, n_step, seed, next_step):
    buffer = ReplayBuffer(20 * n_envs, n_envs, (2,), gamma=GAMMA, n_step=n_step, priority_alpha=0.6)
    copies, rng = Copies(n_envs, seed, 0.1), np.random.default_rng(seed)
    largest = 1.0
    before: dict[int, float] = {}
    for _ in range(50):
        copies.step(buffer, next_step)
        arrays, _ = buffer.state()
        drawable = np.flatnonzero(arrays["available"])
        np.testing.assert_array_equal(drawable, np.flatnonzero(arrays["priorities"]))
        assert len(drawable) == len(buffer)
        now = {arrays["obs"][i, 0]: arrays["priorities"][i] for i in drawable}
        for obs, priority in now.items():  # one that is new has the largest there has been, others keep theirs
            assert priority == pytest.approx(before.get(obs, largest), rel=1e-12)
        before = now
        if len(buffer) >= 4:
            batch = buffer.sample(4, rng, beta=0.5)
            errors = rng.exponential(3.0, size=4) * rng.choice([-1, 1], 4)
            buffer.update_priorities(batch.index, errors)
            for index, error in zip(batch.index, errors, strict=True):  # where one was drawn twice, the last counts
                before[arrays["obs"][index, 0]] = (abs(error) + PRIORITY_EPSILON) ** 0.6
                largest = max(largest, before[arrays["obs"][index, 0]])


def prioritised(errors, alpha=1.0):
    """A buffer of as many transitions, with these TD errors."""
    buffer = one_copy([0] * (len(errors) + 1), " " * (len(errors) + 1), n_step=1, priority_alpha=alpha)
    buffer.update_priorities(np.arange(len(errors)), np.array(errors) - PRIORITY_EPSILON)
    return buffer


class Evenly:
    """Draws the middle of the first, second, … of some equal parts."""

    def __init__(self, parts):
        self.draws = iter((np.arange(parts) + 0.5) / parts)

    def random(self, size):
        return np.array([next(self.draws) for _ in range(size)])


def test_with_beta_1_the_weighted_mean_of_what_is_drawn_is_the_mean_of_the_buffer():
    """Ten draws that hold each in exact proportion to its priority: Σ w f / Σ w = f̄, and Σ w f / 10 is f̄ times what
    does not depend on the draws: 4 transitions times the least priority over the total."""
    buffer, rng = prioritised([1, 2, 3, 4]), Evenly(10)
    batches = [buffer.sample(1, rng, beta=1.0) for _ in range(10)]
    index, weights = (np.concatenate([getattr(b, name) for b in batches]) for name in ("index", "weights"))
    assert index.tolist() == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    drawn = np.array([5.0, -7.0, 11.0, 3.0])[index]  # 3 on average
    assert np.sum(weights * drawn) / np.sum(weights) == pytest.approx(3, rel=1e-6)
    assert np.mean(weights * drawn) == pytest.approx(3 * 4 * 1 / 10, rel=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.6, 0.4), (0.5, 0.0), (0.0, 1.0)])
def test_weights_are_those_of_the_paper(alpha, beta):
    errors = np.array([1.0, 2.0, 3.0, 4.0, 0.25])
    batch = prioritised(errors, alpha).sample(5, np.random.default_rng(0), beta=beta)
    probability = errors**alpha / np.sum(errors**alpha)
    weights = (1 / (5 * probability)) ** beta
    np.testing.assert_allclose(batch.weights, (weights / weights.max())[batch.index], rtol=1e-6)


def test_transitions_are_drawn_in_proportion_to_their_priorities():
    from scipy import stats

    errors = np.arange(1.0, 13.0)
    buffer, rng = prioritised(errors, 0.7), np.random.default_rng(0)
    counts = np.bincount(np.concatenate([buffer.sample(1, rng).index for _ in range(5000)]), minlength=12)
    assert stats.chisquare(counts, 5000 * errors**0.7 / np.sum(errors**0.7)).pvalue > 1e-3


def test_without_priorities_every_transition_is_as_likely():
    from scipy import stats

    # A wrapped ring with many final observations and unfinished returns, which cannot be drawn.
    buffer, copies, rng = ReplayBuffer(120, 3, (2,), gamma=GAMMA, n_step=4), Copies(3, 1, 0.1), np.random.default_rng(0)
    for _ in range(90):
        copies.step(buffer, False)
    drawn = np.concatenate([buffer.sample(60, rng).index for _ in range(500)])
    assert len(np.unique(drawn)) == len(buffer) < 120
    assert stats.chisquare(np.unique(drawn, return_counts=True)[1]).pvalue > 1e-3


def test_a_priority_for_what_is_not_there_any_more_does_not_bring_it_back():
    buffer = one_copy([1] * 20, " " * 20, n_step=3, priority_alpha=1.0)
    before = len(buffer)
    buffer.update_priorities(np.arange(20), np.full(20, 9.0))
    batch = buffer.sample(before, np.random.default_rng(0))
    assert batch.index.max() == 16  # the newest three lack what they led to
    assert len(buffer) == before == 17


def test_a_priority_that_is_not_a_number_is_refused():
    buffer = prioritised([1, 2, 3])
    with pytest.raises(ValueError, match="is nan: it must be in"):
        buffer.update_priorities(np.array([0]), np.array([np.nan]))
    assert buffer.state()[0]["priorities"][0] == 1.0
