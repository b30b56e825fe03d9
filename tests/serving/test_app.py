"""The routes of the policy server, its refusals, and the schema that it publishes."""

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.serving.openapi import schema
from tests.serving.served_runs import OBS, client_of, live, observations


def select(client, **body):
    return client.post("/select_action", json={"observation": OBS, **body})


def test_a_decision_is_that_of_the_judged_policy(client):
    policy = client.server.source.policy.policy
    rows = observations(20)
    batch = select(client, observation=rows.tolist(), greedy=True).json()
    assert batch["action"] == policy.act(rows, True).tolist()
    assert batch["policy_version"] == client.get("/health").json()["policy_version"]
    single = select(client, observation=rows[0].tolist(), greedy=True).json()
    assert single["action"] == batch["action"][0]
    np.testing.assert_allclose(single["value"], policy.values(rows[:1])[0], rtol=1e-5)
    probabilities = client.post("/get_distribution", json={"observation": rows.tolist()}).json()["probabilities"]
    np.testing.assert_allclose(probabilities, policy.probabilities(rows), rtol=1e-5)
    np.testing.assert_allclose(batch["confidence"], np.max(probabilities, axis=1), rtol=1e-5)


def test_drawn_actions_come_with_the_probability_of_the_draw(client):
    answer = select(client, observation=[OBS] * 2000).json()
    distribution = client.post("/get_distribution", json={"observation": OBS}).json()["probabilities"]
    np.testing.assert_allclose(answer["probability"], np.take(distribution, answer["action"]), rtol=1e-5)
    assert abs(np.mean(answer["action"]) - distribution[1]) < 0.06  # five standard errors
    assert set(select(client, observation=[OBS] * 5, greedy=True).json()["probability"]) == {1.0}


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_illegal_actions_are_never_taken(runs, tmp_path, agent):
    with client_of(runs / agent, tmp_path / "folder") as client:
        for greedy in (True, False):
            masked = select(client, observation=[OBS] * 50, mask=[[False, True]] * 50, greedy=greedy).json()
            assert set(masked["action"]) == {1}
            assert set(masked["probability"]) == {1.0}
        distribution = client.post("/get_distribution", json={"observation": OBS, "mask": [True, False]}).json()
        assert distribution["probabilities"] == [1.0, 0.0]


def test_dqn_draws_as_often_at_random_as_its_training_did(runs, tmp_path):
    with client_of(runs / "dqn", tmp_path / "folder") as client:
        answer = client.post("/get_distribution", json={"observation": OBS}).json()
        assert answer["probabilities"] == [0.5, 0.5]  # its training had just begun
        assert len(answer["action_values"]) == 2
        assert select(client, greedy=True).json()["action"] == int(np.argmax(answer["action_values"]))


@pytest.mark.parametrize("agent", ["ppo", "dqn", "box"])
def test_draws_follow_from_a_seed(runs, tmp_path, agent):
    """To the last bit, whatever else is asked at the same time, and from none where none is given."""
    with client_of(runs / agent, tmp_path / "folder") as client:
        rows = observations(30, 3 if agent == "box" else 4).tolist()

        def draw(**body):
            answer = client.post("/select_action", json={"observation": rows, **body}).json()
            return answer["action"], answer["probability"]

        async def together():
            bodies = [{"observation": rows, **({} if i == 2 else {"seed": i})} for i in range(5)]
            answers = await asyncio.gather(*(client.client.post("/select_action", json=body) for body in bodies))
            return [(answer.json()["action"], answer.json()["probability"]) for answer in answers]

        first = client.run(together())
        assert first[1] == draw(seed=1) == draw(seed=1, record=False)
        assert first[4] == draw(seed=4) != first[1]
        assert draw() != draw()
        assert draw(greedy=True, seed=1) == draw(greedy=True, record=False)


def test_a_policy_that_fails_on_one_request_answers_the_others(runs, tmp_path, monkeypatch):
    """Also where it takes greedy and drawn decisions apart, as a policy of other code does."""

    class Foreign:
        def act(self, obs, greedy, mask=None, episode_start=None):
            if (obs > 100).any():
                raise InputError("the graph fails")
            return np.full(len(obs), int(greedy))

    with client_of(runs / "ppo", tmp_path / "folder") as client:
        client.server.policy = replace(client.server.policy, policy=Foreign())

        async def together():
            bodies = [{"observation": OBS, "greedy": i % 2 == 0} for i in range(6)]
            bodies.insert(3, {"observation": [1000.0] * 4})
            return await asyncio.gather(*(client.client.post("/select_action", json=body) for body in bodies))

        answers = client.run(together())
        assert [answer.status_code for answer in answers] == [200, 200, 200, 422, 200, 200, 200]
        assert [a.json()["action"] for a in answers if a.status_code == 200] == [1, 0, 1, 0, 1, 0]
        assert answers[3].json()["detail"] == "the graph fails"
        assert client.get("/stats").json()["decisions"] == 6


@pytest.mark.parametrize("output", [np.nan, np.inf])
def test_an_observation_that_is_too_large_for_the_network_is_refused(client, output):
    class Overflowing:
        log_std = np.zeros(1, np.float32)

        def outputs(self, obs, mask=None, *, exact=False):
            return np.where(obs[:, :2] > 100, np.float32(output), 0.0), np.zeros(len(obs), np.float32)

    client.server.policy = replace(client.server.policy, policy=Overflowing())
    for route in ("/select_action", "/get_distribution", "/invocations"):
        key = "inputs" if route == "/invocations" else "observation"
        answer = client.post(route, json={key: [OBS, [1e30] * 4]})
        assert answer.status_code == 422
        assert "finite" in answer.json()["detail"]
        assert client.post(route, json={key: [OBS]}).status_code == 200
    assert client.get("/stats").json()["decisions"] == 1


def test_experience_by_decision_is_stored_once(client):
    body = {"decision_id": select(client).json()["decision_id"], "reward": 1.5, "done": True}
    first, again = (client.post("/store_experience", json=body) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    other = client.post("/store_experience", json={**body, "reward": 2.0})
    assert other.status_code == 409
    assert client.get("/stats").json()["experiences"] == 1


def test_a_whole_transition_is_stored_once_under_an_id_of_the_client(client):
    body = {"decision_id": "mine-1", "observation": OBS, "action": 1, "reward": 1.0, "done": True}
    assert client.post("/store_experience", json=body).json() == {"decision_id": "mine-1", "stored": True}
    assert client.post("/store_experience", json=body).status_code == 200
    assert client.post("/store_experience", json={**body, "action": 0}).status_code == 409
    assert client.post("/store_experience", json={**body, "reward": 0.0}).status_code == 409
    assert client.get("/stats").json()["experiences"] == 1


@pytest.mark.parametrize("change", [{"unit": "b"}, {"policy_version": "0" * 16}])
def test_an_experience_of_another_unit_or_version_than_its_decision_is_refused(client, change):
    decided = client.post("/select_action", json={"observation": OBS, "unit": "a"}).json()
    body = {"decision_id": decided["decision_id"], "reward": 1.0, "done": True}
    assert client.post("/store_experience", json={**body, **change}).status_code == 409
    same = {**body, "unit": "a", "policy_version": decided["policy_version"]}
    assert client.post("/store_experience", json=same).status_code == 200


REFUSED = {
    "no observation": ("/select_action", {}, 422),
    "two kinds of observation": ("/select_action", {"observation": OBS, "embedding": OBS}, 422),
    "another width": ("/select_action", {"observation": [1.0, 2.0]}, 422),
    "three dimensions": ("/select_action", {"observation": [[OBS]]}, 422),
    "a text without encoder": ("/select_action", {"prompt": "hello"}, 422),
    "an encoder of embeddings": ("/select_action", {"embedding": OBS, "encoder": "other"}, 409),
    "a mask of another width": ("/select_action", {"observation": OBS, "mask": [True]}, 422),
    "a mask without legal action": ("/select_action", {"observation": OBS, "mask": [False, False]}, 422),
    "a seed below 0": ("/select_action", {"observation": OBS, "seed": -1}, 422),
    "a seed that is no number": ("/select_action", {"observation": OBS, "seed": 0.5}, 422),
    "a batch too large": ("/select_action", {"observation": [OBS] * 4097}, 422),
    "another number of units": ("/select_action", {"observation": [OBS] * 3, "unit": ["a"]}, 422),
    "an unknown key": ("/select_action", {"observation": OBS, "greddy": True}, 422),
    "an unknown decision": ("/store_experience", {"decision_id": "1-abc", "reward": 1.0, "done": True}, 404),
    "no decision": ("/store_experience", {"reward": 1.0, "done": True}, 404),
    "a reward that is no number": ("/store_experience", {"decision_id": "1-a", "reward": "1", "done": True}, 422),
    "an illegal action": ("/store_experience", {"observation": OBS, "action": 2, "reward": 1, "done": True}, 422),
    "an id that is none": ("/store_experience", {"decision_id": "../1", "reward": 1.0, "done": True}, 422),
    "no future": ("/store_experience", {"observation": OBS, "action": 1, "reward": 1, "done": False}, 422),
    "truncated but not done": (
        "/store_experience", {"observation": OBS, "action": 1, "reward": 1, "done": False, "truncated": True}, 422,
    ),
    "a path to load": ("/load", {"name": "/etc/passwd"}, 422),
    "a path upwards": ("/load", {"name": ".."}, 422),
    "a name that is not there": ("/load", {"name": "absent"}, 404),
    "no name": ("/save", {}, 422),
    "a list": ("/update", [], 422),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status"), REFUSED.values(), ids=REFUSED)
def test_bad_bodies_are_one_sentence(client, path, body, status):
    answer = client.post(path, json=body)
    assert answer.status_code == status
    (detail,) = answer.json().values()
    assert isinstance(detail, str)
    assert detail
    assert "\n" not in detail
    assert client.get("/stats").json()["experiences"] == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e39", "1e999", "null", '"1"', "true", "[1]"])
def test_numbers_are_finite(client, number):
    row = f"[{number}, 0, 0, 0]" if number != "true" else "[true, true, true, true]"
    answer = client.post("/select_action", content=f'{{"observation": {row}}}')
    assert answer.status_code == 422


def test_the_schema_has_every_route_and_every_body(client):
    published = client.get("/openapi.json").json()
    assert published == json.loads(json.dumps(schema()))
    for path in ("/select_action", "/get_distribution", "/store_experience", "/update", "/save", "/load"):
        content = published["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert content["$ref"].rpartition("/")[2] in published["components"]["schemas"]
    assert {"/health", "/stats", "/metrics"} <= published["paths"].keys()


def test_metrics_are_prometheus_text(client):
    live(client, 3)
    text = client.get("/metrics").text
    assert 'rl_eval_requests_total{path="/select_action",status="200"} 3.0' in text
    assert "rl_eval_experiences_total 3.0" in text
    assert 'rl_eval_request_seconds_bucket{le="+Inf",path="/select_action"} 3.0' in text


def test_unknown_paths_and_methods_are_one_sentence(client):
    assert client.get("/nothing").status_code == 404
    assert client.get("/select_action").status_code == 405
    assert isinstance(client.get("/nothing").json()["detail"], str)
