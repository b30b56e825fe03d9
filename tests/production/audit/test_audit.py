"""The audit log: every change to a line, their order or their number shows, and writers do not disturb each other."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.production.audit import AuditError, AuditLog, append_where_configured, verify
from rl_eval.production.audit.log import Head


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A log of twelve lines."""
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    log = AuditLog(path)
    for index in range(12):
        log.append("promoted", "controller", {"version": index, "share": 0.1, "why": "Ü\n"})
    return path


def copy(written, folder):
    for ending in ("", ".head"):
        shutil.copy(f"{written}{ending}", folder / f"audit.jsonl{ending}")
    return folder / "audit.jsonl"


def test_a_whole_log_is_whole_and_says_its_head(written):
    checked = verify(written)
    assert checked.faults == ()
    assert checked.head.lines == 12
    assert verify(written, checked.head).faults == ()


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_changed_byte_is_found(written, tmp_path_factory, data):
    content = bytearray(written.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = copy(written, tmp_path_factory.mktemp("changed"))
    path.write_bytes(content)
    assert verify(path).faults


@pytest.mark.parametrize("remove", range(12))
def test_a_missing_line_is_found(written, tmp_path, remove):
    path = copy(written, tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:remove] + lines[remove + 1 :]))
    assert verify(path).faults


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(12)))
def test_reordered_lines_are_found(written, tmp_path_factory, order):
    path = copy(written, tmp_path_factory.mktemp("order"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[index] for index in order))
    assert bool(verify(path).faults) == (order != sorted(order))


def test_a_line_twice_and_one_of_another_log_are_found(written, tmp_path):
    path = copy(written, tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[2:]))
    assert verify(path).faults
    AuditLog(tmp_path / "other.jsonl").append("promoted", "controller", {"version": 7})
    path.write_bytes(b"".join([(tmp_path / "other.jsonl").read_bytes(), *lines[1:]]))
    assert verify(path).faults


@pytest.mark.parametrize("keep", range(12))
def test_a_tail_that_was_cut_off_is_found_by_the_head_or_by_one_kept_elsewhere(written, tmp_path, keep):
    path = copy(written, tmp_path)
    kept = verify(written).head
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:keep]))
    assert "cut off" in " ".join(verify(path).faults)
    if keep:  # an attacker who writes the head as well
        last = json.loads(lines[keep - 1])
        (tmp_path / "audit.jsonl.head").write_text(json.dumps({"lines": keep, "hash": last["hash"]}))
        assert verify(path).faults == ()
        assert verify(path, kept).faults


def test_a_log_that_was_written_anew_is_found_by_a_head_that_was_kept(written, tmp_path):
    anew = AuditLog(tmp_path / "audit.jsonl")
    for index in range(14):
        anew.append("promoted", "controller", {"version": 0 if index == 4 else index})
    assert verify(anew.path).faults == ()
    assert verify(anew.path, verify(written).head).faults


def test_nothing_is_appended_to_a_log_that_is_not_whole(written, tmp_path):
    path = copy(written, tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (lines[:-1], lines[:-1] + [lines[-1].replace(b"11", b"12")], [b"something else\n"]):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(AuditError, match=r"audit verify|not whole"):
            AuditLog(path).append("x", "y")
        assert path.read_bytes() == b"".join(damaged)


def test_a_line_that_a_killed_writer_left_half_written_is_replaced_and_named(written, tmp_path):
    path = copy(written, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"actor":"control')
    assert verify(path).faults
    AuditLog(path).append("next", "controller")
    assert verify(path).faults == ()
    events = [json.loads(line)["event"] for line in path.read_bytes().splitlines()]
    assert events[12:] == ["torn_line", "next"]


def test_a_writer_that_ended_before_it_wrote_the_head_is_followed(written, tmp_path):
    path = copy(written, tmp_path)
    before = (tmp_path / "audit.jsonl.head").read_bytes()
    AuditLog(path).append("thirteenth", "controller")
    (tmp_path / "audit.jsonl.head").write_bytes(before)
    assert verify(path).faults == ()
    AuditLog(path).append("fourteenth", "controller")
    assert verify(path).head.lines == 14


def append_many(path, name, count):
    log = AuditLog(path)
    for index in range(count):
        log.append("decided", name, {"index": index})


def test_several_processes_write_one_chain(tmp_path):
    path, context = tmp_path / "audit.jsonl", multiprocessing.get_context("fork")
    workers = [context.Process(target=append_many, args=(path, f"w{index}", 15)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    checked = verify(path)
    assert checked.faults == ()
    assert checked.head.lines == 60
    entries = [json.loads(line) for line in path.read_bytes().splitlines()]
    for name in {entry["actor"] for entry in entries}:
        assert [entry["facts"]["index"] for entry in entries if entry["actor"] == name] == list(range(15))


@pytest.mark.verify
def test_killed_writers_leave_a_whole_chain_with_all_that_was_acknowledged(tmp_path):
    path, done = tmp_path / "audit.jsonl", tmp_path / "done"
    code = (
        "import sys; from pathlib import Path; from rl_eval.production.audit import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "while True:\n"
        "    head = log.append('decided', 'w', {'x': 'y' * 3000})\n"
        "    open(sys.argv[2], 'a').write(f'{head}\\n')\n"
    )
    for kill in range(20):
        process = subprocess.Popen([sys.executable, "-c", code, str(path), str(done)], env=os.environ)
        start = done.stat().st_size if done.exists() else 0
        while not done.exists() or done.stat().st_size == start:
            time.sleep(0.01)
        time.sleep(0.003 * kill)
        process.send_signal(signal.SIGKILL)
        process.wait()
    AuditLog(path).append("after", "test")
    assert verify(path).faults == ()
    for line in done.read_text().splitlines()[-50:]:
        assert verify(path, Head.parse(line)).faults == ()


def test_what_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        AuditLog(tmp_path / "file" / "audit.jsonl").append("x", "y")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        AuditLog(tmp_path / "folder.jsonl").append("x", "y")
    with pytest.raises(InputError, match="at most"):
        AuditLog(tmp_path / "long.jsonl").append("x", "y", {"text": "z" * 70_000})
    with pytest.raises(InputError, match="cannot be read"):
        verify(tmp_path / "absent.jsonl")


def test_the_variable_names_the_log(tmp_path, monkeypatch):
    monkeypatch.delenv("RL_EVAL_AUDIT", raising=False)
    append_where_configured("trained", "train.py", {})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("RL_EVAL_AUDIT", str(tmp_path / "a" / "audit.jsonl"))
    append_where_configured("trained", "train.py", {"loss": float("nan")})
    assert verify(tmp_path / "a" / "audit.jsonl").head.lines == 1
