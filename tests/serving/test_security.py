"""Who may ask: hosts, origins, tokens and sizes; and bodies of any kind are never an error of the server."""

import asyncio
import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.serving import security
from rl_eval.serving.bodies import MAX_BODY, RefusedError, SelectActionBody, StoreExperienceBody, parse
from rl_eval.serving.security import Access, is_local
from tests.serving.served_runs import OBS, client_of

TOKEN = "a-token-of-sixteen-characters-or-more"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True), ("127.0.0.1:8000", True), ("localhost:8000", True), ("[::1]:8000", True), ("[::1]", True),
        ("127.8.9.1:1", True), ("evil.example", False), ("evil.example:8000", False), ("", False),
        ("127.0.0.1.evil.example", False), ("localhost.evil.example:80", False), ("10.0.0.1:8000", False),
        ("[::2]:8000", False), ("0.0.0.0:8000", False), ("127.0.0.1:8000:1", False), ("localhost@evil.example", False),
    ],
)  # fmt: skip
def test_hosts_of_this_machine(host, local):
    assert is_local(host) == local


def test_another_host_or_origin_is_refused(client):
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 421
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        assert client.post("/select_action", json={"observation": OBS}, headers={"origin": origin}).status_code == 403
    assert client.get("/health", headers={"origin": "http://127.0.0.1:8000"}).status_code == 200
    assert client.get("/stats").json()["decisions"] == 0


@pytest.mark.parametrize("path", ["/update", "/save", "/load"])
def test_what_changes_the_policy_needs_the_token_where_there_is_one(runs, tmp_path, path):
    with client_of(runs / "ppo", tmp_path / "folder", Access(TOKEN)) as client:
        body = {} if path == "/update" else {"name": "a"}
        refused = [{}, {"authorization": TOKEN}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": "Bearer é"}]
        for headers in refused:
            answer = client.post(path, json=body, headers={name: value.encode() for name, value in headers.items()})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert TOKEN not in answer.text
        assert client.post(path, json=body, headers=BEARER).status_code in (200, 404)
        assert client.post("/select_action", json={"observation": OBS}).status_code == 200


def test_from_other_machines_everything_but_probes_needs_the_token(runs, tmp_path):
    with client_of(runs / "ppo", tmp_path / "folder", Access(TOKEN, loopback=False)) as client:
        for path in ("/stats", "/metrics", "/openapi.json", "/nothing"):
            assert client.get(path).status_code == 401
        assert client.post("/select_action", json={"observation": OBS}).status_code == 401
        assert client.get("/health").status_code == 200
        assert client.get("/stats", headers={**BEARER, "host": "served.example"}).status_code == 200


def test_large_bodies_are_not_read(client):
    assert client.post("/select_action", content=b" " * (MAX_BODY + 1)).status_code == 413
    read = []

    async def endless():
        while True:
            read.append(1)
            yield b" " * (1 << 20)

    assert client.post("/select_action", content=endless()).status_code == 413
    assert len(read) <= (MAX_BODY >> 20) + 2
    assert client.get("/health").status_code == 200


def test_a_body_that_does_not_arrive_is_not_waited_for(client, monkeypatch):
    monkeypatch.setattr(security, "BODY_S", 0.01)

    async def never():
        yield b"{"
        await asyncio.sleep(600)

    assert client.post("/select_action", content=never()).status_code == 408
    assert client.get("/health").status_code == 200


NUMBER = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3))
ROW = st.lists(NUMBER, max_size=6)
VALUE = st.one_of(NUMBER, ROW, st.lists(ROW, max_size=4), st.dictionaries(st.text(max_size=5), NUMBER, max_size=3))
KEYS = [*SelectActionBody.model_fields, *StoreExperienceBody.model_fields, "inputs", "instances", "name", "parameters"]
OBJECT = st.dictionaries(st.sampled_from(KEYS), VALUE, max_size=6)
PATHS = [
    "/select_action", "/get_distribution", "/store_experience", "/update", "/save", "/load", "/invocations",
    "/v2/models/ppo/infer",
]  # fmt: skip
BODY = st.one_of(OBJECT.map(json.dumps).map(str.encode), VALUE.map(json.dumps).map(str.encode), st.binary(max_size=60))
# Nearly right, so that it comes as far as what is done with the numbers.
NEARLY = st.builds(
    lambda observation, extra: json.dumps({"observation": observation, **extra}).encode(),
    st.lists(st.floats(width=32) | st.integers(-5, 5), min_size=3, max_size=5),
    OBJECT,
)


def fuzz(client, count):
    """Post generated bodies; every answer is 2xx or 4xx with a sentence."""

    @settings(max_examples=count, database=None, derandomize=True)
    @given(st.sampled_from(PATHS), BODY | NEARLY)
    def post(path, body):
        answer = client.post(path, content=body)
        assert answer.status_code // 100 in (2, 4), answer.text
        if answer.status_code // 100 == 4:
            detail = answer.json()["detail"]
            assert detail
            assert "\n" not in detail

    post()


def test_any_body_is_answered(client):
    fuzz(client, 60)


@pytest.mark.verify
def test_any_of_many_bodies_is_answered(client):
    fuzz(client, 5_000)


@given(st.binary(max_size=200) | BODY)
def test_a_body_is_read_or_refused(content):
    with contextlib.suppress(RefusedError):
        assert isinstance(parse(SelectActionBody, content), SelectActionBody)
