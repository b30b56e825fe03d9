"""Whatever ends at whatever moment: no acknowledged experience is lost, and none is trained twice."""

import contextlib
import itertools

import pytest
from sqlalchemy import event

from rl_eval.production.collector import Collector
from tests.production.served import Loop

# All of them in `make verify`.
POINTS = [point if point % 5 == 1 else pytest.param(point, marks=pytest.mark.verify) for point in range(1, 21)]


class Crash(BaseException):
    """The end of a process in the middle of a statement."""


@pytest.mark.parametrize("point", POINTS)
def test_a_collector_that_ends_at_any_statement_loses_nothing_and_counts_nothing_twice(runs, tmp_path, point):
    """Each of the first 20 statements that a collector sends after it has taken messages."""
    loop = Loop(tmp_path, runs)
    try:
        ids = loop.live(4, unit="a")
        statements = itertools.count(1)

        def crash(*_):
            if next(statements) == point:
                raise Crash

        loop.collector._read_filter()
        event.listen(loop.store.database.engine, "before_cursor_execute", crash)
        with contextlib.suppress(Crash):
            loop.collect()
        event.remove(loop.store.database.engine, "before_cursor_execute", crash)
        Collector(loop.config, loop.store, loop.queue).step()
        heir = Collector(loop.config, loop.store, loop.queue)
        while heir.step():
            pass
        assert [one.decision.decision_id for one in loop.store.accepted()] == ids
        counts = loop.store.counts()
        assert (counts["decisions"], counts["rewards"], counts["accepted"]) == (4, 4, 4)
        assert loop.queue.waiting()[0] == 0
    finally:
        loop.close()


def test_a_collector_that_ends_between_storing_and_acknowledging_counts_nothing_twice(runs, tmp_path, monkeypatch):
    loop = Loop(tmp_path, runs)
    try:
        ids = loop.live(4)

        def crash(_):
            raise Crash

        monkeypatch.setattr(loop.queue, "acknowledge", crash)
        with pytest.raises(Crash):
            loop.collector.step()
        monkeypatch.undo()
        heir = Collector(loop.config, loop.store, loop.queue)
        while heir.step():
            pass
        assert [one.decision.decision_id for one in loop.store.accepted()] == ids
        assert loop.store.counts()["accepted"] == 4
    finally:
        loop.close()
