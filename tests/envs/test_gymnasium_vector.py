"""Copies of a Gymnasium environment in one process: what its info may hold as an action mask."""

import gymnasium as gym
import numpy as np
import pytest

from rl_eval.envs.gymnasium_vector import GymnasiumVector
from rl_eval.errors import InputError


class Masked(gym.Env):
    """Three actions, and one mask after reset and another after every step."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def __init__(self, after_reset, after_step):
        self.after_reset, self.after_step = after_reset, after_step

    def _info(self, mask):
        return {} if mask is None else {"action_mask": mask}

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), self._info(self.after_reset)

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, False, False, self._info(self.after_step)


def masks_of(after_reset, after_step):
    vector = GymnasiumVector([Masked(after_reset, after_step) for _ in range(2)])
    _, infos = vector.reset(seed=0)
    return infos.get("action_mask"), vector.step(np.zeros(2, np.int64))[4].get("action_mask")


BOTH = [np.ones(2, bool), np.ones((3, 1), bool), True, [0.0, -np.inf, 1.0], [0, 2, 2], [-1, 0, 1], ["a", "", "b"]]


@pytest.mark.parametrize("mask", BOTH, ids=map(str, BOTH))
def test_something_else_than_a_mask_is_one_sentence(mask):
    with pytest.raises(InputError, match=r"action_mask'\] is .* zeros and ones"):
        masks_of(mask, mask)


def test_a_mask_is_given_always_or_never():
    with pytest.raises(InputError, match="is missing"):
        masks_of(np.ones(3, bool), None)
    with pytest.raises(InputError, match="but not after reset"):
        masks_of(None, np.ones(3, bool))
    assert masks_of(None, None) == (None, None)


@pytest.mark.parametrize("mask", [[1, 0, 1], np.array([1, 0, 1], np.int8), np.array([True, False, True])])
def test_booleans_and_zeros_and_ones_are_masks(mask):
    for array in masks_of(mask, mask):
        assert array.dtype == bool
        np.testing.assert_array_equal(array, [[True, False, True]] * 2)
