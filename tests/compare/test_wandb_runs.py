"""Runs read from W&B: an offline file that W&B wrote, and its public API on a fake server."""

import json
import os
import subprocess
import sys

import pytest

from rl_eval.cli import main
from rl_eval.compare import compare_runs
from rl_eval.compare.run_sources import read_runs
from rl_eval.compare.wandb_project import parse_project
from rl_eval.errors import InputError
from tests.tracking.wandb_server import WandbServer

CONFIG = {"lr": 0.001, "env.name": "cartpole", "validation.metric": "mean_return"}
TRACK = """
import sys, json
from pathlib import Path
from rl_eval.tracking import open_tracker
from rl_eval.tracking._wandb import WandbSettings
for at, (seed, mean, status) in enumerate(json.loads(sys.argv[1])):
    config = {"seed": seed, "lr": 0.001, "env": {"name": "cartpole"}, "validation": {"metric": "mean_return"}}
    folder = Path(f"run_{at}")
    folder.mkdir()
    tracker = open_tracker(WandbSettings(mode="offline"), run_dir=folder, config=config, group="sweep")
    for step in (0, 100, 200):
        tracker.log({"episode_return_mean": float("nan") if step == 0 else mean * step, "validation_score": mean}, step)
    tracker.summary({"results/mean_return": mean, "results/mean": mean})
    tracker.close(status)
import wandb  # as CleanRL's scripts use it, which leave the rows to its copy of TensorBoard's
for seed in (1, 2):
    config = {"seed": seed, "env_id": "CartPole-v1", "exp_name": "ppo", "wandb_entity": None}
    name = f"CartPole-v1__ppo__{seed}__1700000000"
    settings = wandb.Settings(silent=True, console="off")
    run = wandb.init(project="cleanRL", mode="offline", dir=".", name=name, config=config, settings=settings)
    for step in (100, 200):
        run.log({"charts/episodic_return": float(seed + step), "losses/value_loss": 0.5, "global_step": step})
    run.log({"table": wandb.Table(columns=["a"], data=[[1]]), "global_step": 200})
    run.finish()
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """Folders of offline runs: seeds 1, 2 and 3, and one that failed; the last is W&B's of two runs of CleanRL."""
    folder = tmp_path_factory.mktemp("offline")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    runs = json.dumps([[1, 10.0, "finished"], [2, 30.0, "finished"], [3, 20.0, "finished"], [4, 0.0, "failed"]])
    environment = {**environ, "HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", TRACK, runs], cwd=folder, env=environment, timeout=300, check=False)
    assert done.returncode == 0
    return [*(str(next(folder.glob(f"run_{at}/wandb/offline-run-*"))) for at in range(4)), str(folder / "wandb")]


def test_an_offline_folder_is_read_as_it_was_written(offline):
    (run,) = read_runs(offline[:1], [])
    assert (run.name, run.source, run.status, run.seed) == (offline[0], "wandb", "finished", 1)
    assert run.config == {**CONFIG, "seed": 1}
    assert run.results == {"mean_return": 10.0, "mean": 10.0}
    assert run.curves["env_steps"].tolist() == [0, 100, 200]
    assert run.curves["episode_return_mean"].tolist()[1:] == [1000.0, 2000.0]


def test_too_few_recorded_results_show_nothing(offline, capsys):
    assert main(["compare", *offline[1:3], "--baseline", offline[0], "--gate", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (comparison,) = result["comparisons"]
    assert [run["score"] for run in result["groups"][1]["runs"]] == [30.0, 20.0]
    assert result["episodes"] is None
    assert comparison["over_episodes"] is comparison["mean"] is None
    assert (comparison["about"], comparison["decision"]) == ("policies", "UNDECIDED")
    assert "at least 5 of each" in comparison["sentence"]
    assert "not paired" in result["notes"][0]


def test_runs_of_cleanrl_are_read_from_the_folder_of_wandb(offline):
    runs = sorted(read_runs(offline[4:], []), key=lambda run: run.seed)
    assert [(run.source, run.seed, run.status) for run in runs] == [("other", 1, "finished"), ("other", 2, "finished")]
    assert runs[0].config == {"seed": 1, "env_id": "CartPole-v1", "exp_name": "ppo"}
    assert set(runs[0].columns) == {"charts/episodic_return", "losses/value_loss", "global_step", "_step"}
    assert runs[1].curves["episode_return_mean"].tolist()[:2] == [102.0, 152.0]
    result = compare_runs(offline[4:])
    assert [(group.label, group.seeds) for group in result.groups] == [("all runs", (1, 2))]
    assert result.scores[0].values.tolist() == [151.0, 152.0]


def test_a_run_that_failed_is_refused(offline, capsys):
    assert main(["compare", offline[3]]) == 2
    assert "failed, so its final result is unknown" in capsys.readouterr().err


def test_a_metric_that_was_not_recorded_is_an_error(offline, capsys):
    assert main(["compare", offline[0], "--metric", "success_rate"]) == 2
    assert "has no recorded result 'success_rate' (it has mean, mean_return)" in capsys.readouterr().err


def test_a_truncated_file_is_read_up_to_its_end(offline, tmp_path):
    from pathlib import Path

    (file,) = Path(offline[0]).glob("run-*.wandb")
    content = file.read_bytes()
    (tmp_path / "run-x.wandb").write_bytes(content[: len(content) - 10])
    (run,) = read_runs([str(tmp_path)], [])
    assert run.config["seed"] == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" * 100, b":W&B\x00\x00\x00" + b"\xff" * 100])
def test_a_file_that_is_no_wandb_run_is_refused(tmp_path, content):
    (tmp_path / "run-x.wandb").write_bytes(content)
    with pytest.raises(InputError, match=r"run-x.wandb|has no column env_steps"):
        read_runs([str(tmp_path)], [])


def online(name, seed, mean, *, group="night", state="finished", lr=0.001):
    history = [{"env_steps": step, "episode_return_mean": mean + step} for step in (1, 2, 3)]
    summary = {"results/mean_return": mean, "status": state, "_runtime": 3}
    config = {**CONFIG, "seed": seed, "lr": lr, "_wandb": {}}
    return {"name": name, "group": group, "state": state, "config": config, "summary": summary, "history": history}


COMPARE = "import sys; from rl_eval.cli import main; sys.exit(main(['compare', *sys.argv[1:]]))"


def run_compare(folder, server, *arguments):
    """In a process of its own, since W&B keeps its settings for the life of one."""
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith("WANDB_") and key.lower() != "netrc"
    }
    key = {"WANDB_API_KEY": "0123456789" * 4, "WANDB_BASE_URL": server.url, "NO_PROXY": "127.0.0.1"}
    environment = {**environ, **key, "HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", COMPARE, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_group_of_a_project_is_compared(tmp_path):
    runs = [online(f"old{seed}", seed, 100.0 + seed) for seed in (1, 2, 3, 4, 5)]
    runs += [online(f"new{seed}", seed, 10.0 + seed, lr=0.1) for seed in (1, 2, 3, 4, 5)]
    runs += [online("other", 9, 0.0, group="day")]
    with WandbServer(runs=runs) as server:
        done = run_compare(tmp_path, server, "wandb:team/project?group=night", "--gate", "--json")
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert [run["name"] for run in result["groups"][1]["runs"]] == [
        f"wandb:team/project/new{seed}" for seed in (1, 2, 3, 4, 5)
    ]
    (comparison,) = result["comparisons"]
    assert (comparison["about"], comparison["decision"], comparison["wins"]["p_below"]) == ("training", "LOSES", 1 / 32)
    assert comparison["mean"] is None  # a return has no bounds of its own


def cleanrl(name, seed, level):
    steps = range(100, 600, 100)
    history = [{"global_step": step, "charts/episodic_return": level + step, "losses/td_loss": 0.1} for step in steps]
    config = {"seed": seed, "env_id": "CartPole-v1", "exp_name": "dqn", "learning_rate": level, "wandb_entity": None}
    run = {"name": name, "group": None, "state": "finished", "config": config, "history": history}
    return {**run, "summary": {**history[-1], "_runtime": 3}}


def test_a_project_of_cleanrl_is_compared(tmp_path):
    runs = [cleanrl(f"run{level}{seed}", seed, level) for level in (1, 2) for seed in (1, 2, 3, 4, 5)]
    with WandbServer(runs=runs) as server:
        done = run_compare(tmp_path, server, "wandb:team/cleanRL", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [group["label"] for group in result["groups"]] == ["learning_rate=1", "learning_rate=2"]
    assert [run["score"] for run in result["groups"][1]["runs"]] == [302.0] * 5  # the mean of 102 to 502


@pytest.mark.verify
def test_the_copy_that_wandb_makes_of_tensorboards_numbers_is_read(tmp_path):
    """`sync_tensorboard=True`, as in CleanRL's scripts."""
    code = """
import wandb
from torch.utils.tensorboard import SummaryWriter
settings = wandb.Settings(silent=True, console="off")
run = wandb.init(project="cleanRL", mode="offline", dir=".", sync_tensorboard=True, settings=settings, name="a",
                 config={"seed": 1, "env_id": "CartPole-v1", "exp_name": "ppo"})
writer = SummaryWriter("runs/a")
for index in range(10):
    writer.add_scalar("charts/episodic_return", float(index), index * 10)
    writer.add_scalar("losses/value_loss", 0.5, index * 10)
writer.close()
run.finish()
"""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environ, timeout=300, check=True)
    (run,) = read_runs([str(tmp_path / "wandb")], [])
    returns = run.curves["episode_return_mean"]
    assert returns[returns == returns].tolist()[:9] == [index / 2 for index in range(9)]
    assert run.curves["env_steps"][:9].tolist() == [10 * index for index in range(9)]


@pytest.mark.verify
def test_a_project_without_runs_is_an_error(tmp_path):
    with WandbServer() as server:
        done = run_compare(tmp_path, server, "wandb:team/project")
    assert done.returncode == 2
    assert "wandb:team/project has no run" in done.stderr


def test_a_refused_key_is_an_error(tmp_path):
    with WandbServer(refuse=401) as server:
        done = run_compare(tmp_path, server, "wandb:team/project")
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "check the name, the network and `wandb login`" in done.stderr


def test_project_names():
    assert parse_project("wandb:team/project") == ("team", "project", None)
    assert parse_project("wandb:team/project?group=a%20b%26c") == ("team", "project", "a b&c")
    for wrong in ("wandb:", "wandb:a/b/c", "wandb:a/b?group=", "wandb:a/b?group=x&group=y", "wandb:a/b#c"):
        with pytest.raises(InputError, match="write wandb:entity/project"):
            parse_project(wrong)
