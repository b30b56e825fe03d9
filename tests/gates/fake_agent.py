"""The agent of these tests: a linear policy. Plugin tests copy this file to the `agents/fake.py` of a project."""

import os

import numpy as np

from agents import AgentEntry


class Linear:
    def __init__(self, weights, bias):
        self.weights, self.bias = weights, bias

    def act(self, obs, greedy):
        return np.argmax(obs[:, : len(self.weights)] @ self.weights + self.bias, axis=1)


def load(arrays, meta, seed=0):
    if log := os.environ.get("LOG_OF_LOADS"):
        with open(log, "a") as file:
            file.write(f"{meta['env']}\n")
    return Linear(arrays["weights"], arrays["bias"])


ENTRY = AgentEntry("fake", config_target=Linear, agent_target=Linear, policy_target=load)
