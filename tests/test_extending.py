"""The files of docs/extending.md and docs/extending-training.md, installed as a package and run as the pages show."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[1]
PAGES = "".join(
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("extending.md", "extending-training.md")
)
FILES = re.findall(r"```(?:python|yaml|toml)\n# (\S+\.(?:py|yaml|toml))\n(.*?)```", PAGES, re.DOTALL)
SMALL = (
    "total_steps=512", "validation.every=512", "validation.episodes=2", "agent.n_envs=4", "agent.n_steps=32",
    "agent.batch_size=64", "agent.n_epochs=1",
)  # fmt: skip


def write_files(folder, names):
    for name, text in FILES:
        if names(name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def install(folder):
    """What `pip install` would write for the entry points of the page."""
    info = folder / "corridor-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corridor\nVersion: 1.0\n")
    points = []
    for name, text in FILES:
        if name == "pyproject.toml":
            for group, entries in tomllib.loads(text)["project"]["entry-points"].items():
                points += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(points))


def command(line):
    """A console line of the pages; it must be there."""
    assert f"$ {line}\n" in PAGES, f"the pages do not show `{line}`"
    program, *arguments = shlex.split(line)
    start = {
        "python": [],
        "pytest": ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts="],
        "rl-eval": ["-m", "rl_eval.cli"],
    }[program]
    return [sys.executable, *start, *(str(ROOT / word) if word == "train.py" else word for word in arguments)]


def run(folder, words, *more):
    done = subprocess.run(
        [*words, *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "160", "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository with the installed package, its plugins, configs and suites, and one trained run."""
    folder = tmp_path_factory.mktemp("project")
    write_files(folder, lambda name: name != "pyproject.toml")
    install(folder)
    line = (
        "python train.py --config-dir=my_conf env=corridor plugins=[shaping] "
        "'+reward.terms.distance={_target_: shaping.Distance, scale: 0.01}'"
    )
    status, output = run(folder, command(line), *SMALL, "validation.metric=final_distance")
    assert status == 0, output
    (directory,) = (folder / "outputs").glob("*/*")
    return folder, directory


def test_the_domain_and_the_reward_term_train(project):
    _, directory = project
    with open(directory / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert {"reward/native", "reward/distance"} <= rows[-1].keys()
    info = json.loads((directory / "run.json").read_text())
    assert info["status"] == "finished"
    assert info["env_steps"] == 512
    assert 0 <= info["results"]["final_distance"] <= 9  # the metric chose between the snapshots


def test_the_metric_judges_the_policy_of_the_source(project):
    folder, _ = project
    good, output = run(folder, command("pytest suites/corridor.yaml --rl-run threshold:2"))
    assert good == 0, output
    assert re.search(r"arrives +final_distance .*\d+/200 episodes +PASS after \d+", output)
    bad, output = run(folder, command("pytest suites/corridor.yaml"), "--rl-run", "threshold:9")
    assert bad == 1, output
    assert "FAIL" in output


def test_the_diagnostic_is_asked_and_the_run_needs_trust(project):
    folder, directory = project
    words = [sys.executable, "-m", "rl_eval.cli", "doctor", str(directory), "--json"]
    findings = [json.loads(run(folder, words, *trust)[1]) for trust in ([], ["--trust"])]
    for finding in findings:
        assert "few_episodes" in json.dumps(finding)
    assert "names the plugin 'shaping'" in json.dumps(findings[0])
    assert "names the plugin" not in json.dumps(findings[1])


def test_the_launcher_makes_the_jobs_of_a_sweep(project):
    folder, _ = project
    line = "python train.py --config-dir=my_conf env=corridor launcher.name=command +launcher.slots=2 -m seed=1,2"
    status, output = run(folder, command(line), *SMALL, "judge=off", "hydra.sweep.dir=outputs/launched")
    assert status == 0, output
    assert "2 jobs by command" in output
    for name in ("0_seed=1", "1_seed=2"):
        info = json.loads((folder / "outputs" / "launched" / name / "run.json").read_text())
        assert (info["status"], info["env_steps"]) == ("finished", 512)


def test_the_agent_trains(project):
    folder, _ = project
    line = "python train.py --config-dir=my_conf env=corridor agent=clipped_a2c plugins=[clipped_a2c]"
    small = [word for word in SMALL if not word.startswith(("agent.batch_size", "agent.n_epochs"))]
    status, output = run(folder, command(line), *small, "hydra.run.dir=outputs/clipped", "agent.clip_advantage=0.5")
    assert status == 0, output
    info = json.loads((folder / "outputs" / "clipped" / "run.json").read_text())
    assert (info["status"], info["env_steps"]) == ("finished", 512)
    policy = json.loads((folder / "outputs" / "clipped" / "snapshots" / "step_512" / "policy.json").read_text())
    assert policy["agent"] == "clipped_a2c"


@pytest.mark.verify
@pytest.mark.parametrize("agent", ["ppo", pytest.param("dqn", marks=pytest.mark.verify)])
def test_the_network_body_trains_is_judged_and_is_taken_over(project, agent):
    folder, _ = project
    line = (
        "python train.py --config-dir=my_conf env=corridor plugins=[bodies] agent.network.body=waves "
        "'+agent.network.body_kwargs.hidden=32'"
    )
    keys = ("total_steps", "validation", "agent.n_envs") if agent == "dqn" else ("total_steps", "validation", "agent")
    words = [f"agent={agent}", *(word for word in SMALL if word.startswith(keys))]
    name = f"outputs/waves_{agent}"
    status, output = run(folder, command(line), *words, f"hydra.run.dir={name}")
    assert status == 0, output
    snapshot = folder / name / "snapshots" / "step_512"
    network = json.loads((snapshot / "policy.json").read_text())["network"]
    assert (network["body"], network["body_kwargs"]) == ("waves", {"hidden": 32})
    body = "body" if agent == "dqn" else "critic_body"
    with safe_open(snapshot / "policy.safetensors", "np") as arrays:
        assert arrays.get_slice(f"network.{body}.hidden.weight").get_shape() == [32, 32]

    judge = [*command("pytest suites/corridor.yaml"), "--rl-run", name]
    status, output = run(folder, judge)
    assert status == 1, output
    assert "names the plugin 'bodies'" in output
    _, output = run(folder, judge, "--rl-trust")
    assert "final_distance" in output
    assert "ERROR" not in output
    export = [sys.executable, "-m", "rl_eval.cli", "export", name, "--onnx"]
    status, output = run(folder, export)
    assert status == 2, output
    assert "names the plugin 'bodies'" in output
    status, output = run(folder, export, "--trust")
    assert status == 2, output
    assert "has the body 'waves' of a plugin" in output

    status, output = run(folder, command(line), *words, f"init={name}", f"hydra.run.dir={name}_more")
    assert status == 0, output
    status, output = run(folder, command(line), *words, f"init={name}", "agent.network.body_kwargs.hidden=16")
    assert status == 2, output
    assert "was trained with agent.network.body_kwargs.hidden=32, but here it would be 16" in output


def test_a_custom_experiment_is_composed(project):
    folder, _ = project
    line = "python train.py --config-dir=my_conf experiment=shaped"
    status, output = run(folder, command(line), "--cfg", "job")
    assert status == 0, output
    assert "name: corridor" in output
    assert "_target_: shaping.Distance" in output


def test_a_plugin_registers_the_same_without_being_installed(tmp_path):
    write_files(tmp_path, lambda name: name.endswith(".py"))
    code = """
from pathlib import Path
from rl_eval.plugins import import_plugins
import_plugins(["my_plugin"], Path.cwd())
from rl_eval import diagnostics, domains, metrics, policy
assert domains.domain("corridor").facts(None) == ("native_reward", "distance")
assert metrics.lookup("final_distance").better == "lower"
assert diagnostics.lookup("few_episodes").description.startswith("Training ended")
assert policy.names_policy("threshold:1")
assert policy.identity("threshold:1") != policy.identity("threshold:2")
"""
    status, output = run(tmp_path, [sys.executable, "-c", code])
    assert status == 0, output


def test_every_code_block_of_the_pages_is_a_file_of_its_own():
    names = [name for name, _ in FILES]
    assert len(set(names)) == len(names)
    assert len(re.findall(r"```(?:python|yaml|toml)\n", PAGES)) == len(names)
