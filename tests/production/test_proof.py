"""Proofs: transfer by a hand-worked table, off-policy and robustness on policies whose truth is known."""

import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.evidence import off_policy_difference, off_policy_estimates
from rl_eval.policy import Spaces
from rl_eval.production.learning_config import ProofConfig
from rl_eval.production.proof import Judged, LoggedTraffic, Periods, Proof, off_policy, prove, robustness, transfer
from rl_eval.production.proof.finding import Finding
from rl_eval.serving.served_policy import ServedPolicy

CONFIG = ProofConfig()


class Linear:
    """Logits x · w."""

    def __init__(self, weights, sharpness=1.0):
        self.weights, self.sharpness = np.asarray(weights, np.float64), sharpness

    def act(self, obs, greedy, mask=None):
        return (obs @ self.weights).argmax(axis=1)

    def probabilities(self, obs, mask=None):
        logits = self.sharpness * (obs @ self.weights)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def gradients(self, obs):
        order = np.argsort(obs @ self.weights, axis=1)
        return (self.weights[:, order[:, -1]] - self.weights[:, order[:, -2]]).T.astype(np.float32)


def judged(policy, version):
    weights = policy.weights
    spaces = Spaces("x", gym.spaces.Box(-9, 9, (len(weights),), np.float32), gym.spaces.Discrete(weights.shape[1]))
    return Judged(ServedPolicy(version, spaces, policy), None, policy.gradients)


GOOD = Linear([[1.0, -1.0], [0.0, 0.0]], 4.0)  # takes action 0 where the first number is above 0
BAD = Linear([[-1.0, 1.0], [0.0, 0.0]], 4.0)


def traffic(count=2_000, seed=0):
    """Chance logs; action 0 is rewarded where the first number is above 0, action 1 elsewhere."""
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(count, 2)).astype(np.float32)
    actions = rng.integers(0, 2, count)
    return LoggedTraffic(obs, actions, np.full(count, 0.5), ((obs[:, 0] > 0) == (actions == 0)).astype(float))


def test_transfer_is_that_of_the_paper_by_hand():
    scores = np.array([[0.9, 0.6, 0.5], [0.8, 0.9, 0.7], [0.6, 0.8, 0.9]])
    found = transfer(scores, np.array([0.5, 0.5, 0.4]))
    assert found.accuracy == pytest.approx((0.6 + 0.8 + 0.9) / 3)
    assert found.backward == pytest.approx(((0.6 - 0.9) + (0.8 - 0.9)) / 2)
    assert found.forward == pytest.approx(((0.6 - 0.5) + (0.7 - 0.4)) / 2)
    assert transfer(scores[:1, :1]).backward is None
    for shape in ((2, 3), (0, 0), (3,)):
        with pytest.raises(InputError, match=r"\[T, T\]"):
            transfer(np.zeros(shape))
    with pytest.raises(InputError, match="not finite"):
        transfer(np.full((2, 2), np.nan))


@given(st.integers(0, 2**32 - 1))
def test_the_difference_is_that_of_the_estimates_and_of_a_policy_to_itself_0(seed):
    rng = np.random.default_rng(seed)
    rewards, actions, propensities = rng.normal(size=50), rng.integers(0, 3, 50), rng.uniform(0.1, 1, 50)
    ours, theirs = rng.dirichlet(np.ones(3), (2, 50))
    predicted = rng.normal(size=(50, 3))
    logs = rewards, actions, propensities
    found = off_policy_difference(*logs, ours, theirs, predicted)
    expected = [off_policy_estimates(*logs, p, predicted).doubly_robust.value for p in (ours, theirs)]
    assert found.value == pytest.approx(expected[0] - expected[1])
    same = off_policy_difference(*logs, ours, ours, predicted)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_a_reward_model_predicts_what_it_has_not_seen():
    logs = traffic()
    predicted = off_policy.predict_rewards(logs.observations, logs.actions, logs.rewards, 2)
    best = predicted.argmax(axis=1)
    assert ((logs.observations[:, 0] > 0) == (best == 0)).mean() > 0.95
    never = off_policy.predict_rewards(logs.observations, np.zeros(2_000, int), logs.rewards, 2)
    assert never[:, 1] == pytest.approx(logs.rewards.mean(), abs=0.05)  # nothing is known of action 1
    wide = off_policy.predict_rewards(
        np.random.default_rng(0).normal(size=(20, 100)), np.zeros(20, int), np.ones(20), 2
    )
    assert wide == pytest.approx(1.0)


def test_a_worse_candidate_fails_and_an_equal_one_passes():
    worse = prove(judged(BAD, "b"), judged(GOOD, "g"), CONFIG, traffic=traffic())
    assert worse.decision == "FAIL"
    assert "off_policy FAIL" in worse.reasons[0]
    better = prove(judged(GOOD, "g"), judged(BAD, "b"), CONFIG, traffic=traffic())
    assert better.decision == "PASS"
    assert better.figures["off_policy"]["difference"]["value"] > 0.5
    same = prove(judged(GOOD, "g"), judged(GOOD, "g2"), CONFIG, traffic=traffic())
    assert same.decision == "PASS"
    assert json.loads(json.dumps(same.to_json()))["decision"] == "PASS"


def test_logs_without_exploration_decide_nothing():
    logs = traffic(200)
    logs = dataclasses.replace(logs, actions=np.zeros(200, int), propensities=np.ones(200))
    found = prove(judged(GOOD, "g"), judged(GOOD, "g2"), ProofConfig(least_effective=150.0), traffic=logs)
    assert found.decision == "INCONCLUSIVE"
    assert "explores more" in found.reasons[0]


def test_continuous_actions_have_no_off_policy_estimate():
    space = Spaces("x", gym.spaces.Box(-9, 9, (2,), np.float32), gym.spaces.Box(-1, 1, (1,), np.float32))
    continuous = Judged(ServedPolicy("c", space, GOOD))
    found = prove(continuous, continuous, CONFIG, traffic=traffic(10))
    assert [(f.part, f.decision) for f in found.findings] == [
        ("off_policy", "NOT_CHECKED"),
        ("forgetting", "NOT_CHECKED"),
    ]
    assert found.decision == "INCONCLUSIVE"


def test_illegal_actions_have_no_probability():
    logs = traffic(50)
    masks = np.zeros((50, 2), bool)
    masks[np.arange(50), logs.actions] = True
    legal = dataclasses.replace(logs, masks=masks, propensities=np.ones(50))
    found = prove(judged(GOOD, "g"), judged(BAD, "b"), ProofConfig(least_effective=10.0), traffic=legal)
    assert found.figures["off_policy"]["difference"]["value"] == 0.0  # neither had a choice


def test_nothing_to_check_is_no_pass():
    found = prove(judged(GOOD, "g"), judged(GOOD, "g2"), CONFIG)
    assert found.decision == "INCONCLUSIVE"
    assert Proof("a", "b", (), {}).reasons == ("nothing was checked",)


def test_forgetting_fails_and_names_the_bar():
    scores = np.array([[0.9, 0.5], [0.5, 0.9]])
    found = prove(judged(GOOD, "g"), judged(GOOD, "g2"), CONFIG, periods=Periods(scores, np.array([0.4, 0.4])))
    assert [(f.part, f.decision) for f in found.findings][-2:] == [("forgetting", "FAIL"), ("transfer", "PASS")]
    assert "BWT -0.400" in found.reasons[0]


def test_held_out_cases_are_compared_in_pairs():
    rng = np.random.default_rng(0)
    right = (rng.random(2_000) < 0.9).astype(float)
    worse = np.where(rng.random(2_000) < 0.1, 0.0, right)
    scores = np.full((2, 2), 0.9)
    for values, decision in ((right, "PASS"), (worse, "FAIL")):
        periods = Periods(scores, None, values, right)
        found = prove(judged(GOOD, "g"), judged(GOOD, "g2"), CONFIG, periods=periods)
        assert found.findings[-1] == Finding("held_out", decision, found.findings[-1].reason)


def test_turned_decisions_are_those_near_the_border():
    """Of a linear policy the worst change of size ε is known: it turns exactly |x₀| < ε."""
    obs = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    act = judged(GOOD, "g").act
    by_chance, by_gradient = robustness.turned_decisions(act, GOOD.gradients, obs, 0.1, 8, 5, 0)
    expected = np.abs(obs[:, 0]) < 0.1
    assert (by_gradient == expected).all()
    assert not (by_chance & ~expected).any()
    alone, none = robustness.turned_decisions(act, None, obs, 0.1, 8, 5, 0)
    assert none is None
    assert (alone == by_chance).all()


def test_a_candidate_that_small_changes_turn_fails():
    """Its border runs through all observations."""
    brittle = Linear([[0.05, -0.05], [9.0, -9.0]])
    logs = traffic(1_000)
    obs = logs.observations.copy()
    obs[:, 1] *= 0.004
    config = ProofConfig(epsilon=0.05, rows=1_000)
    found, finding = robustness.compare(
        (judged(brittle, "b").act, brittle.gradients), (judged(GOOD, "g").act, GOOD.gradients), obs, config
    )
    assert finding.decision == "FAIL"
    assert found.low < found.worst <= found.high
    value, low, high = found.difference
    assert low < value < high
    same, finding = robustness.compare(
        (judged(GOOD, "g").act, GOOD.gradients), (judged(GOOD, "g").act, GOOD.gradients), obs, config
    )
    assert finding.decision == "PASS"
    assert same.difference[0] == 0.0
