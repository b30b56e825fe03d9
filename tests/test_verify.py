"""`rl-eval verify`: a run agrees with its replay, and a change of any part is detected and located."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from rl_eval import config as configs
from rl_eval import run as runs
from rl_eval.cli import main
from rl_eval.hydra_compose import compose
from rl_eval.tracking import open_tracker
from rl_eval.training import train
from tests.run_bytes import content

ROOT = Path(__file__).resolve().parents[1]
CARTPOLE = [
    "env=cartpole", "total_steps=2048", "agent.n_envs=4", "agent.n_steps=64", "agent.batch_size=64",
    "agent.n_epochs=1", "log_every=256", "resume_every=512", "checkpoint_every=512", "validation.every=1024",
    "validation.episodes=2", "validation.stop_at=null", "keep_snapshots=2",
]  # fmt: skip
THREAT = [
    "env=threat", "env.train_flows=2000", "env.validation_flows=500", "env.test_flows=500", "total_steps=2048",
    "agent.n_envs=16", "agent.n_steps=16", "agent.batch_size=128", "validation.every=1024", "validation.episodes=2",
]  # fmt: skip


def learn(overrides, directory, *, stop_at=None):
    config = configs.load(compose(ROOT / "conf", overrides))
    directory.mkdir()
    step_count = [0]

    class Killed(BaseException):
        pass

    def on_step(env_steps, *_):
        step_count[0] = env_steps
        if stop_at is not None and env_steps >= stop_at:
            raise Killed

    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    try:
        train(config, directory, tracker=tracker, on_step=on_step)
    except Killed:
        assert runs.read_run(directory).info["status"] == "running"
    return directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return learn(CARTPOLE, tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


def verify(capsys, *arguments):
    """The exit status, what was printed, and the errors."""
    status = main(["verify", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("overrides", [CARTPOLE, THREAT], ids=["cartpole", "threat"])
def test_a_run_agrees_with_its_replay_and_is_only_read(tmp_path, capsys, overrides, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run = learn(overrides, tmp_path / "run")
    before = content(run)
    status, out, err = verify(capsys, run)
    assert (status, "differs" in out) == (0, False), out
    parts = {line.split()[1] for line in out.splitlines() if line.startswith("agrees")}
    snapshots = {f"snapshots/{path.name}" for path in (run / "snapshots").iterdir()}
    assert snapshots | {"metrics.csv", "seen.npz", "run.json"} <= parts
    assert "every byte agrees, 2,048 env steps replayed" in out
    assert "2,048 env steps" in err  # the progress
    assert content(run) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_that_was_killed_is_replayed_up_to_its_last_snapshot(tmp_path, capsys):
    run = learn(CARTPOLE, tmp_path / "run", stop_at=1280)
    assert runs.read_run(run).snapshots()[-1].name == "step_1024"
    status, out, _ = verify(capsys, run)
    assert status == 0, out
    assert "1,024 env steps replayed" in out


def change_cell(run):
    path = run / "metrics.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    place = rows[0].index("value_loss")
    rows[3][place] = "0.125"
    path.write_text("".join(",".join(row) + "\n" for row in rows))


def change_tensor(run):
    snapshot = runs.step_directories(run / "snapshots")[-1]
    arrays, meta = runs.read_checkpoint(snapshot, "policy")
    name = sorted(arrays)[0]
    changed = np.array(arrays[name])
    changed.flat[1] = np.nextafter(changed.flat[1], np.float32(9))
    runs.write_checkpoint(snapshot, "policy", {**arrays, name: changed}, meta)


def change_bit(run):
    path = runs.step_directories(run / "snapshots")[-1] / "policy.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def change_result(run):
    info = runs.read_json(run / "run.json")
    runs.write_json(run / "run.json", {**info, "results": {**info["results"], "mean": 999.0}})


def change_config(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["agent"]["gamma"] = 0.5
    (run / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (change_cell, ["differs  metrics.csv: row 3, column 'value_loss': '0.125' in the run, '", "nothing that is"]),
        (change_tensor, ["differs  snapshots/step_2048: tensor '", "; 1 of "]),
        (change_bit, ["policy.safetensors is truncated or altered (its SHA-256 differs)"]),
        (change_result, ["differs  run.json: results.mean: 999.0 in the run, "]),
        (change_config, ["could explain it: config.yaml is not what the run was trained with"]),
    ],
)
def test_differences_are_reported_with_their_location_and_status_1(copy, capsys, change, messages):
    change(copy)
    status, out, _ = verify(capsys, copy)
    assert status == 1
    for words in messages:
        assert words in out, out
    assert "run: differs, 2,048 env steps replayed" in out


def test_possible_causes_of_a_difference_are_reported(copy, capsys):
    change_cell(copy)
    info = runs.read_json(copy / "run.json")
    versions = {**info["versions"], "torch": "1.0"}
    runs.write_json(copy / "run.json", {**info, "versions": versions, "git_revision": "abc\x1b[31m"})
    status, out, _ = verify(capsys, copy)
    assert status == 1
    assert f"could explain it: torch: '1.0' in the run, '{info['versions']['torch']}' here" in out
    assert "could explain it: git_revision: 'abc\\x1b[31m' in the run" in out
    assert "\x1b" not in out


def test_bad_input_is_one_sentence_and_status_2(copy, tmp_path, capsys):
    assert verify(capsys, tmp_path)[0] == 2
    info = runs.read_json(copy / "run.json")
    runs.write_json(copy / "run.json", {**info, "backend": "envpool"})
    status, out, err = verify(capsys, copy)
    assert (status, out) == (2, "")
    assert "was trained with backend='envpool', but here it would be 'gymnasium'" in " ".join(err.split())
    shutil.rmtree(copy / "snapshots")
    status, out, err = verify(capsys, copy)
    assert (status, out) == (2, "")
    assert "has no snapshot, so there is nothing to compare" in " ".join(err.split())


def test_a_module_that_a_run_names_is_imported_only_with_trust(copy, tmp_path, capsys, monkeypatch):
    (tmp_path / "tripwire.py").write_text("from pathlib import Path\nPath('imported').write_text('')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["env"] = {**config["env"], "name": "gym", "id": "tripwire:CartPole-v1"}
    config["env"].pop("data", None)
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    status, _, err = verify(capsys, copy)
    assert status == 2
    assert "env.id='tripwire:CartPole-v1' imports a module: add --trust" in " ".join(err.split())
    assert not (tmp_path / "imported").exists()
    verify(capsys, copy, "--trust")
    assert (tmp_path / "imported").exists()


def test_a_run_that_is_being_trained_is_refused(copy, capsys):
    info = runs.read_json(copy / "run.json")
    runs.write_json(copy / "run.json", {**info, "status": "running"})
    hold = """
import sys, pathlib
from rl_eval import run
with run.lock(pathlib.Path(sys.argv[1])):
    print(1, flush=True)
    input()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(copy)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "1\n"
    status, _, err = verify(capsys, copy)
    other.communicate("\n")
    assert status == 2
    assert "is in use by another process" in " ".join(err.split())


def test_its_help_teaches(capsys):
    assert main(["verify", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in (
        "rl-eval verify outputs/<date>/<run>",
        "--trust",
        "0 everything agrees, 1 something differs, 2 bad input",
    ):
        assert words in out
