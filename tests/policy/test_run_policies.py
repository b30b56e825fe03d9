"""Policies of run directories: how they act, and why some are refused."""

import shlex
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.policy import load
from rl_eval.target import resolve
from tests.policy.policies import BOX, CARTPOLE, ENDLESS, ODD, observations, refused, spaces
from tests.policy.run_policies import write_run


@pytest.mark.parametrize("action", [CARTPOLE.action, ODD, BOX, ENDLESS])
def test_a_run_acts_as_the_network_that_was_saved(tmp_path, action):
    saved = write_run(tmp_path / "run", action)
    loaded = load(str(tmp_path / "run"), spaces(action), None, seed=5)
    for greedy in (True, False):
        expected, actions = saved.act(observations(), greedy), loaded.act(observations(), greedy)
        np.testing.assert_allclose(actions, expected, atol=1e-6)
        assert np.isfinite(actions).all()
        assert all(one in action for one in actions)


def test_a_run_acts_without_torch(tmp_path):
    write_run(tmp_path / "run")
    code = f"""
import sys
import gymnasium as gym
import numpy as np
from rl_eval.policy import Spaces, load
spaces = Spaces("cartpole", gym.spaces.Box(-np.inf, np.inf, (4,), np.float32), gym.spaces.Discrete(2), "CartPole-v1")
load({str(tmp_path / "run")!r}, spaces, None).act(np.zeros((3, 4), np.float32), False)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_of_another_environment_is_refused(tmp_path):
    path = tmp_path / "run"
    write_run(path)
    refused_for = [
        (
            spaces(CARTPOLE.action, env="gym"),
            r"run holds a policy for cartpole with .*, not for gym with .*name a run of",
        ),
        (spaces(CARTPOLE.action, obs=gym.spaces.Box(-1, 1, (8,))), r"shape \(4,\), not for cartpole with \(8,\)"),
        (
            spaces(ODD),
            r"for other actions \(.*\), but this cartpole takes Discrete\(3, start=-1\): name a run with the",
        ),
        (spaces(BOX), r"for other actions \(.*discrete.*\), but this cartpole takes Box"),
    ]
    for other, message in refused_for:
        with pytest.raises(InputError, match=message):
            load(str(path), other, None)


def test_a_truncated_or_altered_snapshot_is_named_and_refused(tmp_path):
    write_run(tmp_path / "run")
    file = tmp_path / "run/snapshots/step_10/policy.safetensors"
    content = file.read_bytes()
    for damaged in (content[:-1], content[:100], b"", content[:-1] + bytes([content[-1] ^ 1])):
        file.write_bytes(damaged)
        refused(r"step_10/policy\.safetensors is truncated or altered", str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent": "os.system"}, r"^agent='os\.system' is not an agent: choose ppo or a2c or dqn$"),
        ({"agent": "os:system"}, r"^agent='os:system' is not an agent"),
        ({"agent": "agents.policy:load"}, r"^agent='agents\.policy:load' is not an agent"),
        ({"agent": "pp0"}, r"^agent='pp0' is not an agent: did you mean 'ppo'"),
        ({"agent": ["ppo"]}, r"is not an agent"),
        ({"agent": None}, r"is not an agent"),
        ({"network": {"widths": [9]}}, r"policy\.json does not describe a policy of this project \(weight .*shape"),
        ({"network": {"wings": 2}}, r"policy\.json does not describe a policy of this project"),
        ({"obs_shape": None}, r"policy\.json does not describe a policy of this project"),
        ({"action_space": {"type": "discrete"}}, r"holds a policy for other actions"),
    ],
)
def test_a_snapshot_that_asks_for_something_else_is_refused(tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr("os.system", lambda *_: pytest.fail("code from a run was run"))
    write_run(tmp_path / "run", **changes)
    refused(message, str(tmp_path / "run"))


@given(
    st.text().filter(lambda text: not text.startswith("rl_eval."))
    | st.sampled_from(["builtins.eval", "subprocess.run", "agents.policy.load", "rl_eval..", "rl_eval.run.os.system"])
)
def test_only_names_of_this_project_are_resolved(target):
    with pytest.raises(InputError, match="_target_="):
        resolve(target)


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    refused(r"is not a run directory \(it has no run\.json and config\.yaml\)", str(tmp_path))
    (tmp_path / "file").write_text("")
    refused(r"file. is a file that no policy source reads", str(tmp_path / "file"))


def test_a_run_outside_its_checkout_says_how_to_take_it_along(tmp_path, monkeypatch):
    write_run(tmp_path / "my run")
    monkeypatch.setitem(sys.modules, "agents", None)
    with pytest.raises(InputError, match=r"is a run of train\.py, .*: there, `rl-eval export .*` writes a") as raised:
        load(str(tmp_path / "my run"), CARTPOLE, None)
    command = str(raised.value).split("`")[1]
    assert shlex.split(command) == ["rl-eval", "export", str(tmp_path / "my run"), "--onnx"]
