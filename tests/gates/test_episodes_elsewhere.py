"""Gates whose episodes other processes play: the same verdict to the bit, also where workers are lost."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from rl_eval.errors import InputError
from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.gates.episodes_elsewhere import play_chunk, request
from rl_eval.launchers import WorkerLostError, launcher_plugin
from rl_eval.rollout import Episodes
from tests.gates.fake_runs import write_suite

CARTPOLE = """
rl_eval: 1
env: cartpole
episodes: {max: 60, min: 40, fixed: 30, return_bounds: [0, 500]}
criteria:
  long:   {metric: mean_return, at_least: 9}
  longer: {metric: mean_return, better_than: ["constant:1"]}
  plain:  {metric: mean_length, at_least: 9, by: estimate}
"""
THREAT = """
rl_eval: 1
env: {name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}
leaks: report
criteria:
  detects: {metric: f1, at_least: 0.1}
controls: ["constant:*"]
"""
SUITES = {"cartpole": (CARTPOLE, "untrained:1"), "threat": (THREAT, "constant:1")}


def verdict(folder, name, workers=None):
    text, policy = SUITES[name]
    suite = load_suite(write_suite(folder / f"{name}.yaml", text), label=f"{name}.yaml")
    return evaluate_suite(suite, named_runs(suite, [policy]), workers=workers).to_json()


class Losing:
    """A launcher in this process that loses every second call."""

    slots = 3

    def __init__(self):
        self.calls, self.lost = 0, 0

    def submit(self, task):
        future = Future()
        self.calls += 1
        if self.calls % 2:
            self.lost += 1
            future.set_exception(WorkerLostError(f"{task.name}: its process was killed"))
        else:
            future.set_result(task.call())
        return future

    def close(self):
        pass


@pytest.mark.parametrize("name", SUITES)
def test_the_verdict_is_the_same_to_the_bit_though_every_second_call_is_lost(tmp_path, name):
    workers = Losing()
    assert verdict(tmp_path, name, workers) == verdict(tmp_path, name)
    assert workers.lost >= 3


def start(name, **settings):
    plugin = launcher_plugin(name)
    return plugin.start(plugin.settings(**settings))


@pytest.mark.parametrize("name", SUITES)
def test_processes_play_the_same(tmp_path, name):
    launcher = start("processes", count=2)
    try:
        assert verdict(tmp_path, name, launcher) == verdict(tmp_path, name)
    finally:
        launcher.close()


def killer(stop, launcher):
    """Kill a worker every so often."""
    while not stop.wait(0.7):
        for worker in list(launcher._workers.values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.process.pid, signal.SIGKILL)
            break


@pytest.mark.verify
def test_a_worker_that_is_killed_again_and_again_changes_nothing(tmp_path):
    launcher, stop = start("processes", count=2), threading.Event()
    thread = threading.Thread(target=killer, args=(stop, launcher), daemon=True)
    expected = verdict(tmp_path, "cartpole")
    thread.start()
    try:
        assert verdict(tmp_path, "cartpole", launcher) == expected
    finally:
        stop.set()
        thread.join()
        launcher.close()


@pytest.mark.verify
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_ray_plays_the_same(tmp_path):
    launcher = start("ray", count=2)
    try:
        for name in SUITES:
            assert verdict(tmp_path, name, launcher) == verdict(tmp_path, name)
    finally:
        launcher.close()


RAYS_OWN = (b"ray::IDLE", b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")  # a node ends with these agents


def ray_workers():
    """The processes below this one in which Ray runs a call."""
    parents, calls = {}, []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            title = (folder / "cmdline").read_bytes()
            if title.startswith(b"ray::") and not title.startswith(RAYS_OWN):
                calls.append(pid)
    return [pid for pid in calls if os.getpid() in ancestors(pid, parents)]


def ancestors(pid, parents):
    chain = []
    while pid in parents:
        pid = parents[pid]
        chain.append(pid)
    return chain


def ray_killer(stop, killed):
    """Kill a worker of Ray every so often."""
    while not stop.wait(0.7):
        for pid in ray_workers()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)


@pytest.mark.verify
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_worker_of_ray_that_is_killed_again_and_again_changes_nothing(tmp_path):
    expected = verdict(tmp_path, "cartpole")
    launcher, stop, killed = start("ray", count=2), threading.Event(), []
    thread = threading.Thread(target=ray_killer, args=(stop, killed), daemon=True)
    thread.start()
    try:
        for _ in range(200):
            assert verdict(tmp_path, "cartpole", launcher) == expected
            if len(killed) >= 3:
                break
        assert len(killed) >= 3
    finally:
        stop.set()
        thread.join()
        launcher.close()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "fingerprint",
            "f" * 64,
            "on the worker .*: the test part of threat differs from the data where the gate runs",
        ),
        ("identity", "f" * 64, "on the worker .*: constant:1 is missing, or is not the policy"),
    ],
)
def test_a_worker_with_other_data_or_another_policy_refuses(tmp_path, key, value, message):
    suite = load_suite(write_suite(tmp_path / "s.yaml", THREAT))
    asked = request("constant:1", suite.judged, part="test", seed=1, order=2, trust=False, folder=tmp_path)
    assert isinstance(play_chunk(asked, [0, 1], 0), Episodes)
    with pytest.raises(InputError, match=message):
        play_chunk({**asked, key: value}, [0, 1], 0)
