"""A policy against a reference on the same seeds."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.errors import InputError
from tests.evidence.decisions import decide_mean, decide_paired
from tests.evidence.simulated_policies import HIGH, LOW, pairs


def test_it_is_the_test_of_the_difference():
    policy, reference = (returns[0] for returns in pairs(np.random.default_rng(0), 1, 300, gain=60.0))
    paired = decide_paired(policy, reference, 10.0, LOW, HIGH)
    plain = decide_mean(policy - reference, 10.0, LOW - HIGH, HIGH - LOW)
    assert (paired.decision, paired.decided_at, paired.interval) == (plain.decision, plain.decided_at, plain.interval)
    assert paired.decision == "PASS"


def test_a_policy_is_not_better_than_itself_even_over_a_whole_set():
    returns = np.random.default_rng(1).uniform(0, 1, 50)
    assert decide_paired(returns, returns, 0.0, 0, 1, population=50).decision == "FAIL"
    assert decide_paired(returns, returns, 0.0, 0, 1, direction="at_least", population=50).decision == "PASS"
    assert decide_paired(returns, returns, 0.0, 0, 1).decision == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("who", "value", "forbidden"),
    [("policy", -1.0, "PASS"), ("policy", 2.0, "FAIL"), ("reference", 2.0, "PASS"), ("reference", -1.0, "FAIL")],
)
def test_either_return_past_its_bound_forbids(who, value, forbidden):
    returns = {"policy": np.full(9, 0.6), "reference": np.full(9, 0.5)}
    returns[who][4] = value
    decision = decide_paired(returns["policy"], returns["reference"], 0.0, 0, 1)
    assert decision.forbids == {forbidden}
    assert f"unit 5 of the {who} has {value:g}" in decision.message
    assert f"bound {0 if value < 0 else 1}" in decision.message


def test_a_policy_that_always_wins_needs_few_seeds():
    decision = decide_paired(np.ones(40), np.zeros(40), 0.0, 0, 1)
    assert decision.decision == "PASS"
    assert decision.decided_at < 12


def test_unequal_or_broken_returns_are_errors():
    with pytest.raises(InputError, match="3 policy returns and 2 reference returns"):
        decide_paired(np.zeros(3), np.zeros(2), 0.0, 0, 1)
    with pytest.raises(InputError, match="reference returns are not finite"):
        decide_paired(np.zeros(2), np.array([0, np.inf]), 0.0, 0, 1)
    with pytest.raises(InputError, match="no policy return"):
        decide_paired(np.zeros(0), np.zeros(0), 0.0, 0, 1)
    with pytest.raises(InputError, match="outside the bounds"):
        decide_paired(np.zeros(2), np.zeros(2), 5.0, 0, 1)
