"""A store that somebody changed: one sentence, with status 503, or 2 at the start; never a fault of the server."""

import contextlib
import sqlite3

import pytest

from rl_eval.errors import InputError
from tests.serving.served_runs import OBS, client_of, live, policy_server


def edit(folder, *statements):
    with contextlib.closing(sqlite3.connect(folder / "store.sqlite")) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


@pytest.fixture
def learned(runs, tmp_path):
    """A folder that has learned once."""
    folder = tmp_path / "folder"
    with client_of(runs / "ppo", folder) as client:
        live(client, 32)
        assert client.post("/update").json()["updated"]
    return folder


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value='abc' WHERE key='current'",
        "UPDATE meta SET value='-1' WHERE key='current'",
        "UPDATE meta SET value='99999999999999999999' WHERE key='current'",
        "UPDATE meta SET value=x'31' WHERE key='current'",
        "UPDATE meta SET value='7' WHERE key='current'",
        "UPDATE meta SET value='[]' WHERE key='history'",
        "UPDATE meta SET value='{\"versions\": [1]}' WHERE key='history'",
        "UPDATE meta SET value='another' WHERE key='source'",
        "UPDATE decisions SET seq = 9223372036854775807 WHERE seq = 1",
        "UPDATE decisions SET seq = -5 WHERE seq = 1",
    ],
)
def test_a_server_of_a_changed_store_does_not_start(runs, learned, statement):
    edit(learned, statement)
    with pytest.raises(InputError):
        policy_server(runs / "ppo", learned)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET observation=x'0011'",
        "UPDATE decisions SET observation='text'",
        "UPDATE decisions SET observation=x'0000807f0000807f0000807f0000807f'",
        "UPDATE decisions SET action=x'01'",
        "UPDATE decisions SET action=x'0900000000000000'",
        "UPDATE decisions SET mask=x'0000'",
        "UPDATE decisions SET mask=x'0102'",
        "UPDATE decisions SET mask='ab'",
        "UPDATE decisions SET unit=x'ff00'",
        "UPDATE decisions SET log_prob='abc'",
        "UPDATE experience SET reward='abc'",
        "UPDATE experience SET reward=1e999",
        "UPDATE experience SET reward=1e15",
        "UPDATE experience SET terminated=0, next_observation=x'00'",
    ],
)
def test_no_update_learns_from_a_changed_row(client, statement):
    live(client, 32)
    edit(client.server.folder, statement)
    answer = client.post("/update")
    assert answer.status_code == 503
    assert "damaged" in answer.json()["detail"]
    assert client.get("/stats").status_code in (200, 503)
    assert client.post("/select_action", json={"observation": OBS}).status_code == 200


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET nonce=x'00', observation=1",
        "UPDATE own_ids SET seq=x'00'",
        "UPDATE own_ids SET seq=999",
        "UPDATE experience SET reward='abc'",
        "UPDATE experience SET reward=1e999",
        "UPDATE experience SET terminated='abc'",
        "UPDATE running SET return='abc'",
    ],
)
def test_no_request_fails_on_a_changed_row(client, statement):
    own = {"decision_id": "own", "observation": OBS, "action": 0, "reward": 1.0, "done": False, "unit": "u"}
    assert client.post("/store_experience", json=own).status_code == 200
    edit(client.server.folder, statement)
    bodies = (own, {**own, "decision_id": "other"}, {**own, "decision_id": "1-000000000000"})
    statuses = [client.post("/store_experience", json=body).status_code for body in bodies]
    statuses += [client.get("/stats").status_code, client.get("/metrics").status_code]
    assert set(statuses) <= {200, 404, 503}
    assert 503 in statuses


def test_a_checkpoint_of_another_policy_is_not_served(runs, client, tmp_path):
    with client_of(runs / "box", tmp_path / "other") as other:
        assert other.post("/save", json={"name": "theirs"}).status_code == 200
    (tmp_path / "other" / "checkpoints").rename(client.server.folder / "checkpoints")
    answer = client.post("/load", json={"name": "theirs"})
    assert answer.status_code == 422
    assert client.post("/select_action", json={"observation": OBS}).status_code == 200


def test_a_store_that_was_moved_away_is_not_made_anew(client):
    live(client, 32)
    file = client.server.folder / "store.sqlite"
    file.rename(file.with_name("elsewhere"))
    assert client.post("/update").status_code == 503
    assert not file.exists()
