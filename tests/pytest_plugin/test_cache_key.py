"""A verdict is cached only where everything that it depends on can be hashed."""

from __future__ import annotations

import importlib.metadata
import os

import pytest

from rl_eval.gates import load_suite, named_runs
from rl_eval.policy import canonical
from rl_eval.pytest_plugin import _cache_key
from rl_eval.pytest_plugin._cache_key import verdict_key
from tests.gates.fake_runs import FALL, write_run, write_suite

SUITE = "rl_eval: 1\nenv: cartpole\ncriteria:\n  c: {metric: mean_return, at_least: 400, by: estimate}\n"


def key(tmp_path, judged, text=SUITE):
    suite = load_suite(write_suite(tmp_path / "s.yaml", text))
    return verdict_key(suite, named_runs(suite, [judged]))


def test_the_key_follows_runs_policies_and_the_suite(tmp_path):
    run, other = write_run(tmp_path / "run").path, write_run(tmp_path / "other", rule=FALL).path
    first = key(tmp_path, run)
    assert first == key(tmp_path, run)
    changed = SUITE.replace("400", "401")
    reference = SUITE.replace("at_least: 400", f"better_than: {other}")
    keys = [first, key(tmp_path, other), key(tmp_path, "random"), key(tmp_path, run, changed)]
    keys.append(key(tmp_path, run, reference))
    (other / "snapshots" / "step_100" / "policy.safetensors").write_bytes(b"changed")
    keys.append(key(tmp_path, run, reference))
    assert None not in keys
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ["metrics.csv", "seen.npz"])
def test_a_run_with_a_file_that_is_no_regular_file_has_no_key(tmp_path, name):
    run = write_run(tmp_path / "run").path
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    assert key(tmp_path, run) is None


@pytest.mark.parametrize("judged", ["python:a:b", "http://127.0.0.1:1/", "sb3:ppo:model.zip", "onnx:missing.onnx"])
def test_policies_with_code_servers_or_missing_files_have_no_key(tmp_path, judged):
    assert key(tmp_path, judged) is None


def test_the_key_of_a_model_of_stable_baselines3_follows_its_bytes_and_trust(tmp_path):
    model = tmp_path / "model.zip"
    model.write_bytes(b"1")
    suite = load_suite(write_suite(tmp_path / "s.yaml", SUITE))
    selection = named_runs(suite, [f"sb3:ppo:{model}"])
    keys = [verdict_key(suite, selection), verdict_key(suite, selection, trust=True)]
    model.write_bytes(b"2")
    keys.append(verdict_key(suite, selection))
    assert None not in keys
    assert len(set(keys)) == 3


def test_the_key_is_that_of_the_file_however_its_path_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model.zip", "other.zip"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "latest.zip").symlink_to("model.zip")
    suite = load_suite(write_suite(tmp_path / "s.yaml", SUITE))

    def keys(*specs):
        return {verdict_key(suite, named_runs(suite, [canonical(spec)])) for spec in specs}

    same = keys(
        "sb3:ppo:model.zip",
        "sb3:PPO:./model",
        f"sb3:ppo:{tmp_path}/latest",
        "sb3:ppo:../" + tmp_path.name + "/model.zip",
    )
    onnx = keys("onnx:model.zip", f"onnx:{tmp_path}//model.zip", "onnx:./latest.zip")
    assert len(same) == len(onnx) == 1
    different = (
        same | onnx | keys("sb3:ppo:other.zip", "sb3:a2c:model.zip", "sb3:ppo:model+other.zip", "onnx:other.zip")
    )
    assert len(different) == 6
    assert None not in different


def test_there_is_no_key_where_a_package_extends_this_one(tmp_path, monkeypatch):
    assert key(tmp_path, "random") is not None
    point = importlib.metadata.EntryPoint("other", "other_package.metrics", "rl_eval.metrics")
    monkeypatch.setattr(_cache_key, "entry_points", lambda group: [point] if group == point.group else [])
    assert key(tmp_path, "random") is None
