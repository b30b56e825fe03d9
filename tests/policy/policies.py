"""Spaces, observations and a check of refusals, shared by the tests of policies."""

import gymnasium as gym
import numpy as np
import pytest

from rl_eval.domains import cartpole, threat
from rl_eval.errors import InputError
from rl_eval.policy import Spaces, load

OBS = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32)
ODD = gym.spaces.Discrete(3, start=-1)
BOX = gym.spaces.Box(np.array([-2, 0], np.float32), np.array([1, 0.7], np.float32))
ENDLESS = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
CARTPOLE = Spaces("cartpole", OBS, gym.spaces.Discrete(2))
SMALL = threat.Config(train_flows=1000, validation_flows=200, test_flows=200)


def spaces(action, obs=OBS, env="cartpole"):
    return Spaces(env, obs, action)


def observations(n=50, size=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)


def refused(message, spec, *, action=CARTPOLE.action, config=None, trust=True):
    with pytest.raises(InputError, match=message) as error:
        load(spec, spaces(action), config or cartpole.Config(), trust=trust)
    assert "\n" not in str(error.value)
