"""The core of a roll-out: units and calls in, a decision out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.production.canary.evidence import (
    Calls,
    GuardEvidence,
    RewardEvidence,
    decide,
    looks,
    next_look,
    step_alpha,
)
from rl_eval.production.canary_config import RolloutConfig, StepConfig

DAY = 86_400.0


def rewards_of(config, values, challenger, share=0.5):
    evidence = RewardEvidence(config, share)
    evidence.add(np.array(values, float), np.array(challenger, bool))
    return evidence


def outcome(config, rewards, guards=None, elapsed=2 * DAY, state="canary", calls=100):
    return decide(config, state, rewards, guards or GuardEvidence(config), elapsed, calls)


def drawn(rates, units, share, seed=0):
    rng = np.random.default_rng(seed)
    challenger = rng.random(units) < share
    return (rng.random(units) < np.where(challenger, *rates)).astype(float), challenger


def test_a_challenger_with_seven_points_at_100_and_three_at_1_is_not_promoted_over_ten_at_1():
    """Kayenta's rank test passes it (spinnaker issue 6278)."""
    config = RolloutConfig(low=0.0, high=100.0, margin=5.0)
    values = [100.0] * 7 + [1.0] * 3 + [1.0] * 10
    decision = outcome(config, rewards_of(config, values, [True] * 10 + [False] * 10))
    assert (decision.verdict, decision.figure) == ("hold", "reward")
    assert "after 20 units" in decision.sentence
    # The other way round, where lower is better: costs as negative rewards
    costs = RolloutConfig(low=-100.0, high=0.0, margin=5.0)
    decision = outcome(costs, rewards_of(costs, [-value for value in values], [True] * 10 + [False] * 10))
    assert decision.verdict in ("hold", "roll_back")
    assert decision.figure == "reward"
    # The same twenty a hundred times over are evidence
    decision = outcome(costs, rewards_of(costs, [-value for value in values] * 100, ([True] * 10 + [False] * 10) * 100))
    assert (decision.verdict, decision.figure) == ("roll_back", "reward")


@pytest.mark.parametrize(
    ("failed", "count", "verdict"), [(3, 10, "hold"), (60, 100, "roll_back"), (400, 2000, "roll_back")]
)
def test_errors_where_the_champion_has_none_are_judged(failed, count, verdict):
    """Kayenta cannot (issue 799)."""
    config = RolloutConfig()
    rewards = rewards_of(config, *drawn((0.9, 0.5), 4_000, 0.5))
    assert outcome(config, rewards).verdict == "promote"
    guards = GuardEvidence(config)
    guards.add(Calls(count, failed, 0), Calls(9 * count, 0, 0), 0.1)
    decision = outcome(config, rewards, guards)
    assert (decision.verdict, decision.figure) == (verdict, "errors")
    assert f"{failed} of {count:,} by the challenger, 0 of {9 * count:,}" in decision.sentence
    slow = GuardEvidence(config)
    slow.add(Calls(count, 0, failed), Calls(9 * count, 0, 0), 0.1)
    assert (outcome(config, rewards, slow).verdict, outcome(config, rewards, slow).figure) == (verdict, "slow")


@pytest.mark.parametrize("elapsed", [0.0, 2 * DAY, 100 * DAY])
@pytest.mark.parametrize("state", ["shadow", "canary", "full"])
def test_no_traffic_is_hold_however_long_it_lasts(state, elapsed):
    config = RolloutConfig()
    rewards = RewardEvidence(config, 0.1) if state == "canary" else None
    decision = outcome(config, rewards, elapsed=elapsed, state=state, calls=0)
    assert (decision.verdict, decision.figure) == ("hold", "traffic")


def test_traffic_of_one_policy_alone_is_no_verdict():
    config = RolloutConfig()
    for first in (True, False):
        decision = outcome(config, rewards_of(config, [1.0] * 500, [first] * 500))
        assert (decision.verdict, decision.figure) == ("hold", "traffic")


def test_errors_roll_back_at_once_and_a_good_step_waits_for_its_time():
    config = RolloutConfig()
    rewards, guards = rewards_of(config, *drawn((0.9, 0.5), 4_000, 0.5)), GuardEvidence(config)
    early = outcome(config, rewards, guards, elapsed=0.0)
    assert (early.verdict, early.figure) == ("hold", "time")
    guards.add(Calls(500, 100, 0), Calls(500, 0, 0), 0.5)
    assert outcome(config, rewards, guards, elapsed=0.0).verdict == "roll_back"


def test_what_is_not_decided_by_step_max_is_rolled_back_and_says_so():
    config = RolloutConfig()
    rewards = rewards_of(config, *drawn((0.8, 0.8), 300, 0.5))
    assert outcome(config, rewards, elapsed=config.step.max - 1).verdict == "hold"
    decision = outcome(config, rewards, elapsed=config.step.max)
    assert (decision.verdict, decision.figure) == ("roll_back", "time")
    assert "without a decision (reward: not decided" in decision.sentence


def test_the_limit_of_units_is_a_hold_that_says_so():
    config = RolloutConfig(step=StepConfig(units=200))
    decision = outcome(config, rewards_of(config, *drawn((0.8, 0.8), 5_000, 0.5)))
    assert decision.verdict == "hold"
    assert "the limit of 200 units is reached" in decision.sentence


def test_missing_rewards_follow_the_rule():
    values = np.where(np.arange(2_000) % 2 == 0, np.nan, 1.0)  # half of the challenger's never come
    challenger = np.arange(2_000) % 4 < 2
    values[~challenger] = 0.9
    assert outcome(RolloutConfig(), rewards_of(RolloutConfig(), values, challenger)).verdict == "roll_back"
    left_out = RolloutConfig(missing="leave_out")
    evidence = rewards_of(left_out, values, challenger)
    assert outcome(left_out, evidence).verdict == "promote"
    assert evidence.missing == [500, 0]


def test_a_reward_outside_the_bounds_is_a_hold_that_names_it():
    config = RolloutConfig()
    decision = outcome(config, rewards_of(config, [1.0] * 50 + [3.0] + [0.0] * 50, [True, False] * 50 + [True]))
    assert (decision.verdict, decision.figure) == ("hold", "bounds")
    assert "a reward of 3 is outside [0, 1]" in decision.sentence


def test_a_challenger_that_becomes_worse_after_it_passed_is_not_promoted():
    config = RolloutConfig(step=StepConfig(units=20_000))
    evidence = rewards_of(config, *drawn((0.9, 0.5), 1_000, 0.5))
    assert outcome(config, evidence).verdict == "promote"
    evidence.add(*drawn((0.0, 0.9), 4_000, 0.5, seed=1))
    decision = outcome(config, evidence)
    assert decision.verdict == "hold"
    assert "has become so" in decision.sentence


@pytest.mark.verify
@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 700))
def test_how_units_are_handed_over_changes_nothing(seed, chunk):
    config = RolloutConfig()
    values, challenger = drawn((0.6, 0.8), 1_500, 0.3, seed)
    whole, parts = rewards_of(config, values, challenger, 0.3), RewardEvidence(config, 0.3)
    for start in range(0, 1_500, chunk):
        parts.add(values[start : start + chunk], challenger[start : start + chunk])
    assert (parts.test.decision, parts.test.decided_at) == (whole.test.decision, whole.test.decided_at)
    assert parts.decide() == whole.decide()


def test_looks_are_at_ten_units_and_then_at_each_twentieth_more():
    every = list(looks(0, 1_000))
    assert every[:4] == [10, 11, 12, 13]
    assert all(after == next_look(before) for before, after in itertools.pairwise(every))
    assert max(after / before for before, after in itertools.pairwise(every[20:])) <= 1.05
    assert list(looks(500, 500)) == [at for at in every if 500 < at <= 1_000]


def test_the_chance_of_a_false_rollback_is_split():
    config = RolloutConfig()
    assert step_alpha(config) * len(config.steps) + 2 * 0.1 * config.alpha == pytest.approx(config.alpha)


def test_what_waits_and_what_is_promoted_without_rewards_say_why():
    config = RolloutConfig(reward_window=60.0)
    waiting = outcome(config, RewardEvidence(config, 0.5))
    assert waiting.sentence.endswith("each does once it is as old as rollout.reward_window, 1 min 0 s")
    full = outcome(config, None, state="full", calls=1_342)
    assert (full.verdict, full.figure) == ("promote", "time")
    assert full.sentence == (
        "the step lasted step.min with 1,342 decisions of the challenger without more errors or slow answers than the "
        "margins allow"
    )
    early = outcome(config, None, state="full", calls=1_342, elapsed=0.0)
    assert early.sentence.startswith("step.min has not passed (1,342 decisions of the challenger without more errors")
