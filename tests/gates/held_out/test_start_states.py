"""Start states that repeat: by chance, from a finite set, or because of a leak."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval import domains, seeding
from rl_eval.exposure import Exposure, Fingerprints
from rl_eval.gates import held_out
from rl_eval.gates.held_out import start_states
from tests.gates.held_out.exposures import exposure_to, fingerprints, set_of


def judged(train, test_set):
    return held_out.check_exposures([set_of(test_set, np.arange(len(test_set)))], [exposure_to(train, cases=False)])


def test_one_start_state_is_a_note():
    check = judged([0.0] * 500, [0.0] * 100)  # CliffWalking
    assert (check.decision, check.finite, check.exact) == ("PASS", True, 100)
    assert "finite set of start states" in check.detail


def test_in_a_continuous_environment_one_repeat_is_a_leak():
    rng = np.random.default_rng(0)
    train, test_set = rng.random(5000), rng.random(100)
    assert judged(train, test_set).decision == "PASS"
    test_set[17] = train[4000]
    check = judged(train, test_set)
    assert (check.decision, check.finite, check.examples) == ("ERROR", False, (17,))
    assert (check.exact, check.same_seed) == (1, 0)


@pytest.mark.parametrize("states", [2, 400, 10_000, 1_000_000])
@pytest.mark.parametrize("drawn", [20, 1000, 20_000])
def test_draws_from_a_finite_set_are_hardly_ever_called_a_leak(states, drawn):
    rng = np.random.default_rng(states + drawn)
    alarms = 0
    for _ in range(200):
        train, test_set = rng.integers(0, states, drawn), rng.integers(0, states, 100)
        repeated = np.isin(test_set, train)
        alarm = repeated.any() and not start_states.explained_by_chance(
            repeated, np.unique(train, return_counts=True)[1], test_set
        )
        alarms += alarm
    # where about as many start states as the square of the episodes are left, nothing has repeated yet, and a
    # first repeat cannot be told from a leak
    assert alarms <= (30 if states / 100 < drawn * drawn < 10 * states else 2)


def test_a_skewed_finite_set_is_no_leak_either():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        train, test_set = (rng.zipf(1.5, n) for n in (2000, 100))
        times = np.unique(train, return_counts=True)[1]
        alarms += not start_states.explained_by_chance(np.isin(test_set, train), times, test_set)
    assert alarms <= 2


def test_training_on_a_few_fixed_levels_that_the_gate_holds_is_a_leak():
    rng = np.random.default_rng(2)
    levels = rng.random(10)
    check = judged(rng.choice(levels, 2000), np.concatenate([levels, rng.random(90)]))
    assert (check.decision, check.finite, check.exact) == ("ERROR", False, 10)


def test_more_repeats_than_training_itself_shows_is_a_leak():
    rng = np.random.default_rng(3)
    train = rng.integers(0, 100_000, 2000)
    assert judged(train, rng.integers(0, 100_000, 100)).decision == "PASS"
    assert judged(train, train[:100]).decision == "ERROR"


@given(st.integers(1, 30), st.floats(0.001, 0.999), st.integers(-1, 32))
def test_the_binomial_tail_equals_its_sum(total, probability, count):
    import math

    exact = sum(
        math.comb(total, i) * probability**i * (1 - probability) ** (total - i) for i in range(max(count, 0), total + 1)
    )
    assert start_states.binomial_tail(total, probability, count) == pytest.approx(exact, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["CliffWalking", "FrozenLake", "Taxi"])
def test_gymnasium_environments_with_finite_starts_are_noted(name):
    env_id = max(name_ for name_ in gym.registry if name_.startswith(f"{name}-v"))
    env = domains.validate({"name": "gym", "id": env_id})
    test_set = held_out.load_test_set(env, seeding.episode_seeds(1, 100))
    trained = held_out.load_test_set(env, seeding.episode_seeds(1, 600, "other"))
    exposure = Exposure(
        False,
        Fingerprints.from_hashes(trained.exact, trained.views),
        fingerprints([], False),
        np.arange(0),
        np.arange(0),
    )
    check = held_out.check_exposures([test_set], [exposure])
    assert (check.decision, check.finite) == ("PASS", True)
