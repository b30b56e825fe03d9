"""Checkpoints: read back to the bit or refused; their names; states split into arrays and JSON."""

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval import run
from rl_eval.errors import InputError
from tests.run.values import ARRAYS, NAMES, PLAIN, SCALARS, same


@settings(max_examples=60)
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


@settings(max_examples=60)
@given(data=st.data(), name=st.sampled_from(["policy.safetensors", "policy.json"]))
def test_one_bit_changed_or_one_byte_lost_is_refused_by_name(tmp_path_factory, data, name):
    path = tmp_path_factory.mktemp("damaged") / "step_1"
    run.write_checkpoint(path, "policy", {"w": np.arange(8, dtype=np.float32), "b": np.array(True)}, {"steps": 7})
    file = path / name
    content = bytearray(file.read_bytes())
    if data.draw(st.booleans(), "truncate"):
        damaged = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        damaged, bit = content.copy(), data.draw(st.integers(0, 8 * len(content) - 1))
        damaged[bit // 8] ^= 1 << bit % 8
    file.write_bytes(damaged)
    with pytest.raises(run.DamagedError, match=rf"step_1/{re.escape(name)} is truncated or altered") as error:
        run.read_checkpoint(path, "policy")
    assert str(error.value) == f"{error.value.damage}: use another snapshot of the run"


@settings(max_examples=40)
@given(data=st.data())
def test_a_damaged_record_of_the_hashes_is_refused_too(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "step_1"
    run.write_checkpoint(path, "policy", {"w": np.arange(8)}, {})
    file = path / "policy.sha256"
    content = bytearray(file.read_bytes())
    end = content.rindex(b"\n")  # the last line end says nothing
    if data.draw(st.booleans(), "truncate"):
        content = content[: data.draw(st.integers(0, end - 1))]
    else:
        bit = data.draw(st.integers(0, 8 * end - 1))
        content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    with pytest.raises(run.DamagedError, match=r"step_1/policy\.(safetensors|json) is truncated or altered"):
        run.read_checkpoint(path, "policy")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
def test_sha256sum_checks_a_checkpoint(run_directory):
    path = run_directory / "snapshots" / "step_20"
    command = ["sha256sum", "--check", "--strict", "policy.sha256"]
    done = subprocess.run(command, cwd=path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "policy.safetensors: OK\npolicy.json: OK\n")
    (path / "policy.json").write_text("{}")
    assert subprocess.run(command, cwd=path, capture_output=True).returncode == 1


def test_other_damage_is_refused_by_name(run_directory):
    path = run_directory / "snapshots" / "step_20"
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


STATES = st.recursive(
    st.dictionaries(PLAIN, ARRAYS | SCALARS, max_size=3),
    lambda inner: st.dictionaries(PLAIN, ARRAYS | SCALARS | st.lists(st.integers()) | inner, max_size=3),
    max_leaves=6,
)


@given(STATES)
def test_a_split_state_is_joined_again(state):
    arrays, rest = run.split_state(state)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    json.dumps(rest)  # no array is left in it
    before = json.dumps(rest)
    assert same(run.join_state(arrays, rest), state)
    assert json.dumps(rest) == before


def test_a_step_name_and_its_number_are_inverse():
    assert [run.step_of(Path("snapshots") / run.step_name(steps)) for steps in (0, 7, 10**12)] == [0, 7, 10**12]


@pytest.mark.parametrize("name", ["step_", "step_x", "step_-1", "step_1.tmp", "7", "step_²"])
def test_other_names_have_no_step(name):
    with pytest.raises(ValueError, match="is not step_"):
        run.step_of(Path(name))


def test_only_entries_with_the_prefix_are_kept_without_it():
    values = {"agent.a": 1, "agent.agent.b": 2, "vector.agent.a": 3}
    assert run.strip_prefix(values, "agent.") == {"a": 1, "agent.b": 2}
