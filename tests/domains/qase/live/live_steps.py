"""Steps of a live vector with random levels, and what they show."""

from pathlib import Path

import numpy as np

from rl_eval.domains.qase.config import LEVELS, Config
from rl_eval.domains.qase.live import session

ROOT = Path(__file__).resolve().parents[4]
SMALL = Config(mode="live", warmup=2, keep=4, held_out_cycles=3)
CASES = len(session.runnable_cases(SMALL).project.cases)


def levels(steps, n_envs, seed=0):
    return np.random.default_rng(seed).integers(0, LEVELS, (steps, n_envs))


def play_steps(vector, actions):
    """What every step showed and told, name -> [T, N], the next observations among it."""
    rows = []
    for step_actions in actions:
        obs, _, _, _, infos = vector.step(step_actions)
        rows.append({**infos["outcome"], "obs": obs})
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
