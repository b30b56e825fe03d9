"""The W&B tracker, each run in a process of its own as in `train.py`, without a network."""

import json
import math
import os
import re
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass

import pytest

from rl_eval.errors import InputError
from rl_eval.tracking import TrackedRun, check_tracker
from rl_eval.tracking._wandb import WandbSettings, _init_arguments
from tests.tracking.wandb_file import read_wandb_file
from tests.tracking.wandb_server import WandbServer

CONFIG = {"lr": 0.001, "agent": {"name": "ppo", "gamma": 0.99, "network": {"widths": [64, 64]}}, "resume": None}
KEY = "0123456789" * 4
HISTORY = {"env_steps", "wall_s", "episode_return_mean", "_step", "_runtime", "_timestamp"}
PATIENCE = 120  # seconds that a busy machine may take; no test waits for it
TRACK = """
import json, random, sys
from pathlib import Path
import numpy as np
from rl_eval.errors import InputError
from rl_eval.tracking import *
from rl_eval.tracking import _wandb
from rl_eval.tracking._wandb import WandbSettings
_wandb.CONNECT_TIMEOUT = _wandb.INIT_TIMEOUT = _wandb.START_TIMEOUT = 120  # however busy the machine is
options = json.loads(sys.argv[1])
settings = WandbSettings(**options["tracker"])
try:
    check_tracker(settings)
except InputError as error:
    print(error)
    sys.exit(2)
random.seed(1); np.random.seed(1)
before = random.getstate(), np.random.get_state()[1].tolist()
run_dir = Path("outputs/12-00-00_threat_ppo_s42")
tracker = open_tracker(settings, run_dir=run_dir, config=options["config"], group="sweep")
for step in (0, 100, 200):
    mean = float("nan") if step == 0 else step / 2
    tracker.log({"env_steps": step, "wall_s": step / 100, "episode_return_mean": mean}, step)
history = {"units": (1, 2), "lower": (0.1, 0.5), "upper": (1.0, 0.9), "for_pass": (0.2, 3.1), "for_fail": (-0.2, -1.0)}
rows = [{"suite": "threat", "criterion": "f1", "decision": "PASS", "estimate": 0.93, "interval": (0.81, None),
         "threshold": 0.8, "units": 2, "unit": "case", "history": history}]
tracker.summary({**verdict_summary(rows), "results": {"mean": 231.5, "std": None}})
if options["files"]:
    tracker.log_plots([*evidence_plots(rows), confusion_plot(5, 2, 1, 92, "validation")])
    tracker.log_files("policy", {"policy.json": Path(options["files"])})
tracker.close(options["status"])
assert before == (random.getstate(), np.random.get_state()[1].tolist()), "the tracker drew from a global generator"
"""


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def track(tmp_path):
    """Track a short run with these environment variables and no other W&B settings; returns what came of it."""
    (tmp_path / "outputs" / "12-00-00_threat_ppo_s42").mkdir(parents=True)

    def run(tracker=None, *, status="finished", files=None, **environment):
        environ = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and k.lower() != "netrc"}
        home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "PYTHONPATH": os.pathsep.join(sys.path)}
        settings = {"finish_timeout": PATIENCE, **(tracker or {})}
        options = {"tracker": settings, "config": CONFIG, "status": status, "files": files}
        done = subprocess.run(
            [sys.executable, "-c", TRACK, json.dumps(options)],
            cwd=tmp_path,
            env={**environ, **home, "NO_PROXY": "127.0.0.1", "WANDB__SERVICE_WAIT": str(PATIENCE), **environment},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "outputs" / "12-00-00_threat_ppo_s42"


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_without_a_key_the_run_is_complete_offline(track, run_dir):
    with WandbServer() as server:
        done = track({"tags": ["night"]}, WANDB_BASE_URL=server.url)
        assert server.requests == []  # offline means offline, W&B's own error reports included
    assert done.code == 0, done.err
    (folder,) = run_dir.glob("wandb/offline-run-*")
    assert done.err.splitlines() == [
        "wandb: there is no W&B API key, so the run is recorded offline; "
        f"upload it later with `wandb sync outputs/{run_dir.name}/wandb/{folder.name}`"
    ]
    logged = read_wandb_file(run_dir)
    assert (logged.run.project, logged.run.display_name, logged.run.run_group) == ("rl_eval", run_dir.name, "sweep")
    assert list(logged.run.tags) == ["night"]
    expected = {"lr": 0.001, "agent.name": "ppo", "agent.gamma": 0.99, "agent.network.widths": [64, 64], "resume": None}
    assert {k: v for k, v in logged.config.items() if k != "_wandb"} == expected
    assert [row["env_steps"] for row in logged.history] == [0, 100, 200]
    assert math.isnan(float(logged.history[0]["episode_return_mean"]))
    assert [row["episode_return_mean"] for row in logged.history[1:]] == [50, 100]
    assert logged.step_metrics["*"] == "env_steps"
    expected = {"verdict/threat/f1": "PASS", "verdict/threat/f1/estimate": 0.93, "results/mean": 231.5}
    assert {**expected, "status": "finished"}.items() <= logged.summary.items()
    assert logged.exit_code == 0


def test_a_run_that_is_offline_as_asked_says_how_to_upload_it(track, run_dir):
    done = track({"mode": "offline"})
    (folder,) = run_dir.glob("wandb/offline-run-*")
    (command,) = re.findall("`(wandb sync .*)`", done.err)
    assert shlex.split(command)[2] == str(folder.relative_to(run_dir.parents[1]))


def test_plots_intervals_and_files_are_kept_offline(track, run_dir, tmp_path):
    (tmp_path / "policy.json").write_text('{"a": 1}')
    done = track({"mode": "offline"}, files="policy.json")
    assert done.code == 0, done.err
    logged = read_wandb_file(run_dir)
    assert logged.panels == {
        "interval/threat/f1": "wandb/lineseries/v0",
        "evidence/threat/f1": "wandb/lineseries/v0",
        "confusion/validation": "wandb/confusion_matrix/v1",
    }
    artifacts = {name: kind for name, (kind, _) in logged.artifacts.items() if kind != "run_table"}
    run_id = logged.run.run_id
    assert artifacts == {f"policy-{run_id}": "model"}
    _, files = logged.artifacts[f"policy-{run_id}"]
    assert files == {"policy.json": str(tmp_path / "policy.json")}  # the file itself, without a copy
    (table,) = run_dir.glob("wandb/offline-run-*/files/media/table/confusion/*.json")
    assert json.loads(table.read_text())["data"] == [
        ["positive", "flagged", 5],
        ["positive", "not flagged", 1],
        ["negative", "flagged", 2],
        ["negative", "not flagged", 92],
    ]
    (series_file,) = run_dir.glob("wandb/offline-run-*/files/media/table/interval/threat/*.json")
    chart = json.loads(series_file.read_text())
    assert chart["columns"] == ["step", "lineKey", "lineVal"]
    assert [1, "threshold", 0.8] in chart["data"]
    assert [2, "upper", 0.9] in chart["data"]
    # the tables are in the summary, where the charts look for them, and leave no numbers in the history
    assert [row["env_steps"] for row in logged.history] == [0, 100, 200]
    assert {name.partition("/")[0] for row in logged.history for name in row} <= HISTORY
    assert logged.summary["interval/threat/f1_table"]["_type"] == "table-file"
    assert {key: value for key, value in logged.summary.items() if key.startswith("verdict/")} == {
        "verdict/threat/f1": "PASS",
        "verdict/threat/f1/estimate": 0.93,
        "verdict/threat/f1/low": 0.81,
        "verdict/threat/f1/threshold": 0.8,
        "verdict/threat/f1/units": 2,
    }
    # parallel coordinates draw plain values: no key of the config may hold others
    assert not [key for key, value in logged.config.items() if isinstance(value, dict) and key != "_wandb"]


def test_online_what_arrives_is_what_was_sent(track):
    with WandbServer() as server:
        done = track(WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY, WANDB_PROJECT="theirs")
        assert (done.code, done.err) == (0, "")
        first = server.variables("UpsertBucket")[0]
        history = server.streamed("wandb-history.jsonl")
        summary = server.streamed("wandb-summary.json")[-1]
    assert first["project"] == "theirs"
    assert first["groupName"] == "sweep"
    assert json.loads(first["config"])["agent.gamma"]["value"] == 0.99
    assert [row["env_steps"] for row in history] == [0, 100, 200]
    assert summary["verdict/threat/f1"] == "PASS"


def test_a_server_that_stops_answering_does_not_hold_up_the_run(track, run_dir):
    with WandbServer(hang_after="UpsertBucket") as server:
        done = track({"finish_timeout": 1}, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert done.code == 0
    (folder,) = run_dir.glob("wandb/run-*")
    assert done.err.count("\n") == 1
    assert f"`wandb sync outputs/{run_dir.name}/wandb/{folder.name}`" in done.err


def test_a_server_that_cannot_be_reached_means_offline(track, run_dir):
    done = track(WANDB_BASE_URL=f"http://127.0.0.1:{closed_port()}", WANDB_API_KEY=KEY, status="failed")
    assert done.code == 0
    assert "cannot be reached, so the run is recorded offline" in done.err
    assert done.err.count("\n") == 1
    logged = read_wandb_file(run_dir)
    assert (logged.exit_code, logged.summary["status"]) == (1, "failed")


def test_a_server_that_refuses_the_key_means_offline(track, run_dir):
    with WandbServer(refuse=401) as server:
        done = track({"mode": "online"}, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert done.code == 0
    assert "W&B did not take the run (" in done.err
    assert done.err.count("\n") == 1
    assert len(list(run_dir.glob("wandb/offline-run-*"))) == 1


def test_an_offline_run_ends_at_once_where_the_network_swallows_packets(track):
    with WandbServer(hang_after="") as server:
        # WANDB_MODE was set by the user, so nothing is checked.
        done = track(WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY, WANDB_MODE="offline")
        assert server.unanswered == []  # not even W&B's own reports, which would wait for an answer
    assert done.code == 0
    assert re.fullmatch("wandb: the run is recorded offline; upload it later with `wandb sync .*`\n", done.err)


def test_online_without_a_key_is_bad_input(track):
    done = track({"mode": "online"})
    assert done.code == 2
    assert done.out.strip() == (
        "tracker.mode=online, but there is no W&B API key: `wandb login`, or tracker.mode=offline and sync later"
    )


def test_the_sweep_of_an_agent_keeps_its_own_group(tmp_path, monkeypatch):
    def arguments():
        return _init_arguments(WandbSettings(), TrackedRun(tmp_path, {}, "ours"), online=True)

    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    assert arguments()["group"] == "ours"
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc123")
    assert "group" not in arguments()


def test_the_name_is_that_of_the_config_else_of_the_directory(tmp_path):
    for name, expected in (("night run", "night run"), (None, tmp_path.name)):
        arguments = _init_arguments(WandbSettings(), TrackedRun(tmp_path, {"name": name}), online=False)
        assert arguments["name"] == expected[:128]


def test_a_resumed_run_continues_its_wandb_run(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    (tmp_path / "wandb" / "run-20260101_120000-first111").mkdir(parents=True)
    (tmp_path / "wandb" / "run-20260101_130000-again222").mkdir()
    arguments = _init_arguments(WandbSettings(), TrackedRun(tmp_path, {}), online=True)
    assert (arguments["id"], arguments["resume"]) == ("again222", "allow")


def test_modes_that_need_no_key_are_not_checked(monkeypatch):
    monkeypatch.setattr("rl_eval.tracking._wandb._key_problem", lambda base_url: "no key")
    for mode in ("auto", "offline", "disabled"):
        check_tracker(WandbSettings(mode=mode))
    with pytest.raises(InputError, match="no key"):
        check_tracker(WandbSettings(mode="online"))
