"""The run directory: exclusive, atomic, whole or refused, and never a way out of itself."""

import csv
import errno
import hashlib
import json
import math
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from rl_eval import run
from rl_eval.errors import InputError

DTYPES = st.sampled_from(
    [np.dtype(name) for name in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", ">f4", ">i8")]
)
ARRAYS = DTYPES.flatmap(lambda t: arrays_of.arrays(t, arrays_of.array_shapes(min_dims=0, min_side=0, max_dims=3)))
NAMES = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name != "__metadata__")
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=6)  # without a dot
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)


def same(a, b):
    """Equal to the bit, through dicts."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b


@pytest.fixture
def made(tmp_path):
    """A run directory with two snapshots, the first of which it names."""
    path = tmp_path / "run"
    for step in (100, 20):
        run.write_checkpoint(path / "snapshots" / f"step_{step}", "policy", {"w": np.full(3, step)}, {"step": step})
    run.write_json(path / "run.json", {"status": "finished", "snapshot": "step_20", "started": "2026-01-02"})
    run.write_text(path / "config.yaml", "env: {name: cartpole}\n")
    return path


def say(path, **values):
    """Rewrite `run.json` with other values."""
    run.write_json(path / "run.json", {**run.read_json(path / "run.json"), **values})


# -- directories -------------------------------------------------------------------------------------------------------


def _create(path, barrier, taken):
    barrier.wait(timeout=30)
    taken.put(str(run.create_directory(Path(path))))


def test_two_processes_never_share_a_directory(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, taken = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_create, args=(tmp_path / "a/b/run", barrier, taken)) for _ in range(2)]
    for process in processes:
        process.start()
    found = {taken.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
    assert found == {str(tmp_path / "a/b/run"), str(tmp_path / "a/b/run_2")}


def test_many_threads_never_share_a_directory(tmp_path):
    barrier = threading.Barrier(16)

    def create(_):
        barrier.wait()
        return run.create_directory(tmp_path / "run")

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(create, range(16)))
    assert len(set(found)) == 16
    assert {path.name for path in found} == {"run", *(f"run_{i}" for i in range(2, 17))}
    assert all(path.is_dir() for path in found)


def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/run cannot be created \(.+\): name another with hydra\.run\.dir="):
        run.create_directory(tmp_path / "file" / "run")


# -- JSON --------------------------------------------------------------------------------------------------------------


def test_what_is_not_finite_is_null_however_deep(tmp_path):
    values = {"a": float("nan"), "b": [np.float32("inf"), {"c": (-math.inf, np.float64(1.5))}], 3: np.int64(7)}
    run.write_json(tmp_path / "x.json", values)
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "schema": 1,
        "a": None,
        "b": [None, {"c": [None, 1.5]}],
        "3": 7,
    }


JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@settings(deadline=None, max_examples=50)
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
        found = run.read_json(file)
        assert set(found["long"]) == {found["n"]}
    writer.join()


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    run.write_json(tmp_path / "x.json", {"n": 1})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        run.write_json(tmp_path / "x.json", {"n": 2})
    assert run.read_json(tmp_path / "x.json")["n"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"cannot be read as JSON \(.+\): it is damaged or not ours"),
        ('{"schema": 1, "status"', "cannot be read as JSON"),
        ("\udcff", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "does not say `schema: 1`: it was written by another program or version"),
        ("{}", "does not say `schema: 1`"),
        ('{"schema": 2}', "does not say `schema: 1`"),
    ],
)
def test_json_that_is_not_ours_is_refused_by_name(tmp_path, content, said):
    (tmp_path / "x.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=rf"x\.json {said}"):
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


# -- checkpoints -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(arrays=st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_a_checkpoint_comes_back_to_the_bit_and_is_plain_safetensors(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("checkpoint") / "step_1"
    run.write_checkpoint(path, "policy", arrays, {"loss": float("nan"), "steps": np.int64(3)})
    back, meta = run.read_checkpoint(path, "policy")
    native = {name: array.astype(array.dtype.newbyteorder("=")) for name, array in arrays.items()}
    assert same(native, back)
    assert (meta["loss"], meta["steps"]) == (None, 3)
    assert same(native, safetensors.numpy.load_file(path / "policy.safetensors"))  # for any other program too
    assert {file.name for file in path.iterdir()} == {"policy.safetensors", "policy.json", "policy.sha256"}
    assert [file.name for file in path.parent.iterdir()] == ["step_1"]


def test_an_array_that_is_not_contiguous_is_saved_as_it_reads(tmp_path):
    array = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)[::2, :, ::-1]
    run.write_checkpoint(tmp_path / "s", "state", {"a": array}, {})
    assert np.array_equal(run.read_checkpoint(tmp_path / "s", "state")[0]["a"], array)


def test_a_checkpoint_replaces_the_one_before(tmp_path):
    for value in (1, 2):
        run.write_checkpoint(tmp_path / "s", "state", {"a": np.array(value)}, {"n": value})
        arrays, meta = run.read_checkpoint(tmp_path / "s", "state")
        assert (arrays["a"], meta["n"]) == (value, value)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), name=st.sampled_from(["policy.safetensors", "policy.json"]))
def test_one_bit_changed_or_one_byte_lost_is_refused_by_name(tmp_path_factory, data, name):
    path = tmp_path_factory.mktemp("damaged") / "step_1"
    run.write_checkpoint(path, "policy", {"w": np.arange(8, dtype=np.float32), "b": np.array(True)}, {"steps": 7})
    file = path / name
    whole = bytearray(file.read_bytes())
    if data.draw(st.booleans(), "truncate"):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        damaged, bit = whole.copy(), data.draw(st.integers(0, 8 * len(whole) - 1))
        damaged[bit // 8] ^= 1 << bit % 8
    file.write_bytes(damaged)
    with pytest.raises(run.DamagedError, match=rf"step_1/{re.escape(name)} is truncated or altered") as error:
        run.read_checkpoint(path, "policy")
    assert str(error.value) == f"{error.value.damage}: use another snapshot of the run"


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_damaged_record_of_the_hashes_is_refused_too(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "step_1"
    run.write_checkpoint(path, "policy", {"w": np.arange(8)}, {})
    file = path / "policy.sha256"
    whole = bytearray(file.read_bytes())
    end = whole.rindex(b"\n")  # the last line end says nothing
    if data.draw(st.booleans(), "truncate"):
        whole = whole[: data.draw(st.integers(0, end - 1))]
    else:
        bit = data.draw(st.integers(0, 8 * end - 1))
        whole[bit // 8] ^= 1 << bit % 8
    file.write_bytes(whole)
    with pytest.raises(run.DamagedError, match=r"step_1/policy\.(safetensors|json) is truncated or altered"):
        run.read_checkpoint(path, "policy")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
def test_sha256sum_checks_a_checkpoint(made):
    path = made / "snapshots" / "step_20"
    command = ["sha256sum", "--check", "--strict", "policy.sha256"]
    done = subprocess.run(command, cwd=path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "policy.safetensors: OK\npolicy.json: OK\n")
    (path / "policy.json").write_text("{}")
    assert subprocess.run(command, cwd=path, capture_output=True).returncode == 1


def test_other_damage_is_refused_by_name(made):
    path = made / "snapshots" / "step_20"
    payload, text = b"not what it says", (path / "policy.json").read_bytes()
    (path / "policy.safetensors").write_bytes(payload)
    with pytest.raises(InputError, match=r"policy\.safetensors is truncated or altered"):
        run.read_checkpoint(path, "policy")
    sums = [f"{hashlib.sha256(content).hexdigest()}  policy.{ending}\n" for content, ending in
            ((payload, "safetensors"), (text, "json"))]  # fmt: skip
    (path / "policy.sha256").write_text("".join(sums))
    with pytest.raises(InputError, match=r"policy\.safetensors is not a safetensors file"):
        run.read_checkpoint(path, "policy")
    for name in ("safetensors", "sha256"):
        (path / f"policy.{name}").unlink()
        with pytest.raises(InputError, match=rf"policy\.{name} does not exist: use another snapshot"):
            run.read_checkpoint(path, "policy")


@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
def test_a_checkpoint_that_cannot_be_written_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch, call):
    run.write_checkpoint(tmp_path / "step_1", "state", {"a": np.array(1)}, {})

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match=r"No space left on device.*step_"):
            run.write_checkpoint(tmp_path / "step_2", "state", {"a": np.array(2)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step_1"]
    assert run.read_checkpoint(tmp_path / "step_1", "state")[0]["a"] == 1


def test_what_a_killed_process_left_is_removed_and_nothing_else(made):
    for place in (".run.json.7.tmp", "snapshots/.step_3.7.gone", "resume/.step_3.7.tmp"):
        (made / place).mkdir(parents=True) if "step" in place else (made / place).write_text("{")
    keep = {".hydra", ".tmp", "x.7.tmp", ".a.b.tmp"}
    for name in keep:
        (made / name).mkdir()
    run.remove_leftovers(made)
    assert {path.name for path in made.iterdir()} == {*keep, "snapshots", "resume", "run.json", "config.yaml"}
    assert {path.name for path in (made / "snapshots").iterdir()} == {"step_20", "step_100"}
    assert not list((made / "resume").iterdir())


# -- the lock ----------------------------------------------------------------------------------------------------------

HOLD = """
import sys, pathlib
from rl_eval import run
with run.lock(pathlib.Path(sys.argv[1])):
    print(1, flush=True)
    input()
"""


def test_one_process_holds_a_run_and_a_killed_one_holds_nothing(made):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(made)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "1\n"
    with (
        pytest.raises(InputError, match="run is in use by another process, which trains or verifies it"),
        run.lock(made),
    ):
        pass
    other.kill()
    other.communicate()
    for _ in range(2):  # and it is given up at the end
        with run.lock(made):
            pass


def test_a_run_that_cannot_be_written_cannot_be_held(made):
    (made / "run.lock").mkdir()
    with pytest.raises(InputError, match=r"run\.lock cannot be written"), run.lock(made):
        pass


STATES = st.recursive(
    st.dictionaries(PLAIN, ARRAYS | SCALARS, max_size=3),
    lambda inner: st.dictionaries(PLAIN, ARRAYS | SCALARS | st.lists(st.integers()) | inner, max_size=3),
    max_leaves=6,
)


@given(STATES)
def test_a_state_is_put_together_as_it_was(state):
    arrays, rest = run.split_state(state)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    json.dumps(rest)  # no array is left in it
    before = json.dumps(rest)
    assert same(run.join_state(arrays, rest), state)
    assert json.dumps(rest) == before


# -- metrics.csv -------------------------------------------------------------------------------------------------------


def test_rows_are_appended_across_openings_in_the_order_of_the_header(tmp_path):
    file = tmp_path / "metrics.csv"
    run.MetricsLog(file).append({"env_steps": 1, "loss": np.float32(0.1), "note": float("nan")})
    run.MetricsLog(file).append({"note": -math.inf, "loss": 1e-30, "env_steps": np.int64(2)})
    assert list(csv.reader(file.open())) == [
        ["env_steps", "loss", "note"],
        ["1", repr(float(np.float32(0.1))), "nan"],
        ["2", "1e-30", "-inf"],
    ]
    with pytest.raises(ValueError, match=r"metrics row has \['note', 'other'\] more or less than the header"):
        run.MetricsLog(file).append({"env_steps": 3, "loss": 1.0, "other": 1.0})
    assert len(file.read_text().splitlines()) == 3


@given(rows=st.lists(st.tuples(st.integers(0, 10**9), st.floats()), min_size=1, max_size=12), data=st.data())
def test_numbers_come_back_to_the_bit_and_a_cut_log_is_one_that_stopped_there(tmp_path_factory, rows, data):
    keep = data.draw(st.integers(0, len(rows)))
    folder = tmp_path_factory.mktemp("metrics")
    whole, stopped = folder / "whole.csv", folder / "stopped.csv"
    log, short = run.MetricsLog(whole), run.MetricsLog(stopped)
    for i, (steps, loss) in enumerate(rows):
        log.append({"env_steps": steps, "loss": loss})
        if i < keep:
            short.append({"env_steps": steps, "loss": loss})
    read = run.read_metrics(whole)
    assert read["env_steps"].tolist() == [steps for steps, _ in rows]
    np.testing.assert_array_equal(read["loss"], [loss for _, loss in rows])
    with open(whole, "a") as file:
        file.write("12345")  # a row that a crash cut short
    assert len(run.read_metrics(whole)["loss"]) == len(rows)
    log.cut_to(keep)
    assert whole.exists() == stopped.exists()
    if keep:
        assert whole.read_bytes() == stopped.read_bytes()
    log.append({"env_steps": 1, "loss": 0.5})
    short.append({"env_steps": 1, "loss": 0.5})
    assert whole.read_bytes() == stopped.read_bytes()


@pytest.mark.parametrize("taken", [0, 1, 7])
def test_a_row_that_the_disk_does_not_take_leaves_the_log_as_it_was(tmp_path, monkeypatch, taken):
    file = tmp_path / "metrics.csv"
    log = run.MetricsLog(file)
    write = os.write

    def fill_up(descriptor, content):
        if taken and len(content) > taken:
            return write(descriptor, bytes(content[:taken])) if len(content) > 2 * taken else full()
        return full()

    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for steps in (1, 2):
        before = file.read_bytes() if file.exists() else b""
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fill_up)
            with pytest.raises(OSError, match=r"No space left on device.*metrics\.csv"):
                log.append({"env_steps": steps, "loss": 0.123456789012345})
        assert file.read_bytes() == before
        log.append({"env_steps": steps, "loss": 0.5})
        assert log.rows() == steps


def test_a_row_that_a_crash_cut_short_is_not_read(tmp_path):
    (tmp_path / "metrics.csv").write_text("env_steps,loss\n1,0.5\n2,0.25")
    assert run.read_metrics(tmp_path / "metrics.csv")["env_steps"].tolist() == [1]
    assert run.MetricsLog(tmp_path / "metrics.csv").rows() == 1


def test_a_log_that_is_missing_or_no_table_of_numbers_is_refused_by_name(tmp_path):
    run.MetricsLog(tmp_path / "metrics.csv").cut_to(5)  # nothing to cut
    with pytest.raises(InputError, match=r"metrics\.csv cannot be read"):
        run.read_metrics(tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").write_text("env_steps,loss\n1,\n2,low\n")
    with pytest.raises(InputError, match=r"metrics\.csv holds a cell that is not a number: .*'low'"):
        run.read_metrics(tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").write_bytes(b"env_steps,loss\n1,\xff\n")
    with pytest.raises(InputError, match=r"metrics\.csv cannot be read"):
        run.read_metrics(tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").write_text("env_steps,loss\n1,\n")
    assert np.isnan(run.read_metrics(tmp_path / "metrics.csv")["loss"][0])


# -- runs --------------------------------------------------------------------------------------------------------------


def test_the_judged_snapshot_is_the_one_named_else_the_last_by_number(made):
    assert run.read_run(made).judged_snapshot() == made / "snapshots" / "step_20"
    say(made, snapshot=None)
    assert run.read_run(made).judged_snapshot() == made / "snapshots" / "step_100"
    assert [path.name for path in run.read_run(made).snapshots()] == ["step_20", "step_100"]
    say(made, snapshot="step_7")
    with pytest.raises(InputError, match=r"run names 'step_7' as its policy, but has no such snapshot: train again"):
        run.read_run(made).judged_snapshot()
    for path in run.read_run(made).snapshots():
        run.remove_directory(path)
    say(made, snapshot=None)
    with pytest.raises(InputError, match=r"holds no snapshot: train on with `python train\.py resume=.*run`"):
        run.read_run(made).judged_snapshot()
    assert not list((made / "snapshots").iterdir())


@pytest.mark.parametrize(
    "named", ["..", ".", "", "/", "../../outside/step_1", "snapshots/step_20", "step_20/..", "step_1/../../x", 20, []]
)
def test_a_name_in_run_json_cannot_climb_out_of_the_run(made, tmp_path, named):
    run.write_checkpoint(tmp_path / "outside" / "step_1", "policy", {}, {})
    run.write_checkpoint(made / "step_1", "policy", {}, {})
    say(made, snapshot=named)
    with pytest.raises(InputError, match="but has no such snapshot"):
        run.read_run(made).judged_snapshot()


def test_a_link_among_the_snapshots_is_none(made, tmp_path):
    run.write_checkpoint(tmp_path / "outside" / "step_500", "policy", {}, {})
    (made / "snapshots" / "step_500").symlink_to(tmp_path / "outside" / "step_500")
    say(made, snapshot="step_500")
    with pytest.raises(InputError, match="but has no such snapshot"):
        run.read_run(made).judged_snapshot()
    say(made, snapshot=None)
    assert run.read_run(made).judged_snapshot().name == "step_100"


def test_only_whole_steps_are_steps(tmp_path):
    for name in ("step_3", "step_20", ".step_4.1.tmp", "step_", "step_x", "step_²", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "step_5").write_text("a file")
    assert [path.name for path in run.step_directories(tmp_path)] == ["step_3", "step_20"]
    assert run.step_directories(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "run.json").unlink(), "is not a run directory .*name one that train.py made"),
        (lambda path: (path / "config.yaml").unlink(), "is not a run directory"),
        (lambda path: (path / "run.json").write_text("{"), r"run\.json cannot be read as JSON"),
        (lambda path: say(path, status="done"), r"status 'done', not one of running, finished, failed, interrupted"),
        (lambda path: say(path, status=[]), r"status \[\], not one of"),
        (lambda path: (path / "config.yaml").write_text("env: [1"), r"config\.yaml cannot be read as YAML"),
        (lambda path: (path / "config.yaml").write_bytes(b"\xff"), r"config\.yaml cannot be read as YAML"),
        (lambda path: (path / "config.yaml").write_text("seed: 1"), r"config\.yaml holds no `env:` section"),
        (
            lambda path: (path / "config.yaml").write_text("env: !!python/object/apply:os.getcwd []"),
            r"config\.yaml cannot be read as YAML",
        ),
    ],
)
def test_a_directory_that_is_not_a_whole_run_is_refused_by_name(made, damage, said):
    run.read_run(made)
    damage(made)
    with pytest.raises(InputError, match=said) as error:
        run.read_run(made)
    assert "\n" not in str(error.value)


def test_runs_are_found_by_when_they_started_and_other_folders_are_passed_over(made, tmp_path):
    for i, (name, started) in enumerate([("sweep/1_lr=1", "2026-01-01"), ("sweep/0_lr=2", "2026-01-03")]):
        path = tmp_path / name
        path.mkdir(parents=True)
        run.write_json(path / "run.json", {"status": "failed", "started": started, "n": i})
        run.write_text(path / "config.yaml", "env: {name: cartpole}\n")
    for name, content in (("foreign", '{"version": 3}'), ("half", "{"), ("empty", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
        (tmp_path / name / "config.yaml").write_text("env: {}")
    (tmp_path / "folder" / "run.json").mkdir(parents=True)
    assert [found.path.name for found in run.find_runs(tmp_path)] == ["1_lr=1", "run", "0_lr=2"]
    assert run.find_runs(tmp_path / "nowhere") == []


CONFIGS = st.dictionaries(st.text(max_size=3), JSON, max_size=3)  # too short for a key that decides nothing


@settings(deadline=None, max_examples=50)
@given(config=CONFIGS, other=CONFIGS, name=st.text(max_size=5))
def test_the_config_hash_is_of_what_decides_the_bytes(config, other, name):
    renamed = {**config, "name": name, "tracker": {"name": "wandb"}, "resume": "x"}
    assert run.config_hash(renamed) == run.config_hash(config)
    assert run.config_hash(dict(reversed(config.items()))) == run.config_hash(config)
    differ = json.dumps(config, sort_keys=True) != json.dumps(other, sort_keys=True)
    assert (run.config_hash(config) != run.config_hash(other)) == differ
