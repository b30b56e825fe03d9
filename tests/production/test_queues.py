"""Queues, the same on each kind: what was put in comes out once it is there, until it is acknowledged."""

import itertools
import time
from types import SimpleNamespace

import pytest

from rl_eval.cli import main
from rl_eval.errors import InputError
from rl_eval.production.collection_config import CollectConfig
from rl_eval.production.queues import QueueError, QueueFullError, open_queue
from rl_eval.production.queues.later import LaterQueue
from rl_eval.production.queues.redis_queue import RedisQueue
from rl_eval.production.queues.sqlite_queue import SqliteQueue
from tests.production.databases import POSTGRES, QUEUES, queue_config
from tests.production.served import write_config
from tests.redis_process import DURABLE, RedisProcess, needs_redis

FEW = ("store", POSTGRES, "redis")
JOIN_S = 30.0  # a second consumer of a group of Kafka waits for the first one's session


def take_all(queue, count, wait_s=JOIN_S):
    """At least `count` messages, acknowledged as they come."""
    bodies, end = [], time.monotonic() + wait_s
    while len(bodies) < count and time.monotonic() < end:
        messages = queue.take(100, 0.5)
        queue.acknowledge(messages)
        bodies += [message.body for message in messages]
    return bodies


@pytest.fixture(params=QUEUES)
def config(request):
    return queue_config(request.param, request)


@pytest.fixture
def queue(config, tmp_path):
    queue = open_queue(config, tmp_path)
    yield queue
    queue.close()


def test_every_message_comes_once_and_is_gone_after_it_was_acknowledged(queue):
    bodies = [b"%d" % number for number in range(50)]
    queue.put(bodies[:20])
    queue.put(bodies[20:])
    assert sorted(take_all(queue, 50)) == sorted(bodies)
    assert queue.take(10, 0.2) == []
    assert queue.waiting()[0] == 0
    assert queue.remove_old(time.time() - 10) >= 0
    queue.sync()


def test_what_was_not_acknowledged_comes_again(config, tmp_path, monkeypatch):
    monkeypatch.setattr("rl_eval.production.queues.redis_queue.IDLE_S", 0.1)
    first = open_queue(config, tmp_path)
    if isinstance(first, RedisQueue):
        first._idle = 0.1
    first.put([b"a", b"b"])
    end = time.monotonic() + JOIN_S
    while not (taken := first.take(10, 0.5)) and time.monotonic() < end:
        pass
    assert taken
    first.close()  # without acknowledging
    second = open_queue(config, tmp_path)
    if isinstance(second, RedisQueue):
        second._idle = 0.1
        time.sleep(0.2)
    assert set(take_all(second, 2)) == {b"a", b"b"}
    second.close()


def test_binary_and_large_bodies(queue):
    bodies = [bytes(range(256)), b"\0" * 700_000]
    queue.put(bodies)
    assert sorted(take_all(queue, 2)) == sorted(bodies)


@pytest.mark.parametrize("kind", FEW)
def test_more_than_may_wait_is_refused(kind, request, tmp_path):
    queue = open_queue(queue_config(kind, request, max_waiting=3), tmp_path)
    queue.put([b"1", b"2", b"3", b"4"])
    time.sleep(1.1 if kind == "postgres" else 0)
    with pytest.raises(QueueFullError, match="start a collector"):
        queue.put([b"5"])
    assert len(take_all(queue, 4)) == 4
    queue.put([b"6"])
    queue.close()


@pytest.mark.parametrize("kind", FEW)
def test_messages_older_than_the_retention_are_removed(kind, request, tmp_path):
    queue = open_queue(queue_config(kind, request), tmp_path)
    queue.put([b"1"])
    assert queue.waiting()[1] == pytest.approx(time.time(), abs=60)
    assert queue.remove_old(time.time() - 60) == 0
    assert queue.remove_old(time.time() + 60) == 1
    assert queue.waiting()[0] == 0
    queue.close()


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [("appendonly", "no", "yes"), ("appendfsync", "everysec", "always"), ("appendfsync", "no", "always")],
)
def test_redis_that_answers_before_it_has_written_is_refused(redis, name, value, needed):
    client = redis.client()
    client.config_set(name, value)
    try:
        with pytest.raises(InputError, match=f"set {name} to {needed}"):
            RedisQueue(redis.url, "s", "g", 10)
    finally:
        client.config_set(name, needed)
        client.close()


def test_all_wrong_settings_of_redis_are_in_one_sentence_and_registering_needs_no_queue(redis, runs, tmp_path):
    client = redis.client()
    client.config_set("appendonly", "no")
    client.config_set("appendfsync", "everysec")
    wrong = "has appendonly no and appendfsync everysec, .*: set appendonly to yes and appendfsync to always in its"
    try:
        with pytest.raises(InputError, match=wrong):
            RedisQueue(redis.url, "s", "g", 10)
        file = write_config(tmp_path, collect={"queue": redis.url})
        assert main(["production", "register", str(file), str(runs / "one")]) == 0
    finally:
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "always")
        client.close()


def test_redis_that_loses_its_durability_while_it_runs_is_away_until_it_has_it(redis, monkeypatch):
    monkeypatch.setattr("rl_eval.production.queues.redis_queue.CHECK_S", 0.0, raising=False)
    queue, client = RedisQueue(redis.url, "live", "g", 10), redis.client()
    queue.put([b"a"])
    try:
        for name, value, needed in (("appendonly", "no", "yes"), ("appendfsync", "everysec", "always")):
            client.config_set(name, value)
            for use in (lambda: queue.put([b"b"]), queue.waiting, lambda: queue.take(1, 0.0)):
                with pytest.raises(QueueError, match=f"has {name} {value}, and may lose .*: set {name} to {needed}"):
                    use()
            client.config_set(name, needed)
            queue.put([b"c"])
    finally:
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "always")
        client.close()
    assert take_all(queue, 3, 5.0) == [b"a", b"c", b"c"]
    queue.close()


def test_how_redis_writes_is_asked_every_few_seconds_and_not_each_time(redis, monkeypatch):
    queue, asked = RedisQueue(redis.url, "seldom", "g", 10), []
    monkeypatch.setattr(queue, "_require_durable", asked.append, raising=False)
    now = time.monotonic()
    monkeypatch.setattr("rl_eval.production.queues.redis_queue.time", SimpleNamespace(monotonic=lambda: now))
    for seconds in (0, 1, 4, 2):
        now += seconds
        queue.waiting()
        queue.waiting()
    queue.close()
    assert [settings["appendonly"] for settings in asked] == ["yes"]


@pytest.mark.parametrize("kind", QUEUES)
def test_a_queue_that_is_missing_is_not_made_by_who_only_reads(kind, request, tmp_path):
    config = queue_config(kind, request)
    reader = open_queue(config, tmp_path, create=False)
    for use in (reader.waiting, lambda: reader.take(1, 0.0), lambda: reader.put([b"a"])):
        with pytest.raises(QueueError, match="serve and collect create the queue, so start one of them"):
            use()
    reader.close()
    assert not list(tmp_path.iterdir())
    writer = open_queue(config, tmp_path)
    writer.put([b"a"])
    reader = open_queue(config, tmp_path, create=False)
    assert reader.waiting()[0] == 1
    assert take_all(reader, 1) == [b"a"]
    reader.close()
    writer.close()


def test_redis_that_lost_its_stream_or_group_is_used_again(redis, caplog):
    """As after FLUSHALL, or a failover to an empty replica."""
    queue, client = RedisQueue(redis.url, "lost", "g", 10), redis.client()
    for lose in (lambda: client.delete("lost"), lambda: client.xgroup_destroy("lost", "g")):
        queue.take(1, 0.0)
        lose()
        queue.put([b"a"])
        caplog.clear()
        assert take_all(queue, 1, 5.0) == [b"a"]
        assert caplog.text.count("had lost the stream lost or its group") == 1
        lose()
        caplog.clear()
        assert queue.take(1, 0.0) == []  # where nothing was put in since
        assert caplog.text.count("had lost the stream") == 1
    client.close()
    queue.close()


@needs_redis
def test_redis_that_comes_back_without_durability_is_not_used_until_it_has_it(tmp_path):
    pytest.importorskip("redis")
    server = RedisProcess(tmp_path, *DURABLE)
    queue = open_queue(CollectConfig(queue=server.url, name="now"), tmp_path)
    server.kill()
    later = open_queue(CollectConfig(queue=server.url, name="later"), tmp_path)  # a process that starts meanwhile
    later._clock = itertools.count(time.monotonic() + 10, 10).__next__
    try:
        server.options = ("--appendonly", "no")
        server.start()
        for _ in range(2):
            for opened in (queue, later):
                with pytest.raises(QueueError, match="has appendonly no and appendfsync everysec, and may lose"):
                    opened.put([b"a"])
        client = server.client()
        client.config_set("appendonly", "yes")
        client.config_set("appendfsync", "always")
        client.close()
        for opened in (queue, later):
            opened.put([b"b"])
            assert take_all(opened, 1, 5.0) == [b"b"]
    finally:
        later.close()
        queue.close()
        server.kill()


@pytest.mark.parametrize(
    ("queue", "settings", "sentence"),
    [
        ("store", {"a": "b"}, "settings are of Kafka"),
        ("kafka://127.0.0.1:1", {"plugin.library.paths": "/tmp/x.so"}, "plugin.library.paths is not taken"),
        ("kafka://127.0.0.1:1", {"sasl.password": "secret"}, "sasl.password is not taken"),
        ("kafka://127.0.0.1:1", {"no.such.setting": "1"}, "settings cannot be used"),
    ],
)
def test_refusals(queue, settings, sentence, tmp_path):
    if queue.startswith("kafka"):
        pytest.importorskip("confluent_kafka")
    with pytest.raises(InputError, match=sentence):
        open_queue(CollectConfig(queue=queue, settings=settings), tmp_path)


def test_what_waits_costs_nothing_when_more_is_put_in(tmp_path):
    queue = SqliteQueue(tmp_path / "q.sqlite", 10**6)
    instructions = []
    queue._db.set_progress_handler(lambda: instructions.append(1) and 0, 1)

    def cost():
        instructions.clear()
        queue.put([b"x"])
        return len(instructions)

    queue.put([b"x"] * 10)
    few = cost()
    queue.put([b"x"] * 2000)
    assert 0 < cost() < few + 50
    queue.close()


def test_a_file_that_is_removed_or_damaged_is_a_sentence(tmp_path):
    queue = open_queue(CollectConfig(name="q"), tmp_path)
    queue.put([b"1"])
    (tmp_path / "q-queue.sqlite").unlink()
    with pytest.raises(QueueError, match="removed while it was used"):
        queue.put([b"2"])
    queue.close()
    for left in tmp_path.iterdir():
        left.unlink()
    (tmp_path / "q-queue.sqlite").write_bytes(b"nothing" * 1000)
    with pytest.raises(InputError, match="cannot be opened as a queue"):
        open_queue(CollectConfig(name="q"), tmp_path)


def test_a_queue_that_is_away_at_the_start_is_used_once_it_is_there(tmp_path):
    there, now = False, 0.0

    def open_now():
        if not there:
            raise QueueError("away")
        return SqliteQueue(tmp_path / "q.sqlite", 10)

    queue = LaterQueue(open_now, QueueError("away"), lambda: now)
    for method in (lambda: queue.put([b"a"]), queue.waiting, lambda: queue.take(1, 0.0)):
        now += 2.0
        with pytest.raises(QueueError, match="away"):
            method()
    there = True
    with pytest.raises(QueueError):
        queue.put([b"a"])  # tried just now
    now += 2.0
    queue.put([b"a"])
    taken = queue.take(1, 0.0)
    assert [message.body for message in taken] == [b"a"]
    queue.acknowledge(taken)
    assert queue.waiting()[0] == 0
    queue.close()


def test_a_queue_that_is_away_is_one_sentence_once_it_is_used(tmp_path):
    pytest.importorskip("redis")
    queue = open_queue(CollectConfig(queue="redis://127.0.0.1:1/0"), tmp_path)
    with pytest.raises(QueueError, match=r"redis://127\.0\.0\.1:1/0 cannot be used"):
        queue.put([b"a"])
    queue.close()
