"""What stands in for `agents/` in these tests: a linear policy; plugin tests copy this file to `agents/fake.py`."""

import os

import numpy as np


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
