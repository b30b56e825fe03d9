"""A Gymnasium environment with illegal actions; it raises if one is taken."""

import gymnasium as gym
import numpy as np

ACTIONS = 4


def legal_actions(position, step):
    """bool `[A]`; every action is illegal in some states, and one is legal in each."""
    number = int(position) * 7919 + int(step) * 104729
    mask = np.array([(number >> (3 + a)) & 1 for a in range(ACTIONS)], bool)
    mask[number % ACTIONS] = True
    return mask


class Corridor(gym.Env):
    """Moves by −2, −1, 1 or 2 from a drawn position; terminates outside ±6, where no action is legal."""

    observation_space = gym.spaces.Box(-10, 40, (2,), np.float32)
    action_space = gym.spaces.Discrete(ACTIONS, start=3)

    def _obs(self):
        return np.array([self.position, self.steps], np.float32)

    def _info(self):
        over = abs(self.position) > 6
        mask = np.zeros(ACTIONS, bool) if over else legal_actions(self.position, self.steps)
        return {"action_mask": mask.astype(np.int8)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.steps = int(self.np_random.integers(-3, 4)), 0
        return self._obs(), self._info()

    def step(self, action):
        if not self._info()["action_mask"][action - 3]:
            raise AssertionError(f"action {action} is illegal at {self.position} in step {self.steps}")
        self.position += (-2, -1, 1, 2)[action - 3]
        self.steps += 1
        reward = 1.0 - abs(self.position) / 6
        return self._obs(), reward, abs(self.position) > 6, False, self._info()


gym.register("MaskedCorridor-v0", entry_point="tests.masked_env:Corridor", max_episode_steps=12)
