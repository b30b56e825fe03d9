"""The built wheel in another repository, with a `suites/` folder and without our checkout."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rl_eval import run
from rl_eval.cli import main

pytest.importorskip("onnxruntime")
pytest.importorskip("stable_baselines3")
pytest.importorskip("hatchling")

ROOT = Path(__file__).resolve().parents[1]
SUITE = """\
# What the pole balancer must do before it is deployed.
rl_eval: 1
env: {id: CartPole-v1}
episodes: {max: 200, return_bounds: [0, 500]}
criteria:
  balances: {metric: mean_return, at_least: 250}
"""
OF_A_RUN = SUITE + "  quick: {metric: training.wall_s, at_most: 60}\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def stranger(wheel, tmp_path_factory):
    """A repository with an environment of its own: the wheel, and other people's packages from here."""
    folder = tmp_path_factory.mktemp("stranger")
    venv.create(folder / ".venv", symlinks=True)
    python = folder / ".venv" / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", "--no-index", "--no-compile", str(wheel))
    (site_packages,) = (folder / ".venv").glob("lib/python*/site-packages")
    # a path in a .pth file is added as it is: the .pth file of the editable install there is not read
    (site_packages / "others.pth").write_text(str(Path(np.__file__).parents[1]) + "\n")
    (folder / "suites").mkdir()
    (folder / "suites" / "pole.yaml").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True, timeout=100)


def at(folder, *command):
    """A command of the repository's own environment: status and what it said."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "COV_"))}
    done = subprocess.run(
        [folder / ".venv" / "bin" / command[0], *command[1:]],
        cwd=folder,
        env={**variables, "COLUMNS": "120", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    return done.returncode, done.stdout


def gate(folder, *arguments):
    status, output = at(folder, "python", "-m", "pytest", "suites/", *arguments)
    print(output)
    assert "Traceback" not in output
    return status, output


@pytest.fixture(scope="module")
def exported(stranger):
    """A run of ours whose network is worked by hand: push to the side on which the pole falls."""
    from agents import policy as networks
    from agents.config import NetworkConfig
    from rl_eval.domains import cartpole

    envs = cartpole.DOMAIN.make(cartpole.Config(), n_envs=1, part="test")
    config = NetworkConfig(widths=[])
    meta = networks.metadata(envs.single_observation_space, envs.single_action_space, config, 10.0)
    side = np.array([0.1, 0.5, 1.5, 1.0], np.float32)
    arrays = {
        "network.actor_head.weight": np.stack([-side, side]),
        "network.actor_head.bias": np.zeros(2, np.float32),
        "network.critic_head.weight": np.zeros((1, 4), np.float32),
        "network.critic_head.bias": np.zeros(1, np.float32),
    }
    checkout_copy = stranger.parent / "ours"
    run.write_checkpoint(
        checkout_copy / "snapshots" / "step_10", "policy", arrays, {**meta, "agent": "ppo", "env": "cartpole"}
    )
    run.write_json(checkout_copy / "run.json", {"status": "finished", "snapshot": "step_10"})
    run.write_text(checkout_copy / "config.yaml", "env: {name: cartpole, id: CartPole-v1}\n")
    assert main(["export", str(checkout_copy), "--onnx", str(stranger / "policy.onnx")]) == 0
    return "onnx:policy.onnx"


@pytest.fixture(scope="module")
def sb3_model(stranger):
    """A PPO of Stable-Baselines3, trained for a second or as long as it takes to balance."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    torch.set_num_threads(1)
    envs = make_vec_env("CartPole-v1", 8, seed=1)
    quick = {"n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98, "gae_lambda": 0.8, "learning_rate": 3e-3}
    model = PPO("MlpPolicy", envs, **quick, policy_kwargs={"net_arch": [32]}, seed=1, device="cpu")
    for _ in range(20):
        model.learn(8192, reset_num_timesteps=False)
        if evaluate_policy(model, envs, n_eval_episodes=16)[0] > 400:
            break
    model.save(stranger / "model.zip")
    return "sb3:ppo:model.zip"


def test_the_wheel_claims_no_name_but_its_own(wheel):
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"rl_eval"}


def test_the_wheel_holds_the_cases_of_the_embedded_service(wheel):
    assert "rl_eval/domains/qase/service/cases.json" in zipfile.ZipFile(wheel).namelist()


def test_a_stranger_has_the_package_and_not_our_networks(stranger):
    code = "import importlib.util as i, rl_eval; print(rl_eval.__file__); print(i.find_spec('agents'))"
    status, output = at(stranger, "python", "-c", code)
    place, agents = output.split("\n")[:2]
    assert status == 0
    assert Path(place).is_relative_to(stranger)
    assert agents == "None"
    assert at(stranger, "rl-eval", "--version")[1].startswith("rl-eval ")


def test_a_stranger_reads_the_report_of_a_run(stranger, exported):
    status, output = at(stranger, "rl-eval", "report", str(stranger.parent / "ours"), "--out", "page.html")
    assert (status, output.strip()) == (0, "page.html")
    page = (stranger / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "whose networks are only known in its checkout" in page


def test_a_stranger_gates_an_exported_policy(stranger, exported):
    status, output = gate(stranger, "--rl-run", exported)
    assert status == 0
    assert re.search(r"pole +balances +mean_return .* PASS", output)
    assert re.search(r"pole +controls .* PASS", output)


def test_a_stranger_gates_a_model_of_stable_baselines3(stranger, sb3_model):
    status, output = gate(stranger, "--rl-run", sb3_model, "--rl-trust")
    assert status == 0
    assert re.search(r"pole +balances +mean_return .* PASS", output)


def test_a_policy_that_is_not_good_enough_fails_under_the_same_suite(stranger, exported):
    status, output = gate(stranger, "--rl-run", exported, "--rl-run", "random")
    assert status == 1
    assert re.search(r"mean_return .* failed after .*\(the worst of 2 runs, random\)", output)
    assert re.search(r"pole +balances +mean_return .* FAIL", output)


def test_what_a_policy_alone_cannot_show_is_an_error_that_says_so(stranger, exported, sb3_model):
    (stranger / "suites" / "run.yaml").write_text(OF_A_RUN)
    try:
        status, output = gate(stranger, "--rl-run", exported, "-k", "run.yaml")
    finally:
        (stranger / "suites" / "run.yaml").unlink()
    assert status == 1
    assert "training.wall_s is read from a training run, but onnx:policy.onnx is a policy without one" in output
    status, output = gate(stranger, "--rl-run", sb3_model)
    assert status == 1
    assert "if you trust where it comes from" in output
    status, output = gate(stranger)
    assert status == 1
    assert "no finished run below outputs" in output
