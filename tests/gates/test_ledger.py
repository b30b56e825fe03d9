"""The ledger loses no entry, ignores foreign lines, and never stops a gate."""

import datetime
import json
import math
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval import seeding
from rl_eval.exposure import Exposure, Fingerprints, write_exposure
from rl_eval.gates import evaluate_suite, ledger, load_suite, named_runs
from tests.gates.fake_runs import BALANCE, FALL, record_files, write_run, write_suite

NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


def entry(test_set="g", policy="c", suite="s", decision="PASS"):
    return ledger.LedgerEntry(suite, test_set, 7, (policy,), decision)


@given(st.lists(st.tuples(st.sampled_from("gh"), st.sampled_from("abcd")), min_size=1, max_size=12))
def test_different_policies_are_counted_for_each_set(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("ledger") / "below" / "ledger.jsonl"
    for i, (test_set, policy) in enumerate(pairs):
        use = ledger.record(path, entry(test_set, policy))
        before = [other for which, other in pairs[: i + 1] if which == test_set]
        assert use == ledger.TestSetUse(len(before), len(set(before)))
        assert ledger.use_of(path, test_set) == use


def test_an_entry_has_policy_test_set_and_time(tmp_path):
    ledger.record(tmp_path / "l", entry(suite="lunar\nlander"), now=NOON)
    (line,) = (tmp_path / "l").read_text().splitlines()
    assert json.loads(line) == {
        "schema": 3, "suite": "lunar\nlander", "test_set": "g", "gate_seed": 7, "policies": ["c"],
        "date": "2026-01-02T12:00:00+00:00", "decision": "PASS",
    }  # fmt: skip


def test_there_is_nothing_in_a_ledger_that_is_not_there(tmp_path):
    assert ledger.use_of(tmp_path / "none", "g") == ledger.TestSetUse(0, 0)


DAMAGE = st.sampled_from([
    b"{", b"\xff\xfe", b"[]", b"null", b'{"schema": 1, "test_set": "g", "policies": ["x"]}', b"[" * 5000, b"x" * 9000,
    b'{"schema": 3, "test_set": "g"}', b'{"schema": 3, "test_set": "g", "policies": 3}', b'{"schema": NaN}', b"1e999",
    b'{"schema": 3, "test_set": "g", "policies": []}', b'{"schema": 3, "test_set": "g", "policies": [["a"]]}',
])  # fmt: skip


@given(st.lists(DAMAGE, min_size=1, max_size=5), st.booleans())
def test_damaged_lines_are_skipped_and_counted(tmp_path_factory, damage, torn):
    path = tmp_path_factory.mktemp("ledger") / "l"
    ledger.record(path, entry(policy="a"))
    with open(path, "ab") as file:
        file.write(b"\n".join(damage) + (b"" if torn else b"\n\n"))
    use = ledger.record(path, entry(policy="b"))  # never glued to a line that was torn
    assert use == ledger.TestSetUse(2, 2, damaged=len(damage))


def _record(path, who):
    for i in range(20):
        ledger.record(Path(path), entry(policy=f"{who}-{i}"))


def test_processes_and_threads_lose_no_line(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_record, args=(tmp_path / "l", who)) for who in "ab"]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda who: _record(tmp_path / "l", who), "cdef"))
    for process in processes:
        process.join(timeout=300)
    assert ledger.use_of(tmp_path / "l", "g") == ledger.TestSetUse(120, 120)


def test_a_full_ledger_stops_no_gate_and_grows_no_further(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "MAX_BYTES", 1000)
    use = [ledger.record(tmp_path / "l", entry(policy=str(i))) for i in range(20)]
    assert (tmp_path / "l").stat().st_size <= 1000
    assert use[0].problem is None
    assert "is full" in use[-1].problem
    before = ledger.use_of(tmp_path / "l", "g").policies
    assert use[-1].policies == before + 1  # this one is counted, though it is not on record


def test_a_giant_that_is_not_ours_is_not_read(tmp_path):
    with open(tmp_path / "l", "wb") as file:
        file.truncate(ledger.MAX_BYTES + 1)
    assert "is full" in ledger.record(tmp_path / "l", entry()).problem
    assert "larger than 64 MiB" in ledger.use_of(tmp_path / "l", "g").problem


def test_a_ledger_that_cannot_be_written_stops_no_gate(tmp_path):
    (tmp_path / "file").write_text("")
    use = ledger.record(tmp_path / "file" / "l", entry())
    assert (use.entries, use.policies) == (1, 1)
    assert "cannot be written" in use.problem
    (tmp_path / "folder").mkdir()
    assert "cannot be written" in ledger.record(tmp_path / "folder", entry()).problem


def test_a_ledger_that_is_no_file_is_neither_read_nor_written(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    use = ledger.record(tmp_path / "pipe", entry())
    assert (use.entries, use.policies) == (1, 1)
    assert "not a regular file" in use.problem
    assert "not a regular file" in ledger.use_of(tmp_path / "pipe", "g").problem


def test_a_lock_that_nobody_gives_back_is_named(tmp_path, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(ledger, "LOCK_SECONDS", 0.05)
    with FileLock(tmp_path / "l.lock", is_singleton=False):
        assert "is locked by another process" in ledger.record(tmp_path / "l", entry()).problem


def test_a_name_too_long_for_a_line_is_not_written(tmp_path):
    assert "too long for a line" in ledger.record(tmp_path / "l", entry(suite="s" * ledger.MAX_LINE)).problem
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


def test_the_note_says_how_many_policies_and_both_error_rates():
    assert ledger.error_rate_note(0, 0.05) == ledger.error_rate_note(1, 0.05) == ""
    note = ledger.error_rate_note(7, 0.05)
    assert note.startswith("7 different policies")
    assert all(rate in note for rate in ("5 %", "35 %", "30.2 %"))
    assert "up to 100 %" in ledger.error_rate_note(1000, 0.05)


# -- what is recorded --------------------------------------------------------------------------------------------------


def suite(tmp_path, name="s", leaks="report"):
    text = f"rl_eval: 1\nenv: cartpole\ncontrols: []\nleaks: {leaks}\ngate_seed: 3\nepisodes: {{fixed: 3}}\n"
    text += "criteria:\n  c: {metric: mean_return, at_least: 400, by: estimate}\n"
    return load_suite(write_suite(tmp_path / f"{name}.yaml", text))


def use_after_judging(tmp_path, suite, *paths):
    """The entries for a suite's test set after judging these runs as one."""
    selection = named_runs(suite, paths)
    verdict = ledger.record_verdict(tmp_path / "l", selection, evaluate_suite(suite, selection))
    return ledger.use_of(tmp_path / "l", verdict.test_set)


def test_a_policy_counts_once_wherever_it_lies_and_whatever_suite_plays_it(tmp_path):
    first = suite(tmp_path)
    assert use_after_judging(tmp_path, first, write_run(tmp_path / "a").path).policies == 1
    assert use_after_judging(tmp_path, first, write_run(tmp_path / "copy").path) == ledger.TestSetUse(2, 1)
    assert use_after_judging(tmp_path, suite(tmp_path, "other"), tmp_path / "a") == ledger.TestSetUse(3, 1)
    assert use_after_judging(tmp_path, first, write_run(tmp_path / "b", rule=FALL).path) == ledger.TestSetUse(4, 2)


def test_a_verdict_says_how_many_lines_of_the_ledger_were_skipped(tmp_path):
    selection = named_runs(suite(tmp_path), [write_run(tmp_path / "run").path])
    verdict = evaluate_suite(suite(tmp_path), selection)

    def recorded():
        criteria = ledger.record_verdict(tmp_path / "l", selection, verdict).criteria
        return next(row.detail for row in criteria if row.criterion == "held_out")

    assert "cannot be read" not in recorded()
    for garbled, count in (
        (b"{\n", "1 line of"),
        (b'{"schema": 2, "test_set": "g", "policies": ["a"]}\n', "2 lines of"),
    ):
        with open(tmp_path / "l", "ab") as file:
            file.write(garbled)
        assert count in recorded()


def test_a_group_is_one_policy_and_none_once_its_members_were_judged_alone(tmp_path):
    checked = suite(tmp_path)
    runs = [write_run(tmp_path / name, rule=rule).path for name, rule in (("a", BALANCE), ("b", FALL))]
    assert use_after_judging(tmp_path, checked, *runs) == ledger.TestSetUse(1, 1)
    assert use_after_judging(tmp_path, checked, *reversed(runs)) == ledger.TestSetUse(2, 1)
    assert use_after_judging(tmp_path, checked, runs[0]) == ledger.TestSetUse(3, 2)
    assert use_after_judging(tmp_path, checked, runs[1]) == ledger.TestSetUse(4, 2)
    assert use_after_judging(tmp_path, checked, *runs) == ledger.TestSetUse(5, 2)


@given(st.lists(st.frozensets(st.sampled_from("abcde"), min_size=1), max_size=8))
def test_no_useless_policy_is_accepted_without_being_counted(judged):
    """A useless policy is accepted alone, or in a group of which it is the worst: each such event has to be counted."""
    for useless in map(set, ("a", "b", "ab", "abcde")):
        events = {keys & useless for keys in set(judged) if keys & useless}
        counted = ledger.count_policies(judged)
        # a group is accepted only if its worst member is, so the least sets cover all events
        least = [event for event in events if not any(other < event for other in events)]
        assert len(least) <= counted
    assert ledger.count_policies(judged) <= len(set(judged))
    assert ledger.count_policies([*judged, *judged]) == ledger.count_policies(judged)


def test_what_did_not_play_is_not_recorded(tmp_path):
    run = write_run(tmp_path / "run")
    exposed = np.array(seeding.episode_seeds(3, 3), np.int64)
    nothing = Fingerprints.empty()
    write_exposure(run.path, Exposure(False, nothing, nothing, exposed, np.empty(0, np.int64)))
    record_files(run.path)
    refusing = suite(tmp_path, leaks="refuse")
    selection = named_runs(refusing, [run.path])
    verdict = evaluate_suite(refusing, selection)
    assert verdict.decision == "ERROR"
    assert ledger.record_verdict(tmp_path / "l", selection, verdict) == verdict
    assert not (tmp_path / "l").exists()


def test_missing_crashing_and_trivial_policies_are_not_counted(tmp_path, monkeypatch):
    (tmp_path / "their_crash.py").write_text("def act(obs):\n    raise RuntimeError('crash')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for spec in (
        "onnx:gone.onnx",
        "python:nowhere:act",
        "python:their_crash:act",
        "random",
        "constant:0",
        "untrained:3",
    ):
        checked = suite(tmp_path)
        selection = named_runs(checked, [spec])
        ledger.record_verdict(tmp_path / "l", selection, evaluate_suite(checked, selection, trust=True))
    assert not (tmp_path / "l").exists()


def test_policies_that_nobody_can_identify_count_by_name():
    assert ledger.policy_keys(["python:a:f"]) == ledger.policy_keys(["python:a:f"])
    assert ledger.policy_keys(["python:a:f"]) != ledger.policy_keys(["python:a:g"])
    assert ledger.policy_keys(["random", "constant:0"]) == ledger.policy_keys(["constant:0", "random"])
