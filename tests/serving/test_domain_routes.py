"""What a domain offers to the server: texts as observations with the identity of their encoder, and its own routes."""

import asyncio
import json
import re
import threading
from typing import Literal

import numpy as np
import pytest
import yaml
from fastapi import APIRouter
from pydantic import BaseModel

from rl_eval import domains
from rl_eval.domains import Domain, EnvConfig
from rl_eval.domains.text import TextObserver
from rl_eval.errors import InputError
from rl_eval.serving.openapi import schema
from tests.serving.served_runs import AGENTS, OBS, client_of, write_run

NAME = "letters"
UNIT = [0.5, 0.5, 0.5, 0.5]  # an embedding has length 1
IDENTITY = "letters 1 (0123456789abcdef)"


class Letters(TextObserver):
    """A text as the counts of four letters; a text without any of them cannot be read.

    A task is added to the third count, and the number of actions so far to the fourth.
    """

    identity = IDENTITY
    width = 4

    def observe(self, text, *, task=None, applied=(), embedding=None):
        counts = np.array([text.count(letter) for letter in "abcd"], np.float32)
        if not counts.any():
            raise InputError("the text has none of the letters a to d: write one of them")
        mask = counts[:2] > 0 if counts[:2].any() else None
        return (counts if embedding is None else embedding) + np.float32([0, 0, len(task or ""), len(applied)]), mask

    def observe_embeddings(self, embeddings):
        if (embeddings < 0).any():
            raise InputError("an embedding below 0 needs prompt beside it")
        return embeddings


class Doubled(BaseModel):
    text: str


class Strict(BaseModel, extra="forbid"):
    text: str


class LettersConfig(EnvConfig):
    name: Literal["letters"] = "letters"


class LettersDomain(Domain):
    name = NAME
    config_model = LettersConfig

    def make(self, config, *, n_envs, part, autoreset=True):
        raise AssertionError("the server steps no environment")

    def action_names(self, config):
        return ("left", "right")

    def text_observer(self, config, preprocessing):
        return Letters()

    def routes(self, config, preprocessing):
        router = APIRouter()

        @router.post("/double", response_model=Doubled)
        async def double(body: Doubled):
            if not body.text:
                raise InputError("text is empty: give some")
            return Doubled(text=body.text * 2)

        @router.post("/strict")
        async def strict(body: Strict):
            return {}

        return router


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A run of the domain, with the weights of one of CartPole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domains.DOMAINS, "_registered", dict(domains.DOMAINS._registered))
        domain = domains.register(LettersDomain())
        path = tmp_path_factory.mktemp("letters") / "run"
        write_run(path, AGENTS["ppo"], env=NAME)
        config = yaml.safe_load((path / "config.yaml").read_text())
        config["env"] = domain.config_model().model_dump(mode="json")
        (path / "config.yaml").write_text(yaml.safe_dump(config))
        yield path


@pytest.fixture
def client(letters, tmp_path):
    with client_of(letters, tmp_path / "folder") as client:
        yield client


def test_texts_are_observed_by_the_domain(client):
    health = client.get("/health").json()
    assert health["encoder"] == IDENTITY
    assert health["action_names"] == ["left", "right"]
    by_text = client.post("/select_action", json={"prompt": "abba c", "greedy": True}).json()
    by_numbers = client.post("/select_action", json={"observation": [2, 2, 1, 0], "greedy": True}).json()
    embedded = {"embedding": UNIT, "encoder": IDENTITY, "greedy": True}
    by_embedding = client.post("/select_action", json=embedded).json()
    by_its_numbers = client.post("/select_action", json={"observation": UNIT, "greedy": True}).json()
    assert by_text["value"] == by_numbers["value"]
    assert by_embedding["value"] == by_its_numbers["value"]
    assert by_text["encoder"] == IDENTITY


def stored_observations(client):
    rows = client.server.store._db.execute("SELECT observation FROM decisions ORDER BY seq").fetchall()
    return [np.frombuffer(row[0], np.float32).tolist() for row in rows]


def test_task_actions_so_far_and_an_embedding_may_come_with_a_text(client):
    facts = {"task": "xy", "applied": [1, 0, 1]}
    embedded = {"embedding": UNIT, "encoder": IDENTITY}
    for body in ({"prompt": "ab", **facts}, {"prompt": "ab", **embedded}, {"prompt": "ab", **facts, **embedded}):
        assert client.post("/select_action", json=body).status_code == 200
        assert client.post("/get_distribution", json=body).status_code == 200
    assert stored_observations(client) == [[1, 1, 2, 3], UNIT, [0.5, 0.5, 2.5, 3.5]]
    decision_id = client.post("/select_action", json={"prompt": "ab"}).json()["decision_id"]
    following = {f"next_{key}": value for key, value in {"prompt": "d", **facts, "embedding": UNIT}.items()}
    body = {"decision_id": decision_id, "reward": 1.0, "done": False, "encoder": IDENTITY, **following}
    assert client.post("/store_experience", json=body).status_code == 200
    (stored,) = client.server.store.unused(None, 10)
    assert np.frombuffer(stored.experience.next_observation, np.float32).tolist() == [0.5, 0.5, 2.5, 3.5]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"embedding": OBS}, "encoder"),
        ({"embedding": OBS, "prompt": "ab"}, "encoder"),
        ({"embedding": [1.0] * 3, "encoder": IDENTITY}, r"\[3\].*\[4\]"),
        ({"embedding": [-0.5] * 4, "encoder": IDENTITY}, "prompt beside"),
        ({"embedding": [UNIT], "encoder": IDENTITY, "prompt": "ab"}, "batch"),
        ({"observation": OBS, "prompt": "ab"}, "one of"),
        ({"observation": OBS, "task": "x"}, "prompt"),
        ({"embedding": OBS, "encoder": IDENTITY, "applied": [0]}, "prompt"),
        ({"prompt": "ab", "task": ""}, "task"),
        ({"prompt": "ab", "applied": [0.5]}, "applied"),
    ],
)
def test_what_is_missing_beside_a_text_or_an_embedding_is_named(client, body, word):
    for prefix, route, more in (
        ("", "/select_action", {}),
        ("next_", "/store_experience", {"reward": 1, "done": True}),
    ):
        named = {key if key == "encoder" else f"{prefix}{key}": value for key, value in body.items()}
        more = {**more, "observation": OBS, "action": 1} if more else {}
        answer = client.post(route, json={**named, **more})
        assert answer.status_code == 422
        assert re.search(word, answer.json()["detail"]), answer.json()


@pytest.mark.parametrize("embedding", [[1.0] * 4, [0.0] * 4, [UNIT, [0.5, 0.5, 0.5, 0.51]]])
def test_an_embedding_of_another_length_than_1_is_refused(client, embedding):
    answer = client.post("/select_action", json={"embedding": embedding, "encoder": IDENTITY})
    assert answer.status_code == 422
    assert "length" in answer.json()["detail"]
    beside = {"embedding": np.ravel(embedding)[-4:].tolist(), "encoder": IDENTITY, "prompt": "ab"}
    assert client.post("/get_distribution", json=beside).status_code == 422


def test_rounding_leaves_an_embedding_its_length(client):
    row = np.random.default_rng(0).random(4)
    row /= np.linalg.norm(row)
    for rounded in (row.astype(np.float16), row.astype(np.float32), row.round(4)):
        body = {"embedding": rounded.astype(float).tolist(), "encoder": IDENTITY}
        assert client.post("/select_action", json=body).status_code == 200


def test_a_long_text_keeps_nobody_waiting(client, monkeypatch):
    """Texts are read in a thread, so other requests are answered meanwhile."""
    reading, read = threading.Event(), threading.Event()
    observe = Letters.observe

    def slowly(self, text, **facts):
        reading.set()
        assert read.wait(60)
        return observe(self, text, **facts)

    monkeypatch.setattr(Letters, "observe", slowly)

    async def both():
        slow = asyncio.create_task(client.client.post("/select_action", json={"prompt": "ab"}))
        await asyncio.to_thread(reading.wait, 60)
        quick = await client.client.post("/select_action", json={"observation": OBS})
        assert not slow.done()
        read.set()
        return quick.status_code, (await slow).status_code

    assert client.run(both()) == (200, 200)


def test_the_mask_of_a_text_is_the_domain_s(client):
    answers = [client.post("/select_action", json={"prompt": "bb"}).json()["action"] for _ in range(5)]
    assert set(answers) == {1}
    answer = client.post("/select_action", json={"prompt": "bb", "mask": [True, False]}).json()
    assert answer["action"] == 0


def test_another_encoder_is_a_conflict(client):
    answer = client.post("/select_action", json={"embedding": OBS, "encoder": "letters 2"})
    assert answer.status_code == 409
    assert IDENTITY in answer.json()["detail"]


@pytest.mark.parametrize("prompt", ["", "x", "a" * 300_000])
def test_a_text_that_cannot_be_read_is_refused(client, prompt):
    answer = client.post("/select_action", json={"prompt": prompt})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_experience_may_end_in_a_text(client):
    decision_id = client.post("/select_action", json={"prompt": "ab"}).json()["decision_id"]
    body = {"decision_id": decision_id, "reward": 1.0, "done": False, "next_prompt": "abb"}
    assert client.post("/store_experience", json=body).status_code == 200
    (stored,) = client.server.store.unused(None, 10)
    assert np.frombuffer(stored.experience.next_observation, np.float32).tolist() == [1, 2, 0, 0]
    assert np.frombuffer(stored.experience.next_mask, bool).tolist() == [True, True]


def test_routes_of_the_domain_are_mounted_at_the_root(client):
    assert client.post("/double", json={"text": "ab"}).json() == {"text": "abab"}
    for body in ({"text": ""}, {"text": 3}, {}, []):
        answer = client.post("/double", json=body)
        assert answer.status_code == 422
        assert isinstance(answer.json()["detail"], str)
    assert client.post("/double", content=b"{").status_code == 422
    no_json = client.post("/double", content=b"a=b", headers={"content-type": "application/json"}).json()["detail"]
    assert "JSON" in no_json
    assert not no_json[0].isdigit()
    assert "body" in client.post("/double").json()["detail"]
    unknown = client.post("/strict", json={"text": "a", "x\x1b[31m": 1}).json()["detail"]
    assert "\x1b" not in unknown
    assert "31m" in unknown
    unnamed = client.post("/double", content=b'{"text": "a"}', headers={"content-type": "text/plain"})
    assert unnamed.status_code == 422
    assert "application/json" in unnamed.json()["detail"]
    assert "/double" in client.get("/openapi.json").json()["paths"]


def test_the_schema_of_a_domain_needs_no_run(letters):
    router = LettersDomain().routes(None, {})
    assert "/double" in json.dumps(schema(router)["paths"])


def test_a_route_of_the_domain_cannot_take_the_place_of_ours():
    router = APIRouter()

    @router.get("/health")
    async def health():
        return {}

    with pytest.raises(InputError, match="/health"):
        schema(router)
