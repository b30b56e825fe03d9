"""A policy against a reference on the same seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.evidence import difference_bounds
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


@pytest.mark.parametrize("direction", ["better_than", "less_than"])
@given(
    factor=st.floats(0.1, 4.0),
    low=st.floats(0.0, 2.0),
    units=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=30),
)
def test_a_multiple_is_the_test_of_the_difference_to_it(direction, factor, low, units):
    high = low + 1
    policy, reference = low + np.array(units).T
    bounds = difference_bounds(low, high, factor)
    assume(bounds[0] < 0 < bounds[1])
    difference = policy - factor * reference
    assert bounds[0] - 1e-9 <= difference.min() <= difference.max() <= bounds[1] + 1e-9
    paired = decide_paired(policy, reference, 0.0, low, high, direction, factor=factor)
    plain = decide_mean(np.clip(difference, *bounds), 0.0, *bounds, direction=direction)
    assert (paired.decision, paired.decided_at, paired.interval) == (plain.decision, plain.decided_at, plain.interval)


def test_a_multiple_of_a_whole_set_is_decided_by_the_two_means():
    policy, reference = np.random.default_rng(2).uniform(0, 1, (2, 60))
    ratio = policy.mean() / reference.mean()
    for factor, decision in ((ratio * 0.999, "PASS"), (ratio * 1.001, "FAIL")):
        assert decide_paired(policy, reference, 0.0, 0, 1, population=60, factor=factor).decision == decision
        lower = decide_paired(policy, reference, 0.0, 0, 1, "less_than", population=60, factor=factor)
        assert lower.decision == {"PASS": "FAIL", "FAIL": "PASS"}[decision]


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
    with pytest.raises(InputError, match="outside the bounds"):
        decide_paired(np.ones(2), np.ones(2), 0.0, 1, 2, factor=3.0)  # 3 times what is at least 1 is never below 2
