"""Files of a run directory: new directories, atomic writes, JSON, leftovers of killed processes."""

import errno
import json
import math
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval import run
from rl_eval.errors import InputError
from tests.run.values import JSON


def _create(path, barrier, queue):
    barrier.wait(timeout=300)
    queue.put(str(run.create_directory(Path(path))))


def test_two_processes_never_share_a_directory(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_create, args=(tmp_path / "a/b/run", barrier, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    paths = {queue.get(timeout=300) for _ in processes}
    for process in processes:
        process.join()
    assert paths == {str(tmp_path / "a/b/run"), str(tmp_path / "a/b/run_2")}


def test_many_threads_never_share_a_directory(tmp_path):
    barrier = threading.Barrier(16)

    def create(_):
        barrier.wait()
        return run.create_directory(tmp_path / "run")

    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(create, range(16)))
    assert len(set(paths)) == 16
    assert {path.name for path in paths} == {"run", *(f"run_{i}" for i in range(2, 17))}
    assert all(path.is_dir() for path in paths)


def test_a_directory_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/run cannot be created \(.+\): name another with hydra\.run\.dir="):
        run.create_directory(tmp_path / "file" / "run")


def test_numbers_that_are_not_finite_become_null_at_any_depth(tmp_path):
    values = {"a": float("nan"), "b": [np.float32("inf"), {"c": (-math.inf, np.float64(1.5))}], 3: np.int64(7)}
    run.write_json(tmp_path / "x.json", values)
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "schema": 1,
        "a": None,
        "b": [None, {"c": [None, 1.5]}],
        "3": 7,
    }


@settings(max_examples=50)
@given(values=st.dictionaries(st.text(max_size=5).filter(lambda name: name != "schema"), JSON, max_size=4))
def test_json_comes_back_as_it_was(tmp_path_factory, values):
    file = tmp_path_factory.getbasetemp() / "round_trip.json"
    run.write_json(file, values)
    assert run.read_json(file) == {"schema": 1, **values}
    assert not list(file.parent.glob(".*.tmp"))


def test_a_reader_never_sees_half_a_file(tmp_path):
    file, done = tmp_path / "x.json", threading.Event()
    values = [{"n": n, "long": [n] * 20_000} for n in (1, 2)]
    run.write_json(file, values[0])

    def write():
        for i in range(40):
            run.write_json(file, values[i % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        content = run.read_json(file)
        assert set(content["long"]) == {content["n"]}
    writer.join()


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    run.write_json(tmp_path / "x.json", {"n": 1})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        run.write_json(tmp_path / "x.json", {"n": 2})
    assert run.read_json(tmp_path / "x.json")["n"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"cannot be read as JSON \(.+\): it is damaged or from another program"),
        ('{"schema": 1, "status"', "cannot be read as JSON"),
        ("\udcff", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "does not say `schema: 1`: it was written by another program or version"),
        ("{}", "does not say `schema: 1`"),
        ('{"schema": 2}', "does not say `schema: 1`"),
    ],
)
def test_json_that_is_not_ours_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=rf"x\.json {message}"):
        run.read_json(tmp_path / "x.json")


def test_json_that_is_missing_or_too_large_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"x\.json does not exist"):
        run.read_json(tmp_path / "x.json")
    with open(tmp_path / "x.json", "wb") as file:
        file.truncate(run.MAX_JSON_BYTES + 1)
    with pytest.raises(InputError, match=r"x\.json is larger than 16 MiB"):
        run.read_json(tmp_path / "x.json")
    os.truncate(tmp_path / "x.json", run.MAX_JSON_BYTES)
    with pytest.raises(InputError, match="cannot be read as JSON"):
        run.read_json(tmp_path / "x.json")


def test_only_temporary_files_of_killed_processes_are_removed(run_directory):
    for place in (".run.json.7.tmp", "snapshots/.step_3.7.gone", "resume/.step_3.7.tmp"):
        (run_directory / place).mkdir(parents=True) if "step" in place else (run_directory / place).write_text("{")
    keep = {".hydra", ".tmp", "x.7.tmp", ".a.b.tmp"}
    for name in keep:
        (run_directory / name).mkdir()
    run.remove_leftovers(run_directory)
    assert {path.name for path in run_directory.iterdir()} == {*keep, "snapshots", "resume", "run.json", "config.yaml"}
    assert {path.name for path in (run_directory / "snapshots").iterdir()} == {"step_20", "step_100"}
    assert not list((run_directory / "resume").iterdir())


def test_a_directory_without_room_for_a_run_is_refused_and_gone(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(tmp_path)
    directory = run.create_directory(Path("outputs/2026-01-01/run"))
    run.require_room(directory)
    assert list(directory.iterdir()) == []
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="has no room for a run"):
        run.require_room(directory)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_hold_something_else_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    directory, other = (run.create_directory(Path("outputs/2026-01-01") / name) for name in ("run", "other"))
    run.discard_directory(directory)
    assert other.is_dir()
    assert not directory.exists()
    (tmp_path / "mine").mkdir()
    run.discard_directory(run.create_directory(Path("mine/run")))
    assert (tmp_path / "mine").is_dir()
