"""Accepted experience as transitions: order, what follows, and what is left out."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from rl_eval.production.records import LoggedDecision, LoggedReward
from rl_eval.production.transitions import logged_traffic, transitions


def accepted(seq, at, unit="u", *, propensity=0.5, shadow=False, terminated=False, following=None):
    obs = np.full(2, float(at), np.float32).tobytes()
    name = f"d{seq}"
    decision = LoggedDecision(
        name, float(at), unit, "v1", obs, None, np.int64(seq % 3).tobytes(), propensity, 0.7, 0.0, shadow
    )
    reward = LoggedReward(name, float(seq), float(at) + 1, terminated, False, following)
    return SimpleNamespace(seq=seq, decision=decision, reward=reward)


def test_what_follows_is_the_units_next_decision_whatever_the_order_of_acceptance():
    rows = [accepted(3, 30.0, terminated=True), accepted(1, 10.0), accepted(2, 20.0), accepted(4, 15.0, unit="other")]
    found = transitions(rows)
    assert [row.seq for row in found] == [1, 2, 3]  # the other unit's step goes on, nobody knows where
    assert [np.frombuffer(row.experience.next_observation, np.float32)[0] for row in found[:2]] == [20.0, 30.0]
    assert found[2].experience.next_observation is None
    assert found[0].decision.log_prob == pytest.approx(np.log(0.5))


def test_what_was_sent_with_the_reward_comes_first():
    sent = np.full(2, -1.0, np.float32).tobytes()
    found = transitions([accepted(1, 10.0, following=sent), accepted(2, 20.0, terminated=True)])
    assert found[0].experience.next_observation == sent


def test_shadow_decisions_and_those_without_propensity_are_left_out():
    rows = [accepted(1, 1.0, terminated=True, shadow=True), accepted(2, 2.0, terminated=True, propensity=None)]
    assert transitions(rows) == []
    rows.append(accepted(3, 3.0, terminated=True))
    found = logged_traffic(rows)
    assert (found.actions.tolist(), found.rewards.tolist(), found.propensities.tolist()) == ([0], [3.0], [0.5])
    assert found.observations.shape == (1, 2)


def test_a_shadow_decision_is_no_next_one():
    rows = [accepted(1, 10.0), accepted(2, 15.0, shadow=True), accepted(3, 20.0, terminated=True)]
    assert np.frombuffer(transitions(rows)[0].experience.next_observation, np.float32)[0] == 20.0


def test_masks_of_logged_traffic_are_whole_where_a_decision_has_none():
    rows = [accepted(1, 1.0, terminated=True), accepted(2, 2.0, terminated=True)]
    assert logged_traffic(rows).masks is None
    rows[1].decision = dataclasses.replace(rows[1].decision, mask=b"\0\1\1")
    assert logged_traffic(rows).masks.tolist() == [[True, True, True], [False, True, True]]
