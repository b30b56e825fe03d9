"""The quality filter: each thing that is wrong has its one reason, and what is right is accepted."""

import dataclasses
import json

import numpy as np
import pytest

from rl_eval.production.collection_config import QualityConfig
from rl_eval.production.quality import REASONS, QualityFilter, Shapes
from rl_eval.production.records import LoggedDecision, LoggedReward
from rl_eval.production.store import Pair

SHAPES = Shapes(observation=2, actions=3)


def pair(observation=(1.0, 2.0), action=1, reward=0.5, at=1000.0, reward_at=1001.0, **changes):
    decision = {
        "decision_id": "d", "at": at, "unit": None, "version": "5",
        "observation": np.asarray(observation, np.float32).tobytes(), "mask": None,
        "action": np.int64(action).tobytes(), "propensity": 0.5, "confidence": 0.5, "value": None,
    }  # fmt: skip
    followed = {"reward": reward, "at": reward_at, "terminated": True, "truncated": False}
    names = {field.name for field in dataclasses.fields(LoggedReward)}
    followed |= {key: value for key, value in changes.items() if key in names}
    decision |= {key: value for key, value in changes.items() if key not in names}
    return Pair(LoggedDecision(**decision), LoggedReward(decision["decision_id"], **followed))


def judge(*pairs, **config):
    return QualityFilter(QualityConfig(**config), SHAPES).judge(list(pairs), [[]] * len(pairs))


FLOATS = np.array([1, 2], np.float32).tobytes()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"propensity": 1.0}, None),
        ({"mask": b"\1\1\0", "next_observation": FLOATS, "terminated": False, "next_mask": b"\0\0\1"}, None),
        ({"observation": (1.0,)}, "schema"),
        ({"action": 3}, "schema"),
        ({"action": -1}, "schema"),
        ({"mask": b"\1\0\1"}, "schema"),  # the action was not legal
        ({"mask": b"\1\1"}, "schema"),
        ({"mask": b"\1\1\2"}, "schema"),
        ({"mask": b"\0\0\0"}, "schema"),
        ({"next_observation": b"1234"}, "schema"),
        ({"truncated": True}, "schema"),
        ({"observation": (np.nan, 0.0)}, "finite"),
        ({"observation": (np.inf, 0.0)}, "finite"),
        ({"next_observation": np.array([np.nan, 0], np.float32).tobytes()}, "finite"),
        ({"observation": (2e6, 0.0)}, "range"),
        ({"reward": 2e6}, "range"),
        ({"propensity": 0.0}, "propensity"),
        ({"propensity": -0.1}, "propensity"),
        ({"propensity": 1.5}, "propensity"),
        ({"propensity": None}, "propensity"),
        ({"reward_at": 1000.0 + 8 * 86_400}, "late"),
    ],
)
def test_each_fault_has_its_reason(changed, reason):
    assert judge(pair(**changed)) == [reason]
    assert reason is None or reason in REASONS


def test_versions_that_were_active_last_are_accepted():
    old, new, newest = (pair(version=name, at=at) for name, at in (("1", 1.0), ("2", 500.0), ("3", 900.0)))
    assert judge(old, new, newest, versions=2, shift=None) == ["stale", None, None]
    # After a rollback, the earlier version is the one that is active.
    again = pair(version="1", at=1000.0)
    assert judge(old, new, newest, again, versions=2, shift=None) == [None, "stale", None, None]


def test_a_feature_far_from_the_reference_is_refused_and_named_once(caplog):
    rng = np.random.default_rng(0)
    filter_ = QualityFilter(QualityConfig(features=["age", "income"], reference=200, shift=6.0), SHAPES)
    ordinary = [pair(rng.standard_normal(2)) for _ in range(400)]
    assert set(filter_.judge(ordinary, [[]] * 400)) == {None}
    assert filter_.judge([pair((0.0, 9.0)), pair((0.0, -9.0)), pair((0.0, 1.0))], [[]] * 3) == ["shift", "shift", None]
    assert caplog.text.count("distribution shift: income") == 1
    assert "age" not in caplog.text
    assert max(filter_.drift().values()) < 0.3
    filter_.judge([pair((3.0, 0.0)) for _ in range(600)], [[]] * 600)
    assert filter_.drift()["age"] > 2
    assert filter_.drift()["income"] < 0.3


def test_it_goes_on_from_its_state():
    rng = np.random.default_rng(0)
    pairs = [pair(rng.standard_normal(2)) for _ in range(100)]
    config = QualityConfig(reference=50, shift=4.0)
    whole = QualityFilter(config, SHAPES)
    whole.judge(pairs[:60], [[]] * 60)
    other = QualityFilter(config, SHAPES, json.loads(json.dumps(whole.state)))
    rest = [*pairs[60:], pair((50.0, 0.0))]
    assert other.judge(rest, [[]] * 41) == whole.judge(rest, [[]] * 41)
    assert np.allclose(whole._mean, np.mean([np.frombuffer(p.decision.observation, np.float32) for p in pairs[:50]], 0))


def test_equal_observations_with_other_rewards_conflict_where_that_is_asked():
    first, second = pair(reward=0.5), pair(reward=0.7)
    assert judge(first, second) == [None, None]
    assert judge(first, second, conflicts="refuse") == [None, "conflict"]
    assert judge(first, pair(reward=0.7, action=2), conflicts="refuse") == [None, None]
    stored = QualityFilter(QualityConfig(conflicts="refuse"), SHAPES)
    assert stored.judge([first, first], [[0.5], [0.1]]) == [None, "conflict"]


def test_continuous_actions():
    filter_ = QualityFilter(QualityConfig(), Shapes(observation=2, actions=None, action=2))

    def continuous(values, **changes):
        made = pair(**changes)
        action = np.asarray(values, np.float32).tobytes()
        return Pair(dataclasses.replace(made.decision, action=action), made.reward)

    pairs = [
        continuous((0.1, 0.2), propensity=3.0),
        continuous((0.1,)),
        continuous((np.nan, 0.0)),
        continuous((0.1, 0.2), propensity=0.0),
    ]
    assert filter_.judge(pairs, [[]] * 4) == [None, "schema", "finite", "propensity"]
