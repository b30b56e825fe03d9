"""Forgetting and transfer from logs: scores of policies whose truth is known, and the matrix by hand."""

import gymnasium as gym
import numpy as np
import pytest

from rl_eval.policy import Spaces
from rl_eval.production.canary_config import RolloutConfig
from rl_eval.production.config import load_config
from rl_eval.production.loop import periods
from rl_eval.production.parts import open_parts
from rl_eval.production.proof import Judged, LoggedTraffic, transfer
from rl_eval.serving.served_policy import ServedPolicy
from tests.production.served import write_config


class Always:
    """One of two actions, whatever is observed."""

    def __init__(self, action):
        self.action = action

    def act(self, obs, greedy, mask=None):
        return np.full(len(obs), self.action)

    def probabilities(self, obs, mask=None):
        return np.eye(2)[np.full(len(obs), self.action)]


def judged(action):
    spaces = Spaces("x", gym.spaces.Box(-9, 9, (2,), np.float32), gym.spaces.Discrete(2))
    return Judged(ServedPolicy(str(action), spaces, Always(action)))


def test_a_score_is_the_mean_reward_in_shares_of_its_range():
    """Action 1 earns 1 and action 0 earns −1, on a range from −2 to 2."""
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 2, 4_000)
    rewards = np.where(actions == 1, 1.0, -1.0) + rng.normal(0, 0.1, 4_000)
    logged = LoggedTraffic(rng.normal(size=(4_000, 2)).astype(np.float32), actions, np.full(4_000, 0.5), rewards)
    config = RolloutConfig(low=-2.0, high=2.0)
    assert periods.score(judged(1), logged, config) == pytest.approx(0.75, abs=0.01)
    assert periods.score(judged(0), logged, config) == pytest.approx(0.25, abs=0.01)


def test_the_matrix_of_three_periods_by_hand(tmp_path):
    """Each training measures its champion, who goes on from the period before, and its candidate, on all periods.

    Training 2: the champion has .8 on 1 and .5 on 2. Its candidate was refused, so at training 3 the same champion has
    .8, .5 and .4; the candidate .7, .6 and .9. BWT = ((.7 − .8) + (.6 − .5)) / 2; FWT = ((.5 − .3) + (.4 − .2)) / 2,
    where .3 and .2 are those of chance.
    """
    first = {"rows": {}, "uniform": {"1": 0.25}}
    second = {"rows": {"1": {"1": 0.8, "2": 0.5}}, "uniform": {"2": 0.3}}
    third = {"rows": {"2": {"1": 0.8, "2": 0.5, "3": 0.4}}, "uniform": {"3": 0.2}}
    with open_parts(load_config(write_config(tmp_path))) as parts:
        for measured in (first, second, second, {}):
            periods.keep(parts, measured)
        stored = parts.store.document(periods.DOCUMENT)
    assert stored.number == 2  # what is there already is not written again
    together = periods._together(stored.body, third)
    found = periods._matrix(together, {"1": 0.7, "2": 0.6, "3": 0.9}, "3")
    # After 1, nobody has met period 3.
    assert np.allclose(found.scores, [[0.8, 0.5, 0.8], [0.8, 0.5, 0.4], [0.7, 0.6, 0.9]])
    measured = transfer(found.scores, found.first)
    assert measured.backward == pytest.approx(0.0)
    assert measured.forward == pytest.approx(0.2)
    assert measured.accuracy == pytest.approx((0.7 + 0.6 + 0.9) / 3)
    assert periods._matrix(first, {"1": 0.8}, "1") is None


def test_only_the_latest_periods_are_kept():
    stored = {"rows": {}, "uniform": {}}
    for period in range(30):
        measured = {"rows": {str(period - 1): {str(period): 0.5}}, "uniform": {str(period): 0.1}}
        stored = periods._together(stored, measured)
    assert list(stored["uniform"]) == [str(period) for period in range(10, 30)]
    assert set(stored["rows"]) == {str(period) for period in range(10, 29)}
