"""Embedded parts on a disk that is full when a process starts, or fills later: what processes say and do."""

import errno
import os
import shlex
import shutil
import subprocess
import sys
import time

import pytest

from rl_eval.errors import InputError
from rl_eval.production.privacy import read_key
from rl_eval.production.queues.sqlite_queue import SqliteQueue
from rl_eval.production.recording import read_not_recording
from rl_eval.production.store import Store
from tests.production.served import ROOT, Loop

FULL_DISK = "mkdir disk && mount -t tmpfs -o size=1m none disk && {before}; cat /dev/zero > disk/zeros; exec {command}"
PARTS = """
import pathlib
from rl_eval.production.config import load_config
from rl_eval.production.parts import open_parts
with open_parts(load_config(pathlib.Path("p.yaml"))):
    pass
"""


def needs_mounts():
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("a small disk takes a mount namespace of one's own, which is not allowed here")


@pytest.mark.verify
@pytest.mark.parametrize(
    ("command", "is_there"),
    [
        ("serve", False),
        ("collect", False),
        ("run", False),
        ("run", True),
        ("pause --reason x", True),
        ("erase u", True),
    ],
)
def test_every_process_names_the_file_and_what_to_do(tmp_path, command, is_there):
    """Those that create a store, and on a store that was there before the disk was full."""
    needs_mounts()
    (tmp_path / "p.yaml").write_text("name: test\nfolder: disk\nregistry: {path: ../registry}\n")
    name, *more = command.split()
    words = [sys.executable, "-m", "rl_eval.cli", "production", name, "p.yaml", *more]
    before = shlex.join([sys.executable, "-c", PARTS]) if is_there else "true"
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", FULL_DISK.format(before=before, command=shlex.join(words))], cwd=tmp_path,
        text=True, capture_output=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RL_EVAL_PRIVACY_KEY": "k" * 32, "COLUMNS": "300"},
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert "disk/store.sqlite" in line
    assert "0 KiB are left on its disk" in line
    assert "make room" in line
    assert "tried again" not in line


@pytest.mark.verify
def test_a_disk_that_fills_is_seen_everywhere_and_all_goes_on_once_there_is_room(runs, tmp_path):
    needs_mounts()
    (tmp_path / "disk").mkdir()
    mount = "mount -t tmpfs -o size=16m none disk && exec "
    words = [sys.executable, "-m", "tests.production.filling_disk", str(runs / "one")]
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mount + shlex.join(words)], cwd=tmp_path, text=True, capture_output=True,
        timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_queue_that_is_full_shows_in_answers_health_metrics_and_the_store(runs, tmp_path, caplog):
    """`max_page_count` makes SQLite fail as a full disk does."""
    loop = Loop(tmp_path, runs)

    def look():
        loop.follower._recorded = float("-inf")
        loop.follower.look()
        metric = "rl_eval_production_recording 1.0" in loop.get("/metrics").text
        health = loop.get("/health")
        assert health.status_code == 200
        assert health.json()["recording"] is metric
        return metric, [one.reason for one in read_not_recording(loop.store, time.time())]

    kept = loop.decide()["decision_id"]
    assert look() == (True, [])
    loop.queue._db.execute("PRAGMA max_page_count=1")
    answers = [loop.decide([0.1] * 4) for _ in range(300)]
    refused = loop.post("/store_experience", decision_id=kept, reward=1.0, done=True)
    assert answers[-1]["decision_id"] is None
    assert (refused.status_code, "is full" in refused.json()["detail"]) == (503, True)
    recording, reasons = look()
    assert not recording
    assert ["is full" in reason for reason in reasons] == [True]
    assert caplog.text.count("decisions are served and not recorded") == 1
    loop.queue._db.execute("PRAGMA max_page_count=1000000")
    loop.server.recorder._failed_at = float("-inf")
    assert loop.decide()["decision_id"] is not None
    assert look() == (True, [])
    assert caplog.text.count("decisions are recorded again") == 1
    loop.close()


def test_a_disk_that_is_not_full_is_not_blamed(tmp_path):
    (tmp_path / "store.sqlite").write_bytes(b"no database" * 1000)
    for use in (
        lambda: Store("sqlite:///store.sqlite", tmp_path),
        lambda: SqliteQueue(tmp_path / "store.sqlite", 10),
    ):
        with pytest.raises(InputError, match=r"not a database\): see that it is whole"):
            use()


def test_a_key_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.delenv("RL_EVAL_PRIVACY_KEY", raising=False)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"privacy.key cannot be used \(No space left on device\): make room"):
        read_key(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.delenv("RL_EVAL_PRIVACY_KEY", raising=False)
    assert read_key(tmp_path) == read_key(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["privacy.key"]
