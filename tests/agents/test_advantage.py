"""Advantages against brute force, against hand-worked tables and against Stable-Baselines3."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.advantage import FEW_COPIES, gae, vtrace

RATE = st.floats(0, 1)


@st.composite
def experience(draw):
    """Random `[T, N]` rewards and values with arbitrary terminations and truncations."""
    steps, n_envs = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ends = draw(st.floats(0, 1))
    done = rng.random((steps, n_envs)) < ends
    terminated = done & (rng.random((steps, n_envs)) < 0.5)
    rewards, values, next_values = rng.normal(size=(3, steps, n_envs)) * draw(st.sampled_from([1e-3, 1.0, 1e3]))
    return {
        "rewards": rewards,
        "values": values,
        "next_values": next_values,
        "terminated": terminated,
        "done": done,
    }


def deltas(e, gamma):
    """One-step errors by the definition, one cell at a time."""
    out = np.empty_like(e["rewards"])
    for t, n in np.ndindex(out.shape):
        future = 0.0 if e["terminated"][t, n] else e["next_values"][t, n]
        out[t, n] = e["rewards"][t, n] + gamma * future - e["values"][t, n]
    return out


def brute_force_gae(e, gamma, lam):
    """A_t = Σ_k (γλ)^k δ_{t+k}, up to and including the first step that ends the episode."""
    delta, out = deltas(e, gamma), np.zeros_like(e["rewards"])
    steps, n_envs = out.shape
    for t, n in np.ndindex(steps, n_envs):
        for k in range(t, steps):
            out[t, n] += (gamma * lam) ** (k - t) * delta[k, n]
            if e["done"][k, n]:
                break
    return out


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9 * (1 + np.abs(expected).max()))


@given(experience(), RATE, RATE)
def test_gae_is_the_brute_force_sum(e, gamma, lam):
    close(gae(**e, gamma=gamma, gae_lambda=lam), brute_force_gae(e, gamma, lam))


@given(experience(), RATE)
def test_lambda_0_is_the_one_step_error(e, gamma):
    close(gae(**e, gamma=gamma, gae_lambda=0.0), deltas(e, gamma))


@given(experience(), RATE)
def test_lambda_1_is_monte_carlo_minus_the_baseline(e, gamma):
    steps, n_envs = e["rewards"].shape
    monte_carlo = np.zeros_like(e["rewards"])
    for t, n in np.ndindex(steps, n_envs):
        discount = 1.0
        for k in range(t, steps):
            monte_carlo[t, n] += discount * e["rewards"][k, n]
            discount *= gamma
            if e["done"][k, n] or k == steps - 1:
                if not e["terminated"][k, n]:
                    monte_carlo[t, n] += discount * e["next_values"][k, n]
                break
    # Monte Carlo bootstraps nowhere but at its end only if the values in between are consistent:
    # V(s_{t+1}) seen from t must be V of the next row where the episode goes on.
    chained = dict(e)
    chained["next_values"] = e["next_values"].copy()
    going_on = ~e["done"][:-1]
    chained["next_values"][:-1][going_on] = e["values"][1:][going_on]
    close(gae(**chained, gamma=gamma, gae_lambda=1.0), monte_carlo - e["values"])


def lambda_returns(e, gamma, lam):
    """G_t = r_t + γ [(1 − λ) V(s_{t+1}) + λ G_{t+1}]; Sutton and Barto, 2nd ed., eq. 12.2 to 12.4."""
    out = np.empty_like(e["rewards"])
    steps, n_envs = out.shape
    for n in range(n_envs):
        for t in reversed(range(steps)):
            value = 0.0 if e["terminated"][t, n] else e["next_values"][t, n]
            future = value if e["done"][t, n] or t == steps - 1 else out[t + 1, n]
            out[t, n] = e["rewards"][t, n] + gamma * ((1 - lam) * value + lam * future)
    return out


@given(experience(), RATE, RATE)
def test_advantages_plus_values_are_the_lambda_returns(e, gamma, lam):
    chained = dict(e)
    chained["next_values"] = e["next_values"].copy()
    going_on = ~e["done"][:-1]
    chained["next_values"][:-1][going_on] = e["values"][1:][going_on]
    close(gae(**chained, gamma=gamma, gae_lambda=lam) + e["values"], lambda_returns(chained, gamma, lam))


@given(experience(), RATE, RATE, st.data())
def test_nothing_leaks_across_an_episode_boundary(e, gamma, lam, data):
    steps, n_envs = e["rewards"].shape
    t, n = data.draw(st.integers(0, steps - 1)), data.draw(st.integers(0, n_envs - 1))
    e["done"][t, n] = True
    before = gae(**e, gamma=gamma, gae_lambda=lam)
    changed = {name: array.copy() for name, array in e.items()}
    for name in ("rewards", "values", "next_values"):
        changed[name][t + 1 :, n] += 100.0
    after = gae(**changed, gamma=gamma, gae_lambda=lam)
    np.testing.assert_array_equal(before[: t + 1, n], after[: t + 1, n])
    np.testing.assert_array_equal(np.delete(before, n, 1), np.delete(after, n, 1))


def test_hand_worked_table():
    """γ = λ = 1/2, one copy: a truncation at step 1 bootstraps with 8, a termination at step 3 does not."""
    column = lambda *v: np.array(v, float)[:, None]  # noqa: E731
    advantages = gae(
        rewards=column(1, 2, 3, 4),
        values=column(2, 4, 6, 8),
        next_values=column(4, 8, 8, 99),
        terminated=column(0, 0, 0, 1).astype(bool),
        done=column(0, 1, 0, 1).astype(bool),
        gamma=0.5,
        gae_lambda=0.5,
    )
    # δ = 1 + 2 − 2 = 1;  2 + 4 − 4 = 2;  3 + 4 − 6 = 1;  4 + 0 − 8 = −4
    np.testing.assert_allclose(advantages[:, 0], [1 + 0.25 * 2, 2, 1 + 0.25 * -4, -4])


def test_a_truncation_bootstraps_and_a_termination_does_not():
    one = np.ones((1, 1))
    common = {"rewards": one, "values": 0 * one, "next_values": 10 * one, "done": one > 0}
    truncated = gae(**common, terminated=one < 0, gamma=0.9, gae_lambda=0.95)
    terminated = gae(**common, terminated=one > 0, gamma=0.9, gae_lambda=0.95)
    assert truncated.item() == pytest.approx(10.0)
    assert terminated.item() == pytest.approx(1.0)


@settings(max_examples=30)
@given(experience(), RATE, RATE)
def test_gae_equals_stable_baselines3(e, gamma, lam):
    """Its buffer knows no final observations, so every end here is a termination."""
    from gymnasium import spaces
    from stable_baselines3.common.buffers import RolloutBuffer

    e["terminated"] = e["done"]
    steps, n_envs = e["rewards"].shape
    buffer = RolloutBuffer(
        steps, spaces.Box(-1, 1, (1,)), spaces.Discrete(2), gamma=gamma, gae_lambda=lam, n_envs=n_envs
    )
    starts = np.vstack([np.zeros((1, n_envs)), e["done"][:-1]])
    for t in range(steps):
        buffer.add(
            np.zeros((n_envs, 1)),
            np.zeros(n_envs),
            e["rewards"][t],
            starts[t],
            torch.from_numpy(e["values"][t]),
            torch.zeros(n_envs),
        )
    last = e["next_values"][-1]
    buffer.compute_returns_and_advantage(torch.from_numpy(last), e["done"][-1])
    e["next_values"] = np.vstack([e["values"][1:], last[None]])
    ours = gae(**e, gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(ours, buffer.advantages, rtol=1e-3, atol=1e-4 * (1 + np.abs(ours).max()))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named(bad):
    rewards = np.zeros((3, 2))
    rewards[1, 0] = bad
    zeros, never = np.zeros((3, 2)), np.zeros((3, 2), bool)
    with pytest.raises(ValueError, match=r"rewards\[1, 0\]"):
        gae(rewards, zeros, zeros, never, never, 0.9, 0.9)


def test_shapes_and_rates_are_checked():
    zeros, never = np.zeros((3, 2)), np.zeros((3, 2), bool)
    with pytest.raises(ValueError, match="shape"):
        gae(zeros, zeros[:2], zeros, never, never, 0.9, 0.9)
    with pytest.raises(ValueError, match="shape"):
        gae(zeros[0], zeros[0], zeros[0], never[0], never[0], 0.9, 0.9)
    with pytest.raises(ValueError, match="gamma"):
        gae(zeros, zeros, zeros, never, never, 1.1, 0.9)


def test_many_copies_equal_single_copies_to_the_bit():
    rng = np.random.default_rng(0)
    copies = 3 * FEW_COPIES  # many take the way through rows, one the way through numbers
    rewards, values, next_values = rng.normal(size=(3, 50, copies))
    terminated = rng.random((50, copies)) < 0.1
    done = terminated | (rng.random((50, copies)) < 0.1)
    together = gae(rewards, values, next_values, terminated, done, 0.99, 0.95)
    for n in range(copies):
        alone = (array[:, n : n + 1] for array in (rewards, values, next_values, terminated, done))
        np.testing.assert_array_equal(gae(*alone, 0.99, 0.95)[:, 0], together[:, n])


@given(experience(), RATE, RATE)
def test_vtrace_of_the_own_policy_is_gae(e, gamma, lam):
    advantages, errors = vtrace(**e, gamma=gamma, gae_lambda=lam, ratios=np.ones_like(e["rewards"]))
    close(advantages, gae(**e, gamma=gamma, gae_lambda=lam))
    close(errors, gae(**e, gamma=gamma, gae_lambda=lam))


@given(experience(), RATE, RATE, st.integers(0, 2**32 - 1), st.floats(1, 3))
def test_vtrace_is_the_sum_of_the_paper(e, gamma, lam, seed, clip):
    """v_s − V(s) = Σ_t γ^(t−s) (Π c_i) ρ_t δ_t, with c_i = λ min(1, ratio_i): eq. 1 of arXiv 1802.01561."""
    ratios = np.exp(np.random.default_rng(seed).normal(size=e["rewards"].shape))
    advantages, errors = vtrace(**e, gamma=gamma, gae_lambda=lam, ratios=ratios, clip=clip)
    delta, steps = deltas(e, gamma), len(ratios)
    rho, c = np.minimum(ratios, clip), lam * np.minimum(ratios, 1.0)
    expected = np.zeros_like(errors)
    for t, n in np.ndindex(expected.shape):
        for k in range(t, steps):
            expected[t, n] += gamma ** (k - t) * c[t:k, n].prod() * rho[k, n] * delta[k, n]
            if e["done"][k, n]:
                break
    close(errors, expected)
    later = np.vstack([expected[1:], np.zeros((1, expected.shape[1]))]) * ~e["done"]
    close(advantages, rho * (delta + gamma * lam * later))


def test_a_negative_ratio_is_refused():
    e = {name: np.zeros((1, 1)) for name in ("rewards", "values", "next_values")}
    ends = np.zeros((1, 1), bool)
    with pytest.raises(ValueError, match="negative"):
        vtrace(**e, terminated=ends, done=ends, gamma=1.0, gae_lambda=1.0, ratios=np.array([[-1.0]]))
