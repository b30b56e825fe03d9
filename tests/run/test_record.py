"""The record of a run: curves, verdicts, preprocessing and judged policy; unreadable files become notes."""

import numpy as np
import pytest

from rl_eval import run
from rl_eval.errors import InputError
from tests.gates.fake_runs import record_files

SUITES = [{"suite": "a", "criteria": [{"criterion": "b", "decision": "PASS"}]}]


def test_a_complete_run_is_read(run_directory):
    (run_directory / "metrics.csv").write_text("env_steps,x\n1,0.5\n2,nan\n")
    run.write_json(run_directory / "verdict.json", {"suites": SUITES})
    run.write_json(run_directory / "preprocessing.json", {"features": ["a"]})
    record_files(run_directory)
    (run_directory / "config.yaml").write_text("env: {name: cartpole}\nseed: 3\nagent: {gamma: 0.9, name: ppo}\n")
    record = run.read_record(run_directory)
    assert record.curve("x").tolist() == [0.5]
    assert record.late("env_steps", 0.5).tolist() == [2]
    assert (record.seed, record.number("agent.gamma"), record.number("agent.name")) == (3, 0.9, None)
    assert record.setting("agent.missing.key") is None
    assert record.verdicts == SUITES
    assert record.preprocessing["features"] == ["a"]
    np.testing.assert_array_equal(record.snapshot[0]["w"], [20, 20, 20])
    assert record.missing == []


def test_what_is_missing_is_empty(run_directory):
    record = run.read_record(run_directory)
    assert len(record.missing) == 1
    assert "metrics.csv" in record.missing[0]
    assert (record.curves, record.verdicts, record.preprocessing) == ({}, [], {})
    assert len(record.missing) == 1  # a run need not be judged, nor have preprocessing
    assert record.seed == 0


@pytest.mark.parametrize("name", ["verdict.json", "preprocessing.json"])
def test_a_damaged_or_linked_file_is_a_sentence(run_directory, tmp_path, name):
    (run_directory / "metrics.csv").write_text("env_steps\n1\n")
    (run_directory / name).write_text("{")
    record = run.read_record(run_directory)
    assert not record.verdicts
    assert not record.preprocessing
    assert [name in sentence for sentence in record.missing] == [True]
    run.write_json(tmp_path / "secret.json", {"suites": SUITES})
    (run_directory / name).unlink()
    (run_directory / name).symlink_to(tmp_path / "secret.json")
    record = run.read_record(run_directory)
    assert not record.verdicts
    assert not record.preprocessing
    assert ["is a link" in sentence for sentence in record.missing] == [True]


def test_a_damaged_snapshot_is_a_sentence(run_directory):
    (run_directory / "snapshots" / "step_20" / "policy.safetensors").write_bytes(b"x")
    record = run.read_record(run_directory)
    assert record.snapshot is None
    assert "truncated or altered" in record.missing[-1]


@pytest.mark.parametrize("suites", [None, 3, {}, [3], [{}], [{"criteria": 3}], [{"criteria": [3]}]])
def test_other_values_are_no_verdicts(run_directory, suites):
    run.write_json(run_directory / "verdict.json", {"suites": suites})
    with pytest.raises(InputError, match="from another program"):
        run.read_verdicts(run_directory)


@pytest.mark.parametrize("value", [None, True, "1", float("nan"), float("inf"), 10**400, [1]])
def test_only_finite_numbers_are_numbers(value):
    assert run.finite(value) is None
    assert run.finite(2) == 2.0
