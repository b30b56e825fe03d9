"""A run that was killed, stopped or damaged and resumed ends with the bytes of an uninterrupted run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from rl_eval import run as runs
from rl_eval.errors import InputError
from tests.run_bytes import content
from tests.training.learn import ROOT, learn

THREAT = [
    "env=threat", "env.train_flows=3000", "env.validation_flows=1000", "env.test_flows=1000", "total_steps=8192",
    "agent.n_envs=16", "agent.batch_size=128", "resume_every=1024", "checkpoint_every=1024", "log_every=512",
    "validation.every=2048", "validation.episodes=2", "keep_snapshots=3",
]  # fmt: skip
LUNARLANDER = [
    "env=lunarlander", "total_steps=8192", "agent.n_envs=8", "agent.n_steps=32", "agent.batch_size=128",
    "agent.n_epochs=2", "resume_every=1024", "checkpoint_every=1024", "log_every=512", "validation.every=2048",
    "validation.episodes=2", "validation.stop_at=null", "keep_snapshots=3",
]  # fmt: skip
CARTPOLE = [
    "env=cartpole", "total_steps=4096", "agent.n_envs=4", "agent.n_steps=64", "agent.n_epochs=1", "log_every=512",
    "resume_every=1024", "checkpoint_every=512", "validation.every=1024", "validation.episodes=2",
    "validation.stop_at=null",
]  # fmt: skip

OFF_POLICY = [
    "agent=dqn",
    "agent.n_envs=8",
    "agent.buffer_size=3000",
    "agent.batch_size=32",
    "agent.network={widths: [16]}",
]
DQN_THREAT = [*(o for o in THREAT if not o.startswith("agent.")), *OFF_POLICY, "agent.updates_per_step=0.1"]
DQN_LUNARLANDER = [
    *(o for o in LUNARLANDER if not o.startswith("agent.")), *OFF_POLICY, "agent.prioritized=true", "agent.n_step=3",
    "agent.normalize_reward=true", "agent.updates_per_step=0.3",
]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run on CartPole that ran to its end; read only."""
    return learn(CARTPOLE, tmp_path_factory.mktemp("whole") / "run").path


@pytest.fixture
def stopped(uninterrupted, tmp_path):
    """The same run, stopped by SIGTERM at 3,584 env steps: after three resume points of which two are kept."""
    path = learn(CARTPOLE, tmp_path / "run", stop_at=3500).path
    assert [point.name for point in runs.step_directories(path / "resume")] == ["step_2048", "step_3072"]
    return path


# -- kills -------------------------------------------------------------------------------------------------------------


def kill_and_compare(folder, kills, seed, overrides):
    command = [sys.executable, "-m", "tests.training.killing", str(folder), str(kills), str(seed), *overrides]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kills"] == kills
    expected = content(folder / "uninterrupted")
    final = content(folder / "uninterrupted.final")
    assert any(name.startswith("resume/") for name in expected)
    killed = sorted(path for path in folder.glob("killed_*") if path.suffix == "")
    assert killed
    for path in killed:
        assert content(path) == expected
        assert content(path.with_suffix(".final")) == final  # parameters, optimiser, normalisers, random states
        assert not list(path.rglob("*.tmp")) + list(path.rglob("*.gone"))


@pytest.mark.verify
def test_three_kills_change_no_byte(tmp_path):
    kill_and_compare(tmp_path, 3, 2, THREAT)


def envpool(*overrides):
    return pytest.param([*overrides, "env.backend=envpool"], id="lunarlander-envpool")


@pytest.mark.verify
@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(THREAT, id="threat"),
        pytest.param(["agent=a2c", *(o for o in THREAT if "batch_size" not in o)], id="threat-a2c"),
        pytest.param([*LUNARLANDER, "env.backend=gymnasium", "env.workers=1"], id="lunarlander-gymnasium"),
        pytest.param(
            [*LUNARLANDER, "env.backend=gymnasium", "env.workers=2", "agent.normalize_obs=true"],
            id="lunarlander-gymnasium-workers",
        ),
        envpool(*LUNARLANDER),
        pytest.param(DQN_THREAT, id="threat-dqn"),
        pytest.param([*DQN_LUNARLANDER, "env.backend=gymnasium", "env.workers=1"], id="lunarlander-dqn"),
        pytest.param(
            [*DQN_LUNARLANDER, "env.backend=gymnasium", "env.workers=1", "replay.storage=memmap"],
            id="lunarlander-dqn-memmap",
        ),
        pytest.param([*DQN_LUNARLANDER, "env.backend=envpool"], id="lunarlander-dqn-envpool"),
    ],
)
def test_twenty_kills_change_no_byte(overrides, tmp_path):
    if "env.backend=envpool" in overrides:
        pytest.importorskip("envpool")
    kill_and_compare(tmp_path, 20, 1, overrides)


def test_sigterm_is_as_good_as_ctrl_c(uninterrupted, stopped):
    assert runs.read_run(stopped).info["status"] == "interrupted"
    learn(None, stopped, resume=True)
    assert content(stopped) == content(uninterrupted)


# -- damage ------------------------------------------------------------------------------------------------------------


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    os.truncate(path, path.stat().st_size - 7)


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [flip, truncate, remove])
@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "state.sha256"])
def test_a_damaged_resume_point_is_named_and_the_one_before_taken(uninterrupted, stopped, damage, name):
    damage(stopped / "resume" / "step_3072" / name)
    notices = []
    learn(None, stopped, resume=True, notice=notices.append)
    (sentence,) = notices
    assert f"{stopped}/resume/step_3072/state." in sentence
    assert sentence.endswith(": continuing from step_2048 instead")
    assert content(stopped) == content(uninterrupted)


def test_without_an_intact_point_the_run_starts_again(uninterrupted, stopped):
    for name in ("step_2048", "step_3072"):
        flip(stopped / "resume" / name / "state.safetensors")
    notices = []
    learn(None, stopped, resume=True, notice=notices.append)
    (sentence,) = notices
    assert sentence.count("is truncated or altered") == 2
    assert sentence.endswith("continuing from the start instead")
    assert content(stopped) == content(uninterrupted)


@pytest.mark.parametrize(
    ("step", "start"), [(3584, "step_3072"), (3072, "step_2048"), (2560, "step_2048"), (1024, "the start")]
)
def test_a_damaged_snapshot_is_made_again_from_a_point_before_it(uninterrupted, stopped, step, start):
    snapshots = [path.name for path in runs.step_directories(stopped / "snapshots")]
    assert f"step_{step}" in snapshots, snapshots
    flip(stopped / "snapshots" / f"step_{step}" / "policy.safetensors")
    notices = []
    learn(None, stopped, resume=True, notice=notices.append)
    assert f"step_{step}/policy.safetensors is truncated or altered" in notices[0]
    assert notices[0].endswith(f"continuing from {start} instead")
    assert content(stopped) == content(uninterrupted)


def test_rows_that_a_crash_lost_are_made_again(uninterrupted, stopped):
    lines = (stopped / "metrics.csv").read_text().splitlines(keepends=True)
    (stopped / "metrics.csv").write_text("".join(lines[:6]) + lines[6][:9])  # five rows: up to 2,560 env steps
    notices = []
    learn(None, stopped, resume=True, notice=notices.append)
    assert "metrics.csv has lost rows from before step_3072: continuing from step_2048 instead" in notices[0]
    assert content(stopped) == content(uninterrupted)


@pytest.mark.parametrize("row", [0, 1, 3])
def test_a_bit_that_changed_in_a_row_from_before_the_point_is_refused(stopped, row):
    """By one bit a digit becomes another digit, which no reader would notice."""
    file = stopped / "metrics.csv"
    lines = file.read_bytes().splitlines(keepends=True)
    at = next(i for i, byte in enumerate(lines[row]) if chr(byte).isalnum())
    lines[row] = lines[row][:at] + bytes([lines[row][at] ^ 1]) + lines[row][at + 1 :]
    file.write_bytes(b"".join(lines))
    before = content(stopped)
    with pytest.raises(InputError, match=r"metrics\.csv has changed in a row from before step_3072"):
        learn(None, stopped, resume=True)
    assert content(stopped) == before


def test_an_intact_run_resumes_without_a_notice(stopped):
    notices = []
    learn(None, stopped, resume=True, notice=notices.append)
    assert notices == []


# -- refusals ----------------------------------------------------------------------------------------------------------


def rewrite(path, **values):
    runs.write_json(path / "run.json", {**runs.read_run(path).info, **values})


def test_another_back_end_number_of_threads_or_device_is_refused_and_nothing_changed(stopped):
    info = runs.read_run(stopped).info
    assert (info["backend"], info["hardware"]["threads"], info["hardware"]["device"]) == ("gymnasium", 1, "cpu")
    hardware = info["hardware"]
    for values, message in [
        ({"backend": "envpool"}, "backend='envpool', but here it would be 'gymnasium'"),
        ({"hardware": {**hardware, "threads": 2}}, "threads=2, but here it would be 1"),
        ({"hardware": {**hardware, "device": "cuda"}}, "device='cuda', but here it would be 'cpu'"),
    ]:
        rewrite(stopped, **values)
        before = content(stopped)
        with pytest.raises(InputError, match=message) as error:
            learn(None, stopped, resume=True)
        assert "\n" not in str(error.value)
        assert content(stopped) == before
        rewrite(stopped, **info)


def test_a_resume_point_records_how_it_was_executed(stopped):
    point = runs.step_directories(stopped / "resume")[-1]
    arrays, meta = runs.read_checkpoint(point, "state")
    assert meta["execution"] == {"backend": "gymnasium", "device": "cpu", "threads": 1, "ranks": 1}
    runs.write_checkpoint(point, "state", arrays, {**meta, "execution": {**meta["execution"], "threads": 4}})
    with pytest.raises(InputError, match="threads=4, but here it would be 1"):
        learn(None, stopped, resume=True)


def test_a_point_of_another_network_is_refused(stopped):
    config = yaml.safe_load((stopped / "config.yaml").read_text())
    config["agent"]["network"]["widths"] = [8]
    (stopped / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(
        InputError, match=r"resume/step_3072 does not fit the run's config \(.+\): put config\.yaml back"
    ):
        learn(None, stopped, resume=True)


@pytest.mark.verify
def test_two_processes_never_train_one_run(tmp_path):
    """Neither beside the one that trains, nor beside one that resumes; after SIGKILL nothing is left over."""
    command = [sys.executable, str(ROOT / "train.py")]
    long = [o for o in CARTPOLE if not o.startswith("total_steps")] + ["total_steps=100000000", "hydra.run.dir=run"]
    for arguments in (long, ["resume=run"]):
        first = subprocess.Popen([*command, *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        before = len(runs.step_directories(tmp_path / "run" / "resume"))
        mark = (tmp_path / "run" / "metrics.csv").stat().st_mtime_ns if before else 0
        while time.monotonic() < deadline:
            file = tmp_path / "run" / "metrics.csv"
            if runs.step_directories(tmp_path / "run" / "resume") and file.exists() and file.stat().st_mtime_ns > mark:
                break
            time.sleep(0.05)
        second = subprocess.run([*command, "resume=run"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert second.returncode == 2, second.stderr
        (line,) = second.stderr.strip().splitlines()
        assert line.startswith("error: run is in use by another process")
    with runs.lock(tmp_path / "run"):
        pass
    shutil.rmtree(tmp_path / "run")
