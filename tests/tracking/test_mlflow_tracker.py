"""The MLflow tracker, checked with MLflow's own client: SQLite without a server, and a server that is not there."""

import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
pytest.importorskip("sqlalchemy", reason="the extra mlflow is not installed")

from rl_eval.tracking import BackgroundTracker, TrackedRun, verdict_summary
from rl_eval.tracking._mlflow import PLUGIN, RUN_ID_FILE, MlflowSettings, _name, start

PATIENCE = 300  # seconds that a busy machine may take; no test waits for it
CONFIG = {"lr": 0.001, "resume": None, "agent": {"gamma": 0.99, "network": {"widths": [64, 64]}}}
VERDICT = [{"suite": "s", "criterion": "f1", "decision": "PASS", "estimate": 0.9, "threshold": 0.8, "units": 2}]


def track(run_dir, steps, status="finished"):
    """A short run of a sweep, in the background as in train.py."""
    run_dir.mkdir(parents=True, exist_ok=True)
    run = TrackedRun(run_dir, CONFIG, "night")
    tracker = BackgroundTracker("mlflow", lambda: start(MlflowSettings(), run), timeout=PATIENCE, draws=PLUGIN.draws)
    for step in steps:
        mean = math.nan if step == 0 else step / 2
        tracker.log({"env_steps": step, "reward/landing": 1.0, "episode_return_mean": mean}, step)
    if status == "finished":
        (run_dir / "policy.json").write_text('{"a": 1}')
        tracker.summary({"results/mean": 231.5, "results/std": None, **verdict_summary(VERDICT)})
        tracker.log_files(
            "policy", {"policy.json": run_dir / "policy.json", "parts/policy.json": run_dir / "policy.json"}
        )
        tracker.log_files("report", {"report.html": run_dir / "policy.json"})
    tracker.close(status)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A folder with two runs of a sweep, the second of which stopped and went on; and MLflow's own client."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patched.delenv(name)
        patched.chdir(folder)
        track(folder / "sweep" / "a", [0, 100, 200])
        track(folder / "sweep" / "b", [100, 200, 300], "interrupted")
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        stopped = runs_of(client)["b"].info.status
        track(folder / "sweep" / "b", [200, 300, 400])
        yield folder, client, stopped


def runs_of(client):
    """The runs of the sweep, by name."""
    experiment = client.get_experiment_by_name("rl_eval")
    runs = client.search_runs([experiment.experiment_id], "tags.sweep = 'night'")
    return {run.info.run_name: run for run in runs}


def test_mlflow_has_what_was_logged(tracked):
    folder, client, _ = tracked
    run = runs_of(client)["a"]
    assert run.info.status == "FINISHED"
    widths = {"agent.gamma": "0.99", "agent.network.widths": "[64, 64]"}
    assert run.data.params == {"lr": "0.001", "resume": "None", **widths}
    history = client.get_metric_history(run.info.run_id, "episode_return_mean")
    assert [(entry.step, entry.value) for entry in history] == [(100, 50.0), (200, 100.0)]  # NaN is no number to draw
    metrics = {"env_steps": 200, "reward/landing": 1, "episode_return_mean": 100, "results/mean": 231.5}
    metrics |= {f"verdict/s/f1/{key}": value for key, value in (("estimate", 0.9), ("threshold", 0.8), ("units", 2))}
    assert run.data.metrics == metrics
    assert run.data.tags["verdict/s/f1"] == "PASS"
    assert run.data.tags["status"] == "finished"
    assert run.data.tags["run_directory"] == str(folder / "sweep" / "a")


def test_the_policy_and_the_report_are_artifacts(tracked):
    _, client, _ = tracked
    run_id = runs_of(client)["a"].info.run_id
    assert {file.path for file in client.list_artifacts(run_id)} == {"policy", "report"}
    assert {file.path for file in client.list_artifacts(run_id, "policy")} == {"policy/policy.json", "policy/parts"}
    assert [file.path for file in client.list_artifacts(run_id, "policy/parts")] == ["policy/parts/policy.json"]


def test_a_resumed_run_goes_on_with_its_mlflow_run(tracked):
    folder, client, stopped = tracked
    runs = runs_of(client)
    assert runs.keys() == {"a", "b"}
    assert runs["b"].info.run_id == (folder / "sweep" / "b" / RUN_ID_FILE).read_text().strip()
    history = client.get_metric_history(runs["b"].info.run_id, "episode_return_mean")
    assert [entry.step for entry in history] == [100, 200, 300, 400]  # those that are played again count once
    assert (stopped, runs["b"].info.status, runs["b"].data.tags["status"]) == ("KILLED", "FINISHED", "finished")


def test_nothing_is_reported_to_the_makers_of_mlflow(tracked):
    from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY

    assert MLFLOW_DISABLE_TELEMETRY.get()


def test_a_run_id_that_is_not_one_starts_another_run(tracked):
    folder, client, _ = tracked
    run_dir = folder / "other" / "c"
    (run_dir / RUN_ID_FILE).parent.mkdir(parents=True)
    (run_dir / RUN_ID_FILE).write_text("../../etc/passwd")
    track(run_dir, [100], "failed")
    assert runs_of(client)["c"].info.status == "FAILED"
    assert (run_dir / RUN_ID_FILE).read_text().strip() == runs_of(client)["c"].info.run_id


def test_a_server_that_is_not_there_is_one_line_and_the_run_goes_on(tmp_path, monkeypatch, capsys):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    track(tmp_path / "a", [0, 100])
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be reached), so later numbers are in the run directory only (training is not affected)" in line
    assert "secret" not in line
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize("name", ["a|b", "f1 (validation)", "x" * 300, "ü=1"])
def test_names_are_made_such_that_mlflow_takes_them(name):
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(_name(name))


@pytest.mark.verify
def test_jobs_that_begin_at_once_share_a_new_database(tmp_path):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    root = Path(__file__).parents[2]
    command = [sys.executable, str(root / "train.py"), "env=cartpole", "total_steps=2048", "tracker=mlflow"]
    command.append(f"tracker.finish_timeout={PATIENCE}")
    jobs = [
        subprocess.Popen([*command, f"seed={seed}", f"name=job{seed}"], cwd=tmp_path, env=environ) for seed in (1, 2, 3)
    ]
    assert [job.wait(2 * PATIENCE) for job in jobs] == [0, 0, 0]
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("rl_eval").experiment_id])
    assert {run.info.run_name for run in runs} == {"job1", "job2", "job3"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"policy", "report"}
