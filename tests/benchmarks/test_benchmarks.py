"""The parts of benchmarks that are not timing: configs, equal results, peaks, scores."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import gae, memory, startup, threat
from benchmarks.our_training import NEVER, ROOT, config_of
from benchmarks.supervised import fit


def test_ours_is_what_train_py_runs_but_for_selection():
    from rl_eval import config, hydra_compose

    composed = config.load(hydra_compose.compose(ROOT / "conf", ["env=lunarlander", "agent=ppo"]))
    ours = config_of(["env=lunarlander", "agent=ppo"])
    assert ours.validation.every == NEVER
    assert ours.validation.stop_at is None
    assert ours.model_copy(update={"validation": composed.validation, "tracker": composed.tracker}) == composed


@pytest.mark.parametrize("contender", [gae.ours, gae.peer])
def test_the_contenders_of_gae_compute_the_same(contender):
    if contender is gae.peer:
        pytest.importorskip("stable_baselines3")
    rollout = gae.random_rollout(20, 3)
    np.testing.assert_allclose(contender(rollout)(), gae.plain(rollout)(), atol=1e-4)


def test_the_slowest_imports_come_first():
    importtime = "\n".join(
        ["import time: self [us] | cumulative | imported package", "import time:       100 |        100 |   a.b",
         "import time:      2000 |     250000 | a", "import time:        50 |       3000 |     c"]
    )  # fmt: skip
    assert startup.slowest_imports(importtime, 2) == [(0.25, "a"), (0.003, "c")]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_counts_child_processes_and_what_was_freed_again(tmp_path, monkeypatch):
    def peak_of(pid, read=memory._peak_mb_of):
        peak = read(pid)
        if peak > 60:
            (tmp_path / "read").touch()  # the child may end
        return peak

    monkeypatch.setattr(memory, "_peak_mb_of", peak_of)
    waits = f"while not os.path.exists({str(tmp_path / 'read')!r}): time.sleep(.02)"
    code = f"import os, time; block = bytearray(60_000_000); del block\n{waits}"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    peak = memory.peak_mb([sys.executable, "-c", child])
    assert 65 < peak < 160  # the child's 60 MB, and two interpreters


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="status 3"):
        memory.peak_mb([sys.executable, "-c", "raise SystemExit(3)"])


class FlowPart:
    """Two benign flows and two threats."""

    features = np.zeros((4, 1), np.float32)
    label = np.array([0, 0, 1, 1])


class ThreatConfig:
    flag_actions = (1, 2, 3)
    costs = ((0.0, 1.4, 0.8, 0.5), (2.0, 0.0, 0.2, 0.5))


def test_f1_and_cost_by_hand():
    results = threat.scores(lambda obs, greedy: np.array([0, 1, 1, 0]), FlowPart, ThreatConfig)
    assert results["f1"] == 0.5  # one hit, one false alarm, one miss
    assert results["cost"] == pytest.approx((0.0 + 1.4 + 0.0 + 2.0) / 4)


@pytest.mark.parametrize("objective", threat.PEERS)
def test_a_supervised_peer_learns_what_is_worth_doing(objective):
    agent = config_of(["env=threat", "agent=ppo"]).agent
    rng = np.random.default_rng(0)
    label = (rng.random(4000) < 0.2).astype(np.int8)
    features = np.stack([label + 0.1 * rng.normal(size=4000), rng.normal(size=4000)], axis=1).astype(np.float32)
    fitted = fit(features, label, np.asarray(ThreatConfig.costs), objective, agent, flows=120_000, seed=0)
    assert ((fitted.act(features, True) != 0) == label).mean() > 0.99  # benign flows are allowed, threats are not


@pytest.mark.parametrize(
    ("agent", "side"),
    [("a2c", "ours"), ("a2c", "peer"), ("dqn", "ours"), pytest.param("dqn", "peer", marks=pytest.mark.verify)],
)
def test_same_work_reports_both_rates(agent, side):
    if side == "peer":
        pytest.importorskip("stable_baselines3")
    command = [sys.executable, "-m", "benchmarks.same_work", "--agent", agent, "--steps", "400", "--side", side]
    done = subprocess.run([*command, "--started-at", "0"], cwd=ROOT, capture_output=True, text=True, check=True)
    rates = json.loads(done.stdout)
    assert rates["steady"] > rates["process"] > 0


def test_every_benchmark_documents_its_command():
    for file in sorted((ROOT / "benchmarks").glob("*.py")):
        source = file.read_text(encoding="utf-8")
        if "def main(" in source:
            assert f"python -m benchmarks.{file.stem}" in source, file
