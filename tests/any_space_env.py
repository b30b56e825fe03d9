"""An environment of any spaces, whose rewards depend on every part of observations and actions."""

import copy
import zlib

import gymnasium as gym
import numpy as np

STEPS = 4
D, B = gym.spaces.Discrete, gym.spaces.Box
OBSERVATIONS = {
    "image": B(0, 255, (6, 5, 3), np.uint8),
    "matrix": B(-1, 1, (3, 2)),
    "number": B(-1, 1, ()),
    "Discrete": D(5, start=-2),
    "MultiDiscrete": gym.spaces.MultiDiscrete([3, 4], start=[1, -1]),
    "MultiBinary": gym.spaces.MultiBinary((2, 2)),
    "Text": gym.spaces.Text(6),
    "Dict": gym.spaces.Dict(image=B(0, 255, (4, 4, 1), np.uint8), place=gym.spaces.Dict(x=B(-1, 1, (2,)), room=D(3))),
    "Tuple": gym.spaces.Tuple([D(4), B(-1, 1, (2,)), gym.spaces.Text(3)]),
    "Sequence": gym.spaces.Sequence(B(-1, 1, (2,))),
}
ACTIONS = {
    "Discrete": D(3, start=-1),
    "Box": B(np.float32([-2, 0]), np.float32([1, 0.7])),
    "matrix": B(-1, 1, (2, 2), np.float64),
    "MultiDiscrete": gym.spaces.MultiDiscrete([3, 2], start=[-1, 4]),
    "MultiBinary": gym.spaces.MultiBinary(3),
    "Dict": gym.spaces.Dict(turn=D(3), force=B(-1, 1, (2,))),
    "Tuple": gym.spaces.Tuple([D(2), gym.spaces.MultiBinary(2)]),
    "Text": gym.spaces.Text(4),
}


def content(value):
    """A number in [0, 1) that differs for different values of a space."""
    if isinstance(value, dict):
        value = sorted((key, content(part)) for key, part in value.items())
    elif isinstance(value, tuple | list):
        value = [content(part) for part in value]
    elif isinstance(value, np.ndarray) and value.shape:
        value = (value.shape, value.astype(np.float64).tolist())
    elif isinstance(value, int | float | np.number | np.ndarray):
        value = float(value)
    return zlib.crc32(repr(value).encode()) / 2**32


class AnySpaces(gym.Env):
    """Observations are drawn; an episode lasts 4 steps, or 3 after an action of much content."""

    def __init__(self, observation=None, action=None):
        # each copy draws from a space of its own
        observation = OBSERVATIONS[observation] if isinstance(observation, str) else observation
        self.observation_space = copy.deepcopy(observation or OBSERVATIONS["matrix"])
        self.action_space = copy.deepcopy(action or ACTIONS["Discrete"])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        self.left, self.seen = STEPS, self.observation_space.sample()
        return self.seen, {}

    def step(self, action):
        assert self.action_space.contains(action), action
        reward = content(self.seen) + content(action)
        self.left -= 1 + (self.left == STEPS and content(action) > 0.8)
        self.seen = self.observation_space.sample()
        return self.seen, reward, self.left <= 0, False, {}


def register():
    """`AnySpaces-v0`, once."""
    if "AnySpaces-v0" not in gym.registry:
        gym.register("AnySpaces-v0", AnySpaces)
