"""Testers in turn: sessions of their own, one memory, actions by role, and what would be without each of them."""

import numpy as np
import pytest
from pydantic import ValidationError

from rl_eval import domains
from rl_eval.domains.webtest.observation import PAGE_COLUMNS, C, P
from rl_eval.domains.webtest.page import ROLES, VALUES_OF
from rl_eval.rewards import RewardedVector, RewardFunction, RewardTerm

TESTERS = 3
STATE = PAGE_COLUMNS.index("state_number")


class NewState(RewardTerm):
    """1 for a new state."""

    range = 0.0, 1.0

    def __call__(self, outcome):
        return outcome["new_state"].astype(np.float32)


def make(part="train", n_envs=8, autoreset=True, **changes):
    config = domains.validate({"name": "webtest", "testers": TESTERS, "max_actions": 30, **changes})
    return domains.make(config, n_envs=n_envs, part=part, autoreset=autoreset)


def random_actions(mask, rng):
    return np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)


def play(vector, obs, infos, steps, seed=0):
    """The outcomes and observations of random legal actions."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(steps):
        obs, _, _, truncated, infos = vector.step(random_actions(infos["action_mask"], rng))
        rows.append((obs, infos["outcome"], truncated, infos))
    return rows


def test_they_act_in_turn_within_one_budget():
    vector = make()
    obs, infos = vector.reset(seed=3)
    assert obs.shape[1] == TESTERS + P + 24 * C
    assert obs in vector.observation_space
    for number, (seen, outcome, truncated, _) in enumerate(play(vector, obs, infos, 60), start=1):
        assert (seen[:, :TESTERS].argmax(axis=1) == number % TESTERS).all()
        assert (seen[:, :TESTERS].sum(axis=1) == 1).all()
        assert truncated.all() == truncated.any() == (number % 30 == 0)
        assert (outcome["episode_end"] == truncated).all()


def test_each_has_a_session_of_its_own_and_all_know_what_one_found():
    vector = make()
    obs, infos = vector.reset(seed=3)
    assert (obs[:, TESTERS + STATE] == 0).all()
    rows = play(vector, obs, infos, TESTERS - 1)
    for obs, *_ in rows:  # whoever acts next still stands on the first page
        assert (obs[:, TESTERS + STATE] == 0).all()
    rows = play(vector, rows[-1][0], rows[-1][3], 27)
    first = np.concatenate([row[1]["new_state"][None] for row in rows])
    states = np.stack([row[1]["state"] for row in rows])
    for copy in range(8):
        new = states[first[:, copy], copy]
        assert len(set(new)) == len(new)  # new for all of them, and once


def test_roles_decide_what_they_may_do():
    vector = make()
    obs, infos = vector.reset(seed=3)
    values = [ROLES.index(role) for role in VALUES_OF]
    rng, filled = np.random.default_rng(0), 0
    for number in range(60):
        turn = number % TESTERS
        roles = obs[:, TESTERS + P :].reshape(8, -1, C)[..., : len(ROLES)].argmax(axis=2)
        mask = infos["action_mask"]
        assert mask.any(axis=1).all()
        is_value = np.isin(roles, values)
        if turn == 0:
            assert not (mask & is_value).any()
        if turn == 1:
            may_work = (mask & (is_value | (roles == ROLES.index("submit")))).any(axis=1)
            assert not (mask & (roles == ROLES.index("link")))[may_work].any()
            filled += may_work.sum()
        obs, _, _, _, infos = vector.step(random_actions(mask, rng))
    assert filled


def test_without_one_of_them_another_finds_what_it_found():
    """Two testers open the same link of the first page, so either of them could be spared."""
    spared = 0
    for link in range(10):
        vector = make(n_envs=16)
        _, infos = vector.reset(seed=5)
        found, states = [], []
        for turn in range(TESTERS):
            mask = infos["action_mask"]
            action = np.where(mask[:, link] & (turn != 1), link, mask.argmax(axis=1))
            _, _, _, _, infos = vector.step(action)
            found.append(infos["outcome"]["new_state"].astype(int))
            states.append(infos["outcome"]["state"])
        without = np.array([np.sum([one["new_state"] for one in steps], axis=0) for steps in infos["outcomes_without"]])
        credit = np.sum(found, axis=0) - without
        same = (found[0] == 1) & (states[0] == states[2]) & (states[0] != states[1])
        np.testing.assert_array_equal(credit[0][same], 0)
        np.testing.assert_array_equal(credit[2][same], 0)
        assert (credit >= 0).all()
        spared += same.sum()
    assert spared


def test_a_round_in_which_nothing_is_shared_credits_each_with_its_own():
    vector = RewardedVector(make(n_envs=32), RewardFunction({"states": (1.0, NewState())}))
    _, infos = vector.reset(seed=[1])
    rng = np.random.default_rng(0)
    for _ in range(5):
        rewards, states = [], []
        for _ in range(TESTERS):
            _, reward_of_step, _, _, infos = vector.step(random_actions(infos["action_mask"], rng))
            rewards.append(reward_of_step)
            states.append(infos["outcome"]["state"])
        credit = np.sum(rewards, axis=0) - infos["rewards_without"]
        different = (np.diff(np.sort(states, axis=0), axis=0) != 0).all(axis=0)
        np.testing.assert_array_equal(credit[:, different], np.array(rewards)[:, different])
        assert (credit <= np.array(rewards)).all()


def test_counterfactuals_change_nothing_that_comes_after():
    training = make(n_envs=6)
    obs, infos = training.reset(seed=[4])
    judged = make(n_envs=6, autoreset=False)
    other, other_infos = judged.reset(seed=[int(episode) for episode in training._episode])
    np.testing.assert_array_equal(obs, other)
    rows, others = play(training, obs, infos, 29), play(judged, other, other_infos, 29)
    for (obs, outcome, _, _), (other, expected, _, _) in zip(rows, others, strict=True):
        np.testing.assert_array_equal(obs, other)
        for fact in outcome:
            np.testing.assert_array_equal(outcome[fact], expected[fact])


def test_state_comes_back():
    vector = make()
    obs, infos = vector.reset(seed=3)
    obs, _, _, infos = play(vector, obs, infos, 6)[-1]
    state = vector.get_state()
    expected = play(vector, obs, infos, 36, seed=1)
    other = make()
    other.reset(seed=9)
    other.set_state(state)
    for (seen, outcome, *_), (again, repeated, *_) in zip(expected, play(other, obs, infos, 36, seed=1), strict=True):
        np.testing.assert_array_equal(seen, again)
        np.testing.assert_array_equal(outcome["severity"], repeated["severity"])


def test_a_budget_that_ends_within_a_round_is_refused():
    with pytest.raises(ValidationError, match=r"max_actions=31 is not a multiple of testers=3.*use max_actions=30"):
        domains.domain("webtest").config_model(testers=3, max_actions=31)
