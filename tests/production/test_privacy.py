"""Privacy: features changed and units as pseudonyms before anything sees them, and no byte of a person in any file."""

import base64
import dataclasses
import logging
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.production import review_queue
from rl_eval.production.collection_config import FieldRule, PrivacyConfig
from rl_eval.production.forget import UnfinishedError, erase_pseudonym
from rl_eval.production.parts import open_parts
from rl_eval.production.privacy import Privacy, is_decision_id, new_decision_ids, pseudonym, read_key
from rl_eval.production.queues import open_queue
from rl_eval.production.review_queue import Review
from rl_eval.production.watch.app import make_app
from tests.production.databases import KAFKA, POSTGRES, queue_config
from tests.production.served import Loop, ask

KEY = bytes(range(32))
UNIT = "alice@example.org"
SECRET = 1234.5677490234375  # exactly a float32


def policy(**features):
    return Privacy(PrivacyConfig(features=features), KEY, ["age", "income", "id"], 3)


def test_rules_change_their_own_feature_alone():
    privacy = policy(
        age=FieldRule(action="coarsen", step=10.0),
        income=FieldRule(action="drop"),
        id=FieldRule(action="hash", buckets=8),
    )
    rows = np.array([[34.0, 5000.0, 7.0], [36.0, 1.0, 7.0], [36.0, 1.0, 8.5]], np.float32)
    changed = privacy.observations(rows)
    assert changed[:, 0].tolist() == [30.0, 40.0, 40.0]
    assert changed[:, 1].tolist() == [0.0, 0.0, 0.0]
    assert changed[0, 2] == changed[1, 2]
    assert set(changed[:, 2].tolist()) <= set(range(8))
    assert rows[0, 0] == 34.0


@given(st.floats(-1e5, 1e5, width=32), st.floats(0.125, 1000))
def test_coarsened_is_the_nearest_multiple(value, step):
    rows = policy(age=FieldRule(action="coarsen", step=step)).observations(np.array([[value, 0, 0]], np.float32))
    assert abs(rows[0, 0] - value) <= step / 2 * 1.001 + abs(value) * 1e-6
    multiple = round(float(rows[0, 0]) / step) * step
    assert float(rows[0, 0]) == pytest.approx(multiple, rel=1e-6)  # as near as float32 comes


def test_a_hash_needs_its_key():
    rows = np.arange(300, dtype=np.float32).reshape(100, 3)
    rule = {"id": FieldRule(action="hash")}
    other = Privacy(PrivacyConfig(features=rule), bytes(32), ["age", "income", "id"], 3)
    assert (policy(**rule).observations(rows)[:, 2] != other.observations(rows)[:, 2]).mean() > 0.9
    assert pseudonym(UNIT, KEY) != pseudonym(UNIT, bytes(32))
    assert UNIT not in pseudonym(UNIT, KEY)


def test_decision_ids_cannot_be_made_without_the_key():
    ids = new_decision_ids(50, KEY)
    assert len(set(ids)) == 50
    assert all(is_decision_id(one, KEY) for one in ids)
    assert not any(is_decision_id(one, bytes(32)) for one in ids)
    assert not any(is_decision_id(one[:-1] + ("0" if one[-1] != "0" else "1"), KEY) for one in ids)
    assert not is_decision_id("", KEY)


def test_a_rule_for_a_feature_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="there is no feature 'agee': did you mean 'age'"):
        policy(agee=FieldRule(action="drop"))


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path, monkeypatch):
    monkeypatch.delenv("RL_EVAL_PRIVACY_KEY", raising=False)
    assert read_key(tmp_path) == read_key(tmp_path)
    assert (tmp_path / "privacy.key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("RL_EVAL_PRIVACY_KEY", "short")
    with pytest.raises(InputError, match="has 5 characters"):
        read_key(tmp_path)


def bytes_of(*observation):
    """An observation as the store has it, and as messages have it."""
    raw = np.array(observation, np.float32).tobytes()
    return raw, base64.b64encode(raw)


def files_with(folders, *needles):
    """Files that hold one of some byte strings."""
    return [
        (path, needle)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
        for needle in needles
        if needle in path.read_bytes()
    ]


@pytest.mark.parametrize("kind", ["store", POSTGRES, "redis", KAFKA])
def test_no_byte_of_a_person_is_in_any_file_log_or_metric(kind, request, runs, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    collect = queue_config(kind, request)
    rule = {"0": {"action": "drop"}}
    loop = Loop(tmp_path, runs, collect=collect.model_dump(), privacy={"features": rule})
    try:
        folders = [tmp_path]
        if kind == "postgres":
            folders.append(request.getfixturevalue("postgres").folder)
        if kind == "redis":
            folders.append(request.getfixturevalue("redis").folder)
        secrets = [UNIT.encode(), b"1234.567", *bytes_of(SECRET, 0.25, 0.5, 1.0), *bytes_of(SECRET, 0.5, 1.0, 2.0)]
        name = loop.server._privacy.pseudonym(UNIT)
        waiting = loop.decide([SECRET, 0.25, 0.5, 1.0], unit=UNIT)
        followed = loop.post(
            "/store_experience", decision_id=waiting["decision_id"], reward=1.0, done=False,
            next_observation=[SECRET, 0.5, 1.0, 2.0],
        )  # fmt: skip
        assert followed.status_code == 200
        assert loop.post("/select_action", observation=[SECRET], unit=UNIT).status_code == 422
        assert files_with(folders, *secrets) == []
        end = 60
        while loop.store.counts().get("accepted", 0) < 1 and end:
            loop.collector.step(0.5)
            end -= 1
        assert files_with(folders, *secrets) == []
        shown = loop.get("/metrics").text + loop.get("/health").text + pages_of(loop, waiting["decision_id"])
        shown += caplog.text
        assert UNIT not in shown
        assert "1234.56" not in shown
        assert name not in shown
        (row,) = loop.store.outcomes()
        assert row.unit == name
        # The right to be forgotten: the pseudonym and the observation leave every file of ours.
        kept = [name.encode(), *bytes_of(0.0, 0.25, 0.5, 1.0)]
        assert files_with(folders, *kept)
        assert erase_pseudonym(loop.config, name, loop.store, loop.queue) == (1, 0, None)
        assert loop.store.outcomes() == []
        if kind == "redis":
            wait_for_rewrite(request.getfixturevalue("redis"))
        assert files_with(folders, *kept) == []
        # What arrives later of an erased decision is refused.
        again = loop.post("/store_experience", decision_id=waiting["decision_id"], reward=1.0, done=True)
        assert again.status_code == 200
        end = 60
        while loop.store.counts().get("refused.erased", 0) < 1 and end:
            loop.collector.step(0.5)
            end -= 1
        assert loop.store.counts()["refused.erased"] >= 1
        assert loop.store.accepted() == []
    finally:
        loop.close()


def pages_of(loop, decision_id):
    """What operators see, once a person is asked about a decision."""
    html = {"headers": {"accept": "text/html"}}
    override = {"decision_id": decision_id, "action": 0, "reviewer": "ada", "reason": "a look"}
    with open_parts(loop.config) as parts:
        review_queue.ask(parts.store, [Review(decision_id, time.time(), "1", 0, 0.4)])
        answers = ask(
            make_app(parts), ("GET", "/", html), ("GET", "/review", html), ("GET", "/review", {}),
            ("POST", "/review", {"json": override}), ("GET", f"/review?decision_id={decision_id}", {}),
            ("GET", "/", html), ("GET", "/metrics", {}),
        )  # fmt: skip
        assert [answer.status_code for answer in answers] == [200] * len(answers)
        assert sum(decision_id in answer.text for answer in answers) >= 4
        return "".join(answer.text for answer in answers) + parts.audit.path.read_text()


def wait_for_rewrite(server):
    client = server.client()
    for _ in range(200):
        info = client.info("persistence")
        if not info["aof_rewrite_in_progress"] and not info.get("aof_rewrite_scheduled"):
            break
        time.sleep(0.05)
    client.close()


def test_nothing_older_than_the_retention_remains_in_any_file(runs, tmp_path):
    loop = Loop(tmp_path, runs)
    try:
        loop.decide([77.25, 0.0, 0.0, 0.0], unit=UNIT)
        loop.collect()
        loop.decide([78.25, 0.0, 0.0, 0.0], unit=UNIT)  # waits in the queue
        needles = [*bytes_of(77.25, 0, 0, 0), *bytes_of(78.25, 0, 0, 0)]
        assert {needle for _, needle in files_with([tmp_path], *needles)} >= {needles[0], needles[3]}
        week = loop.config.privacy.retention
        loop.store.remove_old(time.time() + week + 10, week)
        loop.queue.remove_old(time.time() + 10)
        assert files_with([tmp_path], *needles, loop.server._privacy.pseudonym(UNIT).encode()) == []
    finally:
        loop.close()


def test_erasing_waits_for_what_a_dead_collector_had_taken(request, runs, tmp_path):
    loop = Loop(tmp_path, runs, collect=queue_config("redis", request).model_dump())
    try:
        loop.live(4, unit=UNIT)
        dead = open_queue(loop.config.collect, loop.config.path)
        assert dead.take(100, 1.0)
        name = loop.server._privacy.pseudonym(UNIT)
        with pytest.raises(UnfinishedError, match="the same command finishes it"):
            erase_pseudonym(loop.config, name, loop.store, loop.queue, wait_s=0.2)
        loop.queue._idle = 0.1
        assert erase_pseudonym(loop.config, name, loop.store, loop.queue)[:2] == (0, 8)
        assert (loop.queue.waiting()[0], loop.store.outcomes()) == (0, [])
        dead.close()
    finally:
        loop.close()


def test_what_arrives_later_is_refused_although_a_clock_was_set_back(runs, tmp_path):
    loop = Loop(tmp_path, runs)
    try:
        name = loop.server._privacy.pseudonym(UNIT)
        loop.live(1, unit=UNIT)
        loop.collect()
        (first,) = loop.store.outcomes()
        assert loop.store.erase(name, now=first.at - 86_400) == 1
        other = loop.live(1, unit="bob")
        loop.collect()
        late = dataclasses.replace(decision_of(loop, other), decision_id="late", unit=name, at=first.at - 1)
        assert loop.store.ingest([late], lambda pairs, before: [], first.at)["refused.erased"] == 1
    finally:
        loop.close()


def decision_of(loop, ids):
    (stored,) = (one.decision for one in loop.store.accepted() if one.decision.decision_id in ids)
    return stored
