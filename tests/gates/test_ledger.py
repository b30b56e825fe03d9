"""How often a held-out set was looked at: nothing is lost, nothing foreign is believed, no gate is stopped."""

import datetime
import json
import math
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.gates import ledger

NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


def look(gate_set="g", checkpoint="c", suite="s", decision="PASS"):
    return ledger.Consultation(suite, gate_set, 7, checkpoint, decision)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("gh"), st.sampled_from("abcd")), min_size=1, max_size=12))
def test_different_checkpoints_are_counted_for_each_set(tmp_path_factory, looks):
    path = tmp_path_factory.mktemp("ledger") / "below" / "ledger.jsonl"
    for i, (gate_set, checkpoint) in enumerate(looks):
        found = ledger.record(path, look(gate_set, checkpoint))
        before = [other for which, other in looks[: i + 1] if which == gate_set]
        assert found == ledger.Consultations(len(before), len(set(before)))
        assert ledger.consultations(path, gate_set) == found


def test_a_line_says_who_asked_what_when(tmp_path):
    ledger.record(tmp_path / "l", look(suite="lunar\nlander"), now=NOON)
    (line,) = (tmp_path / "l").read_text().splitlines()
    assert json.loads(line) == {
        "schema": 1, "suite": "lunar\nlander", "gate_set": "g", "gate_seed": 7, "checkpoint": "c",
        "date": "2026-01-02T12:00:00+00:00", "decision": "PASS",
    }  # fmt: skip


def test_there_is_nothing_in_a_ledger_that_is_not_there(tmp_path):
    assert ledger.consultations(tmp_path / "none", "g") == ledger.Consultations(0, 0)


DAMAGE = st.sampled_from([
    b"{", b"\xff\xfe", b"[]", b"null", b'{"schema": 2, "gate_set": "g", "checkpoint": "x"}', b"[" * 5000, b"x" * 9000,
    b'{"schema": 1, "gate_set": "g"}', b'{"schema": 1, "gate_set": "g", "checkpoint": 3}', b'{"schema": NaN}', b"1e999",
])  # fmt: skip


@given(st.lists(DAMAGE, min_size=1, max_size=5), st.booleans())
def test_damaged_lines_are_skipped_and_counted(tmp_path_factory, damage, torn):
    path = tmp_path_factory.mktemp("ledger") / "l"
    ledger.record(path, look(checkpoint="a"))
    with open(path, "ab") as file:
        file.write(b"\n".join(damage) + (b"" if torn else b"\n\n"))
    found = ledger.record(path, look(checkpoint="b"))  # never glued to a line that was torn
    assert found == ledger.Consultations(2, 2, damaged=len(damage))


def _record(path, who):
    for i in range(20):
        ledger.record(Path(path), look(checkpoint=f"{who}-{i}"))


def test_processes_and_threads_lose_no_line(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_record, args=(tmp_path / "l", who)) for who in "ab"]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda who: _record(tmp_path / "l", who), "cdef"))
    for process in processes:
        process.join(timeout=60)
    assert ledger.consultations(tmp_path / "l", "g") == ledger.Consultations(120, 120)


def test_a_full_ledger_stops_no_gate_and_grows_no_further(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "MAX_BYTES", 1000)
    found = [ledger.record(tmp_path / "l", look(checkpoint=str(i))) for i in range(20)]
    assert (tmp_path / "l").stat().st_size <= 1000
    assert found[0].problem is None
    assert "is full" in found[-1].problem
    kept = ledger.consultations(tmp_path / "l", "g").checkpoints
    assert found[-1].checkpoints == kept + 1  # this one is counted, though it is not on record


def test_a_giant_that_is_not_ours_is_not_read(tmp_path):
    with open(tmp_path / "l", "wb") as file:
        file.truncate(ledger.MAX_BYTES + 1)
    assert "is full" in ledger.record(tmp_path / "l", look()).problem
    assert "larger than 64 MiB" in ledger.consultations(tmp_path / "l", "g").problem


def test_a_ledger_that_cannot_be_written_stops_no_gate(tmp_path):
    (tmp_path / "file").write_text("")
    found = ledger.record(tmp_path / "file" / "l", look())
    assert (found.looks, found.checkpoints) == (1, 1)
    assert "cannot be written" in found.problem
    (tmp_path / "folder").mkdir()
    assert "cannot be written" in ledger.record(tmp_path / "folder", look()).problem


def test_a_lock_that_nobody_gives_back_is_named(tmp_path, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(ledger, "LOCK_SECONDS", 0.05)
    with FileLock(tmp_path / "l.lock", is_singleton=False):
        assert "is locked by another process" in ledger.record(tmp_path / "l", look()).problem


def test_a_name_too_long_for_a_line_is_not_written(tmp_path):
    assert "longer than a line" in ledger.record(tmp_path / "l", look(suite="s" * 5000)).problem
    assert not os.path.exists(tmp_path / "l")


# -- the error rate ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.floats(1e-6, 0.5))
def test_the_union_bound_is_never_below_the_chance_under_independence(k, alpha):
    most, independent = ledger.error_rate(k, alpha)
    assert 0 <= independent <= most + 1e-12 <= 1 + 1e-12
    assert independent == pytest.approx(-math.expm1(k * math.log1p(-alpha)), abs=1e-9)


def test_the_error_rate_is_what_a_simulation_shows():
    rng = np.random.default_rng(0)
    accepted = (rng.random((20_000, 7)) < 0.05).any(axis=1).mean()
    assert accepted == pytest.approx(ledger.error_rate(7, 0.05)[1], abs=0.01)  # 0.3017


def test_the_note():
    assert ledger.error_rate_note(0, 0.05) == ledger.error_rate_note(1, 0.05) == ""
    assert ledger.error_rate_note(7, 0.05) == (
        "7 different checkpoints have been judged on this held-out set: the chance that some useless one among them is "
        "accepted is no longer 5 % but up to 35 % (30.2 % if they were independent); hold out fresh data, or another "
        "gate_seed, to start anew"
    )
    assert "up to 100 %" in ledger.error_rate_note(1000, 0.05)
