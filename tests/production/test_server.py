"""The production server: sticky arms, propensities of the moment, shadow, rewards and refusals."""

import numpy as np
import pytest

from rl_eval.production.canary.calls import read_calls
from rl_eval.production.records import LoggedReward, encode
from tests.production.served import OBS, Loop


def canary(share, challenger=2, shadow=False):
    """The row of a roll-out."""
    return {"state": "shadow" if shadow else "canary", "share": share, "shadow": shadow, "challenger": challenger}


@pytest.fixture
def loop(runs, tmp_path):
    loop = Loop(tmp_path, runs)
    yield loop
    loop.close()


def test_decisions_and_rewards_become_experience_with_the_propensity_of_the_moment(loop):
    answers = [loop.decide([0.1 * i, 0.2, 0.3, 0.4], unit=f"u{i % 3}") for i in range(6)]
    for number, answer in enumerate(answers):
        body = {"decision_id": answer["decision_id"], "reward": float(number), "done": True}
        assert loop.post("/store_experience", **body).json()["stored"]
    loop.collect()
    experience = {one.decision.decision_id: one for one in loop.store.accepted()}
    assert len(experience) == 6
    for number, answer in enumerate(answers):
        one = experience[answer["decision_id"]]
        assert one.decision.propensity == answer["probability"]
        assert one.decision.confidence == answer["confidence"]
        assert one.decision.value == answer["value"]
        assert one.decision.version == answer["policy_version"] == "1"
        assert np.frombuffer(one.decision.action, np.int64)[0] == answer["action"]
        kept = np.frombuffer(one.decision.observation, np.float32)
        assert kept.tolist() == pytest.approx([0.1 * number, 0.2, 0.3, 0.4])
        assert one.reward.reward == float(number)


def test_units_stay_with_their_version_while_the_share_grows_on_every_server(runs, tmp_path):
    loop = Loop(tmp_path, runs, challenger=2, rollout=canary(0.3))
    other = Loop(tmp_path, runs, challenger=2)  # a second server of the same store
    try:
        units = [f"unit{i}" for i in range(60)]
        first = [loop.decide(unit=unit)["policy_version"] for unit in units]
        assert 5 < first.count("2") < 32
        assert [other.decide(unit=unit)["policy_version"] for unit in units] == first
        batch = loop.decide([OBS] * 60, unit=units)
        assert batch["policy_version"] == first
        loop.roll_out(**canary(0.7))
        second = [loop.decide(unit=unit)["policy_version"] for unit in units]
        assert all(after == "2" for before, after in zip(first, second, strict=True) if before == "2")
        assert second.count("2") > first.count("2")
        loop.roll_out(**canary(1.0))
        assert {loop.decide(unit=unit)["policy_version"] for unit in units} == {"2"}
        loop.registry.write(loop.runs, champion=1)  # rolled back: one alias less
        loop.follower.look()
        assert {loop.decide(unit=unit)["policy_version"] for unit in units} == {"1"}
    finally:
        other.close()
        loop.close()


def test_a_batch_of_both_arms_has_each_row_of_its_own_version(runs, tmp_path):
    loop = Loop(tmp_path, runs, challenger=2, rollout=canary(0.5))
    try:
        rows = np.random.default_rng(0).standard_normal((40, 4)).round(3).tolist()
        batch = loop.decide(rows, unit=[f"u{i}" for i in range(40)], greedy=True)
        assert set(batch["policy_version"]) == {"1", "2"}
        arms = loop.server.arms
        for row, version, value in zip(rows, batch["policy_version"], batch["value"], strict=True):
            arm = arms.champion if version == "1" else arms.challenger
            expected = arm.served.decide(np.array([row], np.float32), np.array([True]), None, np.random.default_rng(0))
            assert value == pytest.approx(float(expected.values[0]), abs=1e-5)
        loop.collect()
        versions = {one.decision_id: one.version for one in loop.store.outcomes()}
        assert [versions[one] for one in batch["decision_id"]] == batch["policy_version"]
    finally:
        loop.close()


def test_a_shadow_decides_beside_the_champion_and_nobody_acts_on_it(runs, tmp_path):
    loop = Loop(tmp_path, runs, challenger=2, rollout=canary(0.0, shadow=True))
    try:
        answers = [loop.decide(unit=f"u{i}") for i in range(5)]
        assert {answer["policy_version"] for answer in answers} == {"1"}
        loop.collect()
        outcomes = loop.store.outcomes()
        assert sum(one.shadow for one in outcomes) == 5
        assert {one.version for one in outcomes if one.shadow} == {"2"}
        assert {one.decision_id for one in outcomes if one.shadow} == {f"{a['decision_id']}~shadow" for a in answers}
    finally:
        loop.close()


@pytest.mark.parametrize("shadow", [False, True])
def test_a_challenger_that_fails_is_counted_and_the_champion_decides(runs, tmp_path, monkeypatch, shadow):
    loop = Loop(tmp_path, runs, challenger=2, rollout=canary(0.0 if shadow else 1.0, shadow=shadow))
    try:
        broken, kind = loop.server.arms.challenger.served.policy, type(loop.server.arms.challenger.served.policy)
        real = kind.outputs

        def outputs(policy, *arguments, **options):
            assert policy is not broken
            return real(policy, *arguments, **options)

        monkeypatch.setattr(kind, "outputs", outputs)
        assert loop.decide(unit="a")["policy_version"] == "1"
        assert loop.decide([OBS, OBS], unit=["a", "b"])["policy_version"] == "1"
        assert loop.server.arm_counts["2"].errors == 3
        assert loop.server.arm_counts["1"].errors == 0
        loop.follower.look()
        assert read_calls(loop.store)["2"].failed == 3
    finally:
        loop.close()


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"decision_id": "made-up", "reward": 1.0, "done": True}, 404, "of no decision of these servers"),
        ({"reward": 1.0, "done": True}, 422, "the decision was not recorded"),
        ({"decision_id": None, "reward": 1.0, "done": True}, 422, "the decision was not recorded"),
        ({"decision_id": "own", "reward": 2e6, "done": True}, 422, "outside quality.reward, -1e+06 to 1e+06"),
        ({"decision_id": "own", "reward": 1.0, "done": False, "truncated": True}, 422, "truncated needs done"),
        ({"decision_id": "own", "reward": 1.0, "done": True, "truncated": True}, 422, "next_observation is missing"),
        ({"decision_id": "own", "reward": 1.0, "done": True, "action": 1}, 422, "leave them out"),
        ({"decision_id": "own", "reward": 1.0, "done": False, "next_observation": [1.0]}, 422, "shape"),
        ({"decision_id": "own", "reward": 1e13, "done": True}, 422, "reward"),
    ],
)  # fmt: skip
def test_rewards_that_do_not_fit_are_refused(loop, body, status, sentence):
    if body.get("decision_id") == "own":
        body = {**body, "decision_id": loop.decide()["decision_id"]}
    answer = loop.post("/store_experience", **body)
    assert (answer.status_code, sentence in answer.json()["detail"]) == (status, True), answer.text
    assert loop.queue.waiting()[0] <= 1


def test_rewards_that_are_refused_at_once_are_counted(loop):
    own = loop.decide()["decision_id"]
    for decision_id, reward in ((None, 1.0), ("nobodys", 1.0), (own, 2e6), (own, -2e6)):
        loop.post("/store_experience", decision_id=decision_id, reward=reward, done=True)
    for body in (
        {"action": 1}, {"truncated": True}, {"done": "perhaps"}, {"next_observation": [1.0]}, {"encoder": "another"},
        {"no such key": 1},
    ):  # fmt: skip
        answer = loop.post("/store_experience", **{"decision_id": own, "reward": 1.0, "done": True, **body})
        assert 400 < answer.status_code < 500, body
    text = loop.get("/metrics").text
    for reason, count in (("not_recorded", 1), ("unknown_decision", 1), ("range", 2), ("schema", 6)):
        assert f'rl_eval_production_refused_rewards_total{{reason="{reason}"}} {count}.0' in text


def test_rewards_late_repeated_and_out_of_order(runs, tmp_path):
    loop = Loop(tmp_path, runs, quality={"max_age": 60})
    try:
        early, late, twice = (loop.decide()["decision_id"] for _ in range(3))
        now = loop.collector._clock.now()
        loop.queue.put([encode([LoggedReward(early, 1.0, now, True, False)])])
        loop.queue.put([encode([LoggedReward(late, 1.0, now + 3600, True, False)])])
        for _ in range(2):
            assert loop.post("/store_experience", decision_id=twice, reward=1.0, done=True).status_code == 200
        loop.queue.put([encode([LoggedReward("nobody-made-this", 1.0, now, True, False)]), b"no message of ours"])
        loop.collect()
        assert sorted(one.decision.decision_id for one in loop.store.accepted()) == sorted([early, twice])
        counts = loop.store.counts()
        assert counts["refused.late"] == counts["duplicates"] == 1
        assert loop.collector.counts["refused.message"] == 1
        assert loop.store.remove_orphans(0, now + 3600) == 1
    finally:
        loop.close()


def test_continuous_actions_are_kept_as_they_were_drawn(runs, tmp_path):
    loop = Loop(tmp_path, runs, champion=3)
    try:
        answer = loop.decide([0.1, 0.2, 0.3])
        body = {"decision_id": answer["decision_id"], "reward": 1.0, "done": True}
        assert loop.post("/store_experience", **body).status_code == 200
        loop.collect()
        (one,) = loop.store.accepted()
        assert one.decision.propensity > 0
        assert np.frombuffer(one.decision.action, np.float32).shape == (1,)
    finally:
        loop.close()


def test_metrics_and_distribution(loop):
    loop.live(3, unit="a")
    loop.collect()
    loop.follower._counted = float("-inf")
    loop.follower.look()
    text = loop.get("/metrics").text
    for line in (
        'rl_eval_production_decisions_total{version="1"} 3.0',
        'rl_eval_production_collected_total{what="accepted"} 3.0',
        "rl_eval_production_rewards_total 3.0", "rl_eval_production_queue_messages 0.0",
    ):  # fmt: skip
        assert line in text
    probabilities = loop.post("/get_distribution", observation=OBS).json()["probabilities"]
    assert sum(probabilities) == pytest.approx(1)


def test_a_server_without_a_version_does_not_say_that_versions_stay(runs, tmp_path, caplog):
    loop = Loop(tmp_path, runs, privacy={"features": {"99": {"action": "drop"}}})
    loop.close()
    (said,) = (message for message in caplog.messages if "'99'" in message)
    assert said.startswith("no version is served: privacy.features: there is no feature '99'")
