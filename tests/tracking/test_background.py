"""Slow, broken and hanging trackers do not affect training."""

import threading

import numpy as np

from rl_eval.tracking._background import BackgroundTracker


class Recorder:
    def __init__(self, fail_on=(), wait_for=None):
        self.calls, self._fail_on, self._wait_for = [], fail_on, wait_for

    def _record(self, name, *args):
        if self._wait_for:
            self._wait_for.wait(60)
        self.calls.append((name, *args))
        if name in self._fail_on:
            raise ConnectionError("the server went away\nand left a long story")

    def log(self, row, env_steps):
        self._record("log", row, env_steps)

    def summary(self, values):
        self._record("summary", values)

    def close(self, status):
        self._record("close", status)


def test_everything_arrives_in_order_and_before_close_returns():
    recorder = Recorder()
    tracker = BackgroundTracker("test", lambda: recorder, timeout=60)
    row = {"env_steps": 0, "loss": np.float32(0.5), "select": None}
    for step in (100, 200):
        row["env_steps"] = step
        tracker.log(row, np.int64(step))
        row["loss"] = 0.25  # the caller reuses its row
    tracker.summary({"a": 1})
    tracker.close("finished")
    assert recorder.calls == [
        ("log", {"loss": 0.5}, 100),
        ("log", {"loss": 0.25}, 200),
        ("summary", {"a": 1}),
        ("close", "finished"),
    ]


def test_a_failure_is_reported_once_and_the_tracker_is_still_closed(capsys):
    recorder = Recorder(fail_on=("log", "close"))
    tracker = BackgroundTracker("test", lambda: recorder, timeout=60)
    for step in range(5):
        tracker.log({"loss": 1.0}, step)
    tracker.close("failed")
    tracker.close("failed")
    tracker.log({"loss": 1.0}, 9)
    assert [call[0] for call in recorder.calls] == ["log", "close"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "ConnectionError: the server went away" in line


def test_a_tracker_that_cannot_start_is_reported_once(capsys):
    def start():
        raise OSError("disk is full")

    tracker = BackgroundTracker("test", start, timeout=60)
    tracker.log({"loss": 1.0}, 1)
    tracker.close("finished")
    assert capsys.readouterr().err.count("could not start (OSError: disk is full)") == 1


def test_a_tracker_that_hangs_costs_no_more_than_its_timeout(capsys):
    release = threading.Event()
    recorder = Recorder(wait_for=release)
    tracker = BackgroundTracker("test", lambda: recorder, timeout=0.2)
    for step in range(1000):
        tracker.log({"loss": 1.0}, step)
    tracker.close("finished")
    assert recorder.calls == []  # neither `log` nor `close` has waited for it
    assert capsys.readouterr().err.count("did not finish within 0.2 s") == 1
    release.set()


def test_rows_for_a_tracker_that_hangs_are_dropped_instead_of_queued(capsys):
    release = threading.Event()
    recorder = Recorder(wait_for=release)
    tracker = BackgroundTracker("test", lambda: recorder, timeout=1e6, max_queued=10)
    for step in range(1000):
        tracker.log({"loss": 1.0}, step)
    tracker.close("finished")
    assert recorder.calls == []  # `close` has not waited for it
    assert capsys.readouterr().err.count("it does not respond") == 1
    release.set()


def test_a_closed_stderr_is_survived(monkeypatch, tmp_path):
    closed = open(tmp_path / "stderr", "w")  # noqa: SIM115
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    recorder = Recorder(fail_on=("log",))
    tracker = BackgroundTracker("test", lambda: recorder, timeout=60)
    tracker.log({"loss": 1.0}, 1)
    tracker.close("finished")
    assert recorder.calls == [("log", {"loss": 1.0}, 1), ("close", "finished")]
