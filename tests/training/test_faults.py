"""A full disk, a tracker that fails or hangs, numbers that are not finite: a message, and intact files."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from agents.on_policy import OnPolicyAgent
from rl_eval import config as configs
from rl_eval import job
from rl_eval import run as runs
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.rewards import RewardedVector
from rl_eval.tracking import open_tracker
from rl_eval.tracking._background import BackgroundTracker
from rl_eval.training import train
from tests.run_bytes import content

ROOT = Path(__file__).resolve().parents[2]
CARTPOLE = [
    "env=cartpole", "total_steps=4096", "agent.n_envs=4", "agent.n_steps=64", "agent.batch_size=64",
    "agent.n_epochs=1", "log_every=512", "resume_every=1024", "checkpoint_every=512", "validation.every=1024",
    "validation.episodes=2", "validation.stop_at=null",
    "judge=test",
]  # fmt: skip


def learn(directory, *overrides, resume=False, tracker=None):
    config = configs.load(
        runs.read_run(directory).config if resume else compose(ROOT / "conf", [*CARTPOLE, *overrides])
    )
    directory.mkdir(exist_ok=True)
    tracker = tracker or open_tracker(config.tracker, run_dir=directory, config={})
    return train(config, directory, tracker=tracker, resume=resume)


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory):
    """What a run holds that nothing happened to."""
    return content(learn(tmp_path_factory.mktemp("whole") / "run").path)


def everything_is_whole(path):
    """No half-written file, and every checkpoint loads."""
    assert not [file for file in path.rglob("*") if re.search(r"\.(tmp|gone)$", file.name)]
    for folder, name in (("snapshots", "policy"), ("resume", "state")):
        for step in runs.step_directories(path / folder):
            arrays, _ = runs.read_checkpoint(step, name)
            if name == "policy":
                assert all(np.isfinite(array).all() for array in arrays.values())


# -- a full disk -------------------------------------------------------------------------------------------------------


def fill_up(patch, pattern, times):
    """From the time on that a file whose path matches was written so often, it cannot be written any more."""
    fsync, write, left = os.fsync, os.write, [times]

    def full(descriptor):
        if re.search(pattern, os.readlink(f"/proc/self/fd/{descriptor}")):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_fsync(descriptor):
        full(descriptor)
        fsync(descriptor)

    def full_write(descriptor, content):
        full(descriptor)
        return write(descriptor, content)

    patch.setattr(os, "fsync", full_fsync)
    patch.setattr(os, "write", full_write)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="it takes /proc to know which file is written")
@pytest.mark.parametrize(
    ("pattern", "times", "recorded"),
    [
        (r"/resume/.*state\.safetensors", 1, True),
        (r"/resume/.*state\.sha256", 1, True),
        (r"/resume/\.step_[^/]*$", 1, True),  # the directory itself
        (r"/snapshots/.*policy\.json", 2, True),
        (r"/metrics\.csv$", 4, True),
        (r"/seen\.npz|/\.seen\.npz", 0, True),
        (r"/\.run\.json", 1, False),
    ],
    ids=["point", "hashes", "directory", "snapshot", "metrics", "seen", "run.json"],
)
def test_a_full_disk_fails_the_run_and_leaves_intact_files(
    tmp_path, undisturbed_run, monkeypatch, pattern, times, recorded
):
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        fill_up(patch, pattern, times)
        failed = learn(path)
    assert failed.info["status"] == "failed"
    assert re.fullmatch(
        rf"{re.escape(str(path))}/\S*[^.]\S* could not be written \(No space left on device\); after fixing that, "
        rf"continue with `python train\.py resume={re.escape(str(path))}`",
        failed.info["reason"],
    )
    on_disk = runs.read_run(path).info
    assert (on_disk["status"] == "failed") == recorded
    assert not recorded or on_disk["reason"] == failed.info["reason"]
    everything_is_whole(path)
    rows = runs.read_metrics(path / "metrics.csv")
    assert all(np.isfinite(rows["env_steps"]))
    learn(path, resume=True)
    assert content(path) == undisturbed_run


def test_a_disk_that_is_full_from_the_start_is_bad_input(tmp_path, monkeypatch):
    fill_up(monkeypatch, r"config\.yaml", 0)
    with pytest.raises(
        InputError, match=r"run/config\.yaml could not be written \(No space left on device\): make room"
    ):
        learn(tmp_path / "run")


@pytest.mark.verify
def test_a_file_that_the_kernel_cuts_short_ends_with_one_sentence_and_status_1(tmp_path):
    """A limit on the size of files: policies fit below it, resume points do not."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))

    command = [sys.executable, str(ROOT / "train.py")]
    arguments = [*CARTPOLE, "agent.network.widths=[64,64]", "hydra.run.dir=run"]
    done = subprocess.run(
        [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, preexec_fn=limit, timeout=120
    )
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: training failed: run/resume/")
    assert "could not be written (File too large)" in last
    assert "Traceback" not in done.stderr
    facts = runs.read_run(tmp_path / "run")
    assert facts.info["status"] == "failed"
    assert facts.snapshots()
    assert runs.step_directories(facts.path / "resume") == []
    everything_is_whole(facts.path)


SMALL_DISK = "mkdir disk && mount -t tmpfs -o size={size}k none disk && cd disk && exec {command}"


@pytest.mark.verify
@pytest.mark.parametrize("size", [40, 60, 100, 150, 200, 300])
def test_a_small_disk_fills_up_at_any_moment(tmp_path, size):
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("a small disk takes a mount namespace of one's own, which is not allowed here")
    arguments = " ".join(f"'{o}'" for o in [*CARTPOLE, "keep_snapshots=50", "hydra.run.dir=run"])
    script = SMALL_DISK.format(
        size=size,
        command=f"sh -c '{sys.executable} {ROOT / 'train.py'} \"$@\"; S=$?; cp -r run ..; exit $S' - {arguments}",
    )
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode in (1, 2), (done.returncode, done.stderr)
    last = done.stderr.strip().splitlines()[-1]
    assert re.match(r"error: .*(could not be|cannot be) written \(No space left on device\)", last), done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == 1:
        everything_is_whole(tmp_path / "run")


# -- trackers ----------------------------------------------------------------------------------------------------------


class Failing:
    """A tracker that does one thing wrong."""

    def __init__(self, method, act):
        self._method, self._act = method, act

    def _take(self, name):
        if name == self._method:
            self._act()

    def log(self, row, env_steps):
        self._take("log")

    def summary(self, values):
        self._take("summary")

    def log_plots(self, plots):
        self._take("log_plots")

    def log_files(self, kind, files):
        self._take("log_files")

    def close(self, status):
        self._take("close")


def leave():
    raise SystemExit(3)


def disconnect():
    raise ConnectionError("the server went away")


@pytest.mark.parametrize(
    ("fault", "method"),
    [*(("hangs", name) for name in ("start", "log", "summary", "close")), ("raises", "log"), ("exits", "log")],
)
def test_training_continues_when_a_tracker_fails_with_a_message(
    tmp_path, undisturbed_run, monkeypatch, capsys, method, fault
):
    release = threading.Event()
    act = {"hangs": release.wait, "raises": disconnect, "exits": leave}[fault]

    def start():
        if method == "start":
            act()
        return Failing(method, act)

    monkeypatch.setattr(job, "_report", lambda _: None)
    timeout = 0.3 if fault == "hangs" else 60
    monkeypatch.setattr(
        job, "open_tracker", lambda *_args, **_kwargs: BackgroundTracker("fake", start, timeout=timeout)
    )
    path = tmp_path / "run"
    path.mkdir()
    job.run(compose(ROOT / "conf", CARTPOLE), path, sweep=None, suites=tmp_path / "no suites")
    release.set()  # which nothing has waited for
    stderr = capsys.readouterr().err
    assert stderr.count("fake: ") == 1
    messages = {
        "hangs": "did not finish within 0.3 s",
        "raises": "ConnectionError: the server went away",
        "exits": "SystemExit",
    }
    assert messages[fault] in stderr
    assert "training is not affected" in stderr
    assert runs.read_run(path).finished
    assert content(path) == undisturbed_run


# -- numbers that are not finite ---------------------------------------------------------------------------------------


def poisoned(monkeypatch, where):
    """Make a number NaN in a late step of the environments, or let the learning rate of a late iteration explode."""
    step, iterate, count = RewardedVector.step, OnPolicyAgent.iterate, [0]

    def poisoned_step(vector, actions):
        obs, rewards, *rest = step(vector, actions)
        count[0] += 1
        if count[0] == 600:
            (rewards if where == "reward" else obs)[0] = np.nan
        return (obs, rewards, *rest)

    def exploding(agent):
        count[0] += 1
        if count[0] == 10:
            object.__setattr__(agent.config, "lr", {"loss": 1e20, "weights": 1e39}[where])
        return iterate(agent)

    if where in ("reward", "observation"):
        monkeypatch.setattr(RewardedVector, "step", poisoned_step)
    else:
        monkeypatch.setattr(OnPolicyAgent, "iterate", exploding)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize(
    ("where", "overrides", "message"),
    [
        ("reward", [], r"the environment returned a number that is not finite: rewards\[23, 0\]"),
        ("observation", [], r"the environment returned a number that is not finite: obs\[24, 0, 0\]"),
        ("loss", ["agent.max_grad_norm=1e30"], r"\w*loss is (nan|inf) after 2304 env steps: lower lr"),
        ("weights", ["agent.batch_size=256"], r"a weight is nan or inf after 2304 env steps: lower lr"),
    ],
)
def test_a_number_that_is_not_finite_stops_the_run_at_its_last_good_checkpoint(
    tmp_path, monkeypatch, where, overrides, message
):
    poisoned(monkeypatch, where)
    run = learn(tmp_path / "run", *overrides)
    assert run.info["status"] == "failed"
    assert re.search(message, run.info["reason"]), run.info["reason"]
    assert run.info["results"] is None
    assert run.snapshots()[-1].name == "step_2048"
    assert runs.step_directories(run.path / "resume")[-1].name == "step_2048"
    everything_is_whole(run.path)
    rows = runs.read_metrics(run.path / "metrics.csv")
    assert rows["env_steps"].max() <= 2304
    assert all(np.isfinite(rows["value_loss"]))
