"""A clock that is ahead when a process starts removes nothing before its time."""

import time

import pytest

from rl_eval.cli import main
from rl_eval.production.clock import SteadyClock
from rl_eval.production.clock_check import ClockError, check_clock, forget_time, note_time
from rl_eval.production.collector import Collector
from tests.production.served import Loop

WEEK = 7 * 86_400.0
AHEAD = WEEK + 3600.0


@pytest.fixture
def loop(runs, tmp_path):
    loop = Loop(tmp_path, runs)
    yield loop
    loop.close()


class Ticks:
    """A stop event that ends after so many waits."""

    def __init__(self, count):
        self.left = count

    def is_set(self):
        return self.left <= 0

    def wait(self, timeout):
        self.left -= 1


def test_only_a_clock_that_is_ahead_by_more_than_the_retention_is_in_doubt(loop):
    store = loop.store
    note_time(store, 1e9)
    check_clock(store, 1e9 + WEEK, WEEK)
    check_clock(store, 1e9 - 10 * WEEK, WEEK)
    with pytest.raises(ClockError, match=r"it is at 2001-09-16 02:46 UTC, 7\.0 days after .* \(2001-09-09 01:46 UTC\)"):
        check_clock(store, 1e9 + AHEAD, WEEK)
    forget_time(store)
    check_clock(store, 1e9 + AHEAD, WEEK)
    note_time(store, 1e9 + AHEAD)
    check_clock(store, 1e9 + AHEAD, WEEK)


def test_a_collector_with_such_a_clock_waits_and_says_so_once(loop, caplog):
    loop.live(3)
    loop.collect()
    loop.collector.maintain()
    loop.live(2)
    wrong = Collector(loop.config, loop.store, loop.queue, SteadyClock(lambda: time.time() + AHEAD, time.monotonic))
    wrong.run(Ticks(5), 0.0)
    assert caplog.text.count("collecting waits: the clock may be wrong, so nothing is removed by it") == 1
    assert len(loop.store.accepted()) == 3
    assert loop.queue.waiting()[0] > 0
    Collector(loop.config, loop.store, loop.queue).run(Ticks(1), 0.0)
    assert len(loop.store.accepted()) == 5


def test_a_server_with_such_a_clock_keeps_the_queue(loop, caplog):
    loop.live(2)
    waiting = loop.queue.waiting()[0]
    loop.server.clock = SteadyClock(lambda: time.time() + AHEAD, time.monotonic)
    loop.follower._noted = loop.follower._removed = float("-inf")
    loop.follower.look()
    loop.follower.look()
    assert loop.queue.waiting()[0] == waiting > 0
    assert caplog.text.count("nothing is removed from the queue: the clock may be wrong") == 1
    assert loop.decide()["decision_id"] is not None


def test_after_a_long_absence_a_person_says_that_the_clock_is_right(loop, monkeypatch, capsys):
    loop.live(3)
    loop.collect()
    loop.collector.maintain()
    config, now = str(loop.config.directory / "production.yaml"), time.time()
    monkeypatch.setattr(time, "time", lambda: now + AHEAD)
    assert main(["production", "erase", config, "alice"]) == 2
    assert "the clock may be wrong" in capsys.readouterr().err
    assert len(loop.store.accepted()) == 3
    assert main(["production", "erase", config, "--old"]) == 0
    assert "erased 3 old decisions" in capsys.readouterr().out
    assert loop.store.outcomes() == []
    assert main(["production", "erase", config, "alice"]) == 0
    for words in ([], ["alice", "--old"]):
        assert main(["production", "erase", config, *words]) == 2
