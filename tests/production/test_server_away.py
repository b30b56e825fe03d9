"""The production server where a part is away, or does not fit: it serves what it can, and says so once."""

import pytest

from rl_eval.production.collection_config import CollectConfig
from rl_eval.production.queues import QueueError, open_queue
from rl_eval.production.server.follower import Follower
from rl_eval.production.server.production_server import ProductionServer
from rl_eval.production.store import UnavailableError
from tests.production.served import OBS, Loop


def canary(share, challenger=2, shadow=False):
    """The row of a roll-out."""
    return {"state": "shadow" if shadow else "canary", "share": share, "shadow": shadow, "challenger": challenger}


@pytest.fixture
def loop(runs, tmp_path):
    loop = Loop(tmp_path, runs)
    yield loop
    loop.close()


def test_a_challenger_of_other_observations_is_not_served(runs, tmp_path, caplog):
    loop = Loop(tmp_path, runs, challenger=3, rollout=canary(1.0, challenger=3))
    try:
        loop.follower.look()
        assert loop.decide(unit="a")["policy_version"] == "1"
        assert caplog.text.count("challenger 3 is not served") == 1
        assert "other observations or actions" in caplog.text
    finally:
        loop.close()


def test_where_the_registry_is_away_the_server_goes_on_and_says_so_once(loop, caplog):
    loop.registry.file.unlink()
    for _ in range(3):
        loop.follower.look()
    assert loop.decide()["policy_version"] == "1"
    assert caplog.text.count("the versions stay as they are: the registry is away") == 1
    loop.registry.write(loop.runs, champion=2)
    loop.follower.look()
    assert loop.decide()["policy_version"] == "2"
    assert "registry and store answer again; it is over that the versions stay as they are" in caplog.text


def test_where_the_store_is_away_at_the_start_the_champion_serves_alone(loop, monkeypatch, caplog):
    def away(*_):
        raise UnavailableError("the store is away")

    server = ProductionServer(loop.config, loop.queue, b"k" * 32)
    monkeypatch.setattr(loop.store, "document", away)
    follower = Follower(server, loop.registry, loop.store, loop.config.path / "more-copies")
    for _ in range(3):
        follower.look()
    assert (server.arms.champion.version, server.arms.challenger) == ("1", None)
    assert caplog.text.count("serving only version 1") == 1
    monkeypatch.undo()
    follower.look()
    assert "answer again" in caplog.text
    server.close()


def test_a_queue_that_cannot_be_counted_is_said_once_and_changes_nothing_else(loop, monkeypatch, caplog):
    def away():
        raise QueueError("the queue is away")

    monkeypatch.setattr(loop.queue, "waiting", away)
    monkeypatch.setattr("rl_eval.production.server.follower.COUNT_S", 0.0)
    loop.follower.look()
    monkeypatch.undo()
    monkeypatch.setattr("rl_eval.production.server.follower.COUNT_S", 1e9)
    for _ in range(3):
        loop.follower.look()  # not counted, so nothing is known about the queue
    assert caplog.text.count("the queue is away") == 1
    assert "again" not in caplog.text


def test_a_queue_that_is_still_away_is_not_said_to_answer(loop, monkeypatch, caplog):
    """At first a failure of counting, since it has just taken records; then that nothing is recorded."""

    def away():
        raise QueueError("the queue is away")

    monkeypatch.setattr("rl_eval.production.server.follower.COUNT_S", 0.0)
    loop.decide(unit="a")
    with monkeypatch.context() as patched:
        patched.setattr(loop.queue, "waiting", away)
        loop.follower.look()
        patched.setattr("rl_eval.production.server.recorder.IDLE_S", 0.0)
        for _ in range(3):
            loop.follower.look()
        assert caplog.text.count("older counts of decisions: the queue is away") == 1
        assert "decisions are served and not recorded" in caplog.text
        assert "again" not in caplog.text
    loop.follower.look()
    assert "queue and store answer again; it is over that the status page has older counts" in caplog.text
    assert "decisions are recorded again" in caplog.text


def test_a_queue_from_which_nothing_could_be_removed_is_asked_again_within_minutes(loop, monkeypatch, caplog):
    def away(before):
        raise QueueError("the queue is away")

    monkeypatch.setattr("rl_eval.production.server.follower.NOTE_S", 0.0)
    loop.follower._removed = float("-inf")
    with monkeypatch.context() as patched:
        patched.setattr(loop.queue, "remove_old", away)
        for _ in range(3):
            loop.follower.look()
    assert caplog.text.count("nothing is removed from the queue: the queue is away") == 1
    assert "again" not in caplog.text
    loop.follower.look()
    assert "queue and store answer again; it is over that nothing is removed from the queue" in caplog.text


def test_without_a_champion_it_is_not_ready_and_then_it_is(runs, tmp_path):
    loop = Loop(tmp_path, runs, champion=None)
    try:
        for answer in (loop.get("/health"), loop.post("/select_action", observation=OBS)):
            assert answer.status_code == 503
            assert "there is no champion yet" in answer.json()["detail"]
        assert loop.get("/v2/health/live").status_code == 200
        loop.registry.write(loop.runs, champion=1)
        loop.follower.look()
        assert loop.get("/health").json()["policy_version"] == "1"
    finally:
        loop.close()


class Away:
    """A queue that can be away, such as one on a full disk."""

    def __init__(self, inner):
        self.inner, self.away, self.is_quick = inner, False, inner.is_quick

    def put(self, messages):
        if self.away:
            raise QueueError("the disk is full")
        self.inner.put(messages)

    def waiting(self):
        if self.away == "all":
            raise QueueError("connection refused")
        return self.inner.waiting()

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.mark.parametrize("quick", [True, False])
def test_where_the_queue_is_away_decisions_go_on_and_rewards_are_not_acknowledged(
    runs, tmp_path, caplog, quick, monkeypatch
):
    monkeypatch.setattr("rl_eval.production.server.recorder.AWAY_S", 0.0)
    queue = Away(open_queue(CollectConfig(), tmp_path / "production"))
    queue.is_quick = quick
    loop = Loop(tmp_path, runs, queue=queue)
    try:
        kept = loop.decide()["decision_id"]
        queue.away = True
        answers = [loop.decide() for _ in range(3)]
        assert [answer["decision_id"] for answer in answers] == [None] * 3
        assert all(answer["action"] in (0, 1) for answer in answers)
        refused = loop.post("/store_experience", decision_id=kept, reward=1.0, done=True)
        assert refused.status_code == 503
        assert "the disk is full; send it again" in refused.json()["detail"]
        assert caplog.text.count("decisions are served and not recorded") == 1
        queue.away = False
        assert loop.post("/store_experience", decision_id=kept, reward=1.0, done=True).status_code == 200
        assert loop.decide()["decision_id"] is not None
        assert "decisions are recorded again" in caplog.text
        loop.collect()
        assert [one.decision.decision_id for one in loop.store.accepted()] == [kept]
        assert "rl_eval_production_not_recorded_total 4.0" in loop.get("/metrics").text
    finally:
        loop.close()


@pytest.mark.parametrize("quick", [True, False])
def test_an_idle_server_sees_that_the_queue_is_away_and_is_back(runs, tmp_path, caplog, quick, monkeypatch):
    monkeypatch.setattr("rl_eval.production.server.follower.COUNT_S", 0.0)
    monkeypatch.setattr("rl_eval.production.server.recorder.IDLE_S", 0.0)
    monkeypatch.setattr("rl_eval.production.server.recorder.AWAY_S", 0.0)
    queue = Away(open_queue(CollectConfig(), tmp_path / "production"))
    queue.is_quick = quick
    loop = Loop(tmp_path, runs, queue=queue)

    def recording():
        loop.follower.look()
        return loop.get("/health").json()["recording"]

    try:
        seen = []
        for away in (False, "all", "all", False):
            queue.away = away
            seen.append(recording())
        assert seen == [True, False, False, True]
        assert caplog.text.count("not recorded: connection refused") == caplog.text.count("connection refused") == 1
        assert caplog.text.count("decisions are recorded again") == 1
        queue.away = True  # it answers, and takes nothing
        assert loop.decide()["decision_id"] is None
        assert not recording()
        queue.away = False
        assert not recording()
        assert loop.decide()["decision_id"] is not None
        assert recording()
    finally:
        loop.close()


def test_a_queue_that_takes_records_and_cannot_be_counted_is_not_away(loop, monkeypatch, caplog):
    def uncounted():
        raise QueueError("no answer in time")

    loop.decide()
    monkeypatch.setattr(loop.queue, "waiting", uncounted)
    monkeypatch.setattr("rl_eval.production.server.follower.COUNT_S", 0.0)
    monkeypatch.setattr("rl_eval.production.server.recorder.IDLE_S", 1e9)
    loop.follower.look()
    assert loop.get("/health").json()["recording"] is True
    assert "the status page has older counts of decisions: no answer in time" in caplog.text


def test_a_store_of_other_observations_is_refused_in_a_sentence(runs, tmp_path, caplog):
    Loop(tmp_path, runs).close()
    other = Loop(tmp_path, runs, champion=3)
    assert "experience of other observations or actions: name another store" in caplog.text
    other.close()


def test_a_rule_of_privacy_for_no_feature_is_logged_and_nothing_is_served(runs, tmp_path, caplog):
    loop = Loop(tmp_path, runs, privacy={"features": {"99": {"action": "drop"}}})
    assert "there is no feature '99'" in caplog.text
    for answer in (loop.get("/health"), loop.post("/select_action", observation=OBS)):
        assert answer.status_code == 503
        assert "the champion cannot be loaded, or does not fit" in answer.json()["detail"]
        assert str(tmp_path) not in answer.text
    loop.close()
