"""The collector: what cannot be stored waits and is not acknowledged; a clock that jumps removes nothing."""

import sqlite3
import threading
import time

import pytest
from sqlalchemy import event

from rl_eval.cli import main
from rl_eval.production.clock import SteadyClock
from rl_eval.production.clock_check import ClockError
from rl_eval.production.collector import GATHER_S, Collector
from rl_eval.production.parts import open_parts
from rl_eval.production.store import UnavailableError
from rl_eval.production.watch import pages
from rl_eval.production.watch.figures import read_figures
from rl_eval.production.watch.metrics import prometheus_text
from tests.production.served import Loop, write_config


@pytest.fixture
def loop(runs, tmp_path):
    loop = Loop(tmp_path, runs)
    yield loop
    loop.close()


@pytest.mark.verify
def test_a_store_on_a_full_disk_keeps_the_messages_in_the_queue_and_says_so(loop):
    """`max_page_count` makes SQLite fail as a full disk does."""
    ids = loop.live(40)
    waiting = loop.queue.waiting()[0]
    engine = loop.store.database.engine

    def fill(connection, *_):
        connection.execute("PRAGMA max_page_count=1").close()

    event.listen(engine, "checkout", fill)
    with pytest.raises(UnavailableError, match=r"is full.*: it is tried again"):
        loop.collect()
    event.remove(engine, "checkout", fill)
    assert loop.queue.waiting()[0] == waiting
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000").close()
    loop.collect()
    assert sorted(one.decision.decision_id for one in loop.store.accepted()) == sorted(ids)
    assert loop.store.counts()["decisions"] == loop.store.counts()["accepted"] == 40


def test_a_clock_that_jumps_by_a_day_removes_nothing(loop, monkeypatch):
    times = {"wall": 1_700_000_000.0, "elapsed": 10.0}
    monkeypatch.setattr(time, "time", lambda: times["wall"])
    clock = SteadyClock(lambda: times["wall"], lambda: times["elapsed"])
    loop.server.clock = loop.queue._clock = clock
    collector = Collector(loop.config, loop.store, loop.queue, clock)
    loop.live(3)
    times["wall"] += 30 * 86_400
    loop.follower._counted = loop.follower._noted = loop.follower._removed = float("-inf")
    loop.follower.look()
    times["wall"] -= 31 * 86_400
    loop.live(1)
    assert loop.queue.remove_old(clock.now() - 3600) == 0
    times["wall"] += 86_400
    while collector.step():
        pass
    times["wall"] += 30 * 86_400
    collector.maintain()
    assert len(loop.store.accepted()) == 4
    times["elapsed"] += 3700
    times["wall"] += 3700
    collector._looked = collector._removed = float("-inf")
    with pytest.raises(ClockError):  # the jump has lasted, and is followed
        collector.maintain()
    assert len(loop.store.accepted()) == 4
    times["wall"] -= 30 * 86_400
    clock.now()
    for _ in range(2):  # eight days have passed in truth
        times["elapsed"] += 4 * 86_400
        times["wall"] += 4 * 86_400
        collector._looked = float("-inf")
        collector.maintain()
    times["elapsed"] += 3700
    times["wall"] += 3700
    collector._looked = collector._removed = float("-inf")
    collector.maintain()
    assert loop.store.accepted() == []
    assert loop.store.outcomes() == []


def test_few_messages_gather_and_many_are_stored_at_once(loop, monkeypatch):
    monkeypatch.setattr("rl_eval.production.collector.MESSAGES", 4)
    waits, turns = [], []

    class Stop(threading.Event):
        def is_set(self):
            turns.append(1)
            return super().is_set() or len(turns) > 20

        def wait(self, timeout=None):
            waits.append(timeout)
            if len(waits) == 1:
                loop.queue.put([b"[]"] * 6)
            self.set() if len(waits) == 2 else None

    loop.queue.put([b"[]"])
    loop.collector.run(Stop(), 0.0)
    assert loop.queue.waiting()[0] == 0
    assert waits == [GATHER_S, GATHER_S]  # after the first one, and after the last two of six


def test_two_collectors_share_the_work(loop):
    ids = loop.live(30)
    other = Collector(loop.config, loop.store, loop.queue)
    threads = [threading.Thread(target=lambda c=c: [c.step() for _ in range(20)]) for c in (loop.collector, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loop.collect()
    assert sorted(one.decision.decision_id for one in loop.store.accepted()) == sorted(ids)
    assert loop.store.counts()["accepted"] == 30


def test_the_reference_of_the_filter_outlives_the_collector(loop):
    loop.live(5)
    loop.collect()
    loop.collector._looked = float("-inf")
    loop.collector.maintain()
    again = Collector(loop.config, loop.store, loop.queue)
    again.step()
    assert again._filter.state == loop.collector._filter.state
    assert again._filter._count == 5


def test_erase_as_a_command(loop, tmp_path, capsys):
    loop.live(3, unit="alice")
    loop.live(2, unit="bob")
    loop.collect()
    loop.live(1, unit="alice")  # waits in the queue
    assert main(["production", "erase", str(write_config(tmp_path)), "alice"]) == 0
    assert "erased 3 decisions" in capsys.readouterr().out
    assert {one.unit for one in loop.store.outcomes()} == {loop.server._privacy.pseudonym("bob")}
    assert loop.queue.waiting()[0] == 0
    database = sqlite3.connect(tmp_path / "production" / "store.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_rewards_outside_the_bounds_of_a_roll_out_are_counted_and_said_once(loop, caplog):
    loop.live(3)  # rewards 0, 1 and 2
    loop.collect()
    ids = loop.live(4)  # and 0 to 3
    loop.collect()
    loop.post("/store_experience", decision_id=ids[-1], reward=3.0, done=True)  # once more
    loop.collect()
    said = [message for message in caplog.messages if "rollout.low and rollout.high, 0 and 1" in message]
    assert len(said) == 1
    with open_parts(loop.config) as parts:
        figures = read_figures(parts, 2e9)
    assert "rl_eval_loop_outside_bounds_total 3.0" in prometheus_text(figures).decode().splitlines()
    assert "3 rewards were outside" in pages.status_page(figures, [0.1])
