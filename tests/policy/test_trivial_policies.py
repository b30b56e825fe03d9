"""Trivial policies: random, constant and untrained."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import policy as networks
from agents.config import NetworkConfig
from agents.networks import ActorCritic, Inference
from rl_eval.policy import load
from tests.policy.policies import BOX, CARTPOLE, ENDLESS, ODD, observations, refused, spaces


@pytest.mark.parametrize("action", [gym.spaces.Discrete(5), ODD, BOX, ENDLESS])
def test_random_is_uniform_over_the_action_space_and_repeats_by_seed(action):
    n = 20_000
    actions = load("random", spaces(action), None, seed=3).act(np.zeros((n, 4)), True)
    again, other = (load("random", spaces(action), None, seed=s).act(np.zeros((n, 4)), False) for s in (3, 4))
    assert np.array_equal(actions, again)
    assert not np.array_equal(actions, other)
    assert all(one in action for one in actions[:200])
    assert actions.shape == (n, *action.shape)
    if isinstance(action, gym.spaces.Discrete):
        shares = np.bincount(actions - action.start, minlength=action.n) / n
        np.testing.assert_allclose(shares, 1 / action.n, atol=0.02)  # 5 standard errors
    elif action is BOX:
        np.testing.assert_allclose(
            np.quantile(actions, [0.25, 0.75], axis=0), [[-1.25, 0.175], [0.25, 0.525]], atol=0.06
        )


@given(value=st.integers(-3, 5))
def test_a_constant_is_any_action_and_no_other(value):
    if value in ODD:
        actions = load(f"constant:{value}", spaces(ODD), None).act(observations(), True)
        assert actions.tolist() == [value] * 50
        assert actions[0] in ODD
    else:
        refused(
            rf"^policy constant:{value} is not an action: the actions are -1 to 1$", f"constant:{value}", action=ODD
        )


@pytest.mark.parametrize(
    ("value", "expected"), [("low", [-2, 0]), ("middle", [-0.5, 0.35]), ("high", [1, 0.7]), ("0.7", [0.7, 0.7])]
)
def test_a_constant_on_a_box_is_low_middle_high_or_a_number(value, expected):
    actions = load(f"constant:{value}", spaces(BOX), None).act(observations(3), False)
    np.testing.assert_allclose(actions, [expected] * 3, rtol=1e-6)
    assert actions[0] in BOX


@pytest.mark.parametrize("value", ["low", "middle", "high", "-7.5"])
def test_a_constant_on_a_box_without_bounds_is_finite(value):
    actions = load(f"constant:{value}", spaces(ENDLESS), None).act(observations(3), True)
    assert np.isfinite(actions).all()
    assert actions[0] in ENDLESS


@pytest.mark.parametrize("value", ["--1", "²", "1.0", "one", "nan", "low"])
def test_a_constant_that_is_no_discrete_action_is_reported(value):
    refused(r"is not an action: the actions are 0 to 1$", f"constant:{value}")


@pytest.mark.parametrize("value", ["nan", "inf", "-3", "0.8", "left", "1,2"])
def test_a_constant_that_is_no_continuous_action_is_reported(value):
    message = r"^policy constant:.* is not an action: give low, middle, high or one number from 0 to 0\.7$"
    refused(message, f"constant:{value}", action=BOX)


@pytest.mark.parametrize("action", [CARTPOLE.action, ODD, BOX, ENDLESS])
def test_untrained_is_one_network_an_initialisation(action):
    def act(which, seed=0, greedy=True):
        return load(which, spaces(action), None, seed=seed).act(observations(), greedy)

    three = [act(f"untrained:{k}") for k in range(3)]
    assert np.array_equal(three[0], act("untrained"))
    for k, actions in enumerate(three):
        assert np.array_equal(actions, act(f"untrained:{k}", seed=9))  # the seed is of the draws, not of the weights
        assert all(one in action for one in actions)
        assert all(not np.array_equal(actions, other) for other in three[k + 1 :])
    assert np.array_equal(act("untrained", greedy=False), act("untrained", greedy=False))
    assert not np.array_equal(act("untrained", greedy=False), act("untrained", seed=1, greedy=False))


@pytest.mark.parametrize("action", [CARTPOLE.action, ODD, BOX, ENDLESS])
def test_untrained_is_the_network_that_training_begins_with(action):
    ours = ActorCritic(4, action, NetworkConfig(), np.random.default_rng([0x1A17, 2]))
    began = networks.NetworkPolicy(Inference(ours), action, np.asarray, None, seed=7)
    control = load("untrained:2", spaces(action), None, seed=7)
    for greedy in (True, False):
        np.testing.assert_allclose(control.act(observations(), greedy), began.act(observations(), greedy), atol=1e-6)


@pytest.mark.parametrize("which", ["x", "-1", "9" * 20])
def test_untrained_takes_a_number(which):
    refused(rf"^policy untrained:{which} is not valid: give untrained, or untrained:<k>", f"untrained:{which}")


def test_random_takes_nothing_after_its_name():
    refused(r"^policy 'random:1' is not valid", "random:1")
