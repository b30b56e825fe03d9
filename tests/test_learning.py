"""Scores that training must reach. `make verify` runs these long tests; each prints its figures (-s)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rl_eval import domains, policy, seeding
from rl_eval.diagnostics import all_findings, read
from rl_eval.rollout import play

pytestmark = pytest.mark.verify

ROOT = Path(__file__).resolve().parents[1]
NSL_KDD = ROOT.parent / "shared/data/nsl-kdd"
SEEDS = (42, 1, 2)


def trained(folder, *arguments):
    """Train in `folder`; returns `run.json` and criterion -> verdict of every suite of the environment."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1800,
        env={**os.environ, "COLUMNS": "160"},
    )
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("outputs/*/*/run.json")
    info = json.loads(file.read_text())
    suites = json.loads((file.parent / "verdict.json").read_text())["suites"]
    criteria = {c["criterion"]: c for suite in suites for c in suite["criteria"]}
    criteria["mean of 100"] = float(held_out_returns(file.parent, info["env"], 100).mean())
    estimates = {
        name: c["estimate"] for name, c in criteria.items() if isinstance(c, dict) and c["estimate"] is not None
    }
    mean = criteria["mean of 100"]
    print(f"\n{' '.join(arguments)}: {info['env_steps']:,} env steps, {info['wall_s']:.1f} s, {mean=:.1f}, {estimates}")
    return info, criteria


def held_out_returns(run, env, count):
    """The returns of the run's greedy policy on held-out episodes, `[count]`; NaN where there are none."""
    config = domains.validate({"name": env})
    if domains.domain(config.name).episodes(config, "test") is not None:
        return np.full(count, np.nan)
    vector = domains.make(config, n_envs=25, part="test", autoreset=False)
    acting = policy.load(str(run), policy.Spaces.of(config, vector), config)
    episodes = play(vector, acting, seeds=seeding.episode_seeds(2026, count))
    vector.close()
    return episodes.per_episode("native_reward")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("agent", ["ppo", "a2c", "dqn"])
def test_cartpole_is_solved(agent, seed, tmp_path):
    _, criteria = trained(tmp_path, "env=cartpole", f"agent={agent}", f"seed={seed}")
    assert criteria["mean of 100"] >= 475
    assert criteria["solved"]["decision"] == "PASS"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_lunarlander_lands(agent, seed, tmp_path):
    _, criteria = trained(tmp_path, "env=lunarlander", f"agent={agent}", f"seed={seed}")
    assert criteria["mean of 100"] > 200
    assert criteria["mean_return"]["decision"] == "PASS"
    assert criteria["lands"]["decision"] == "PASS"


@pytest.mark.parametrize("agent", ["ppo", "a2c"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_the_threat_defaults_pass(agent, seed, tmp_path):
    _, criteria = trained(tmp_path, "env=threat", f"agent={agent}", f"seed={seed}")
    decisions = {name: c["decision"] for name, c in criteria.items() if isinstance(c, dict)}
    others = {name for name, d in decisions.items() if d != "PASS"} - {"stable", "stable_variance"}
    # A2C learns from the action that it took alone, and does not come as close to boosted trees as PPO.
    assert others <= ({"near_supervised"} if agent == "a2c" else set()), decisions
    assert decisions["stable"] == "NEEDS_RUNS"


def test_the_threat_report_misses_f1_and_gamma_0_cures_it(tmp_path):
    for name in ("report", "cured"):
        (tmp_path / name).mkdir()
    _, report = trained(tmp_path / "report", "experiment=threat_report")
    assert report["f1"]["decision"] == "FAIL"
    assert report["f1"]["estimate"] < 0.8
    assert report["f1"]["interval"][1] <= 0.8
    assert "short by" in report["f1"]["detail"]
    findings = all_findings(read(next((tmp_path / "report").glob("outputs/*/*/run.json")).parent))
    assert (findings[0].name, findings[0].change) == ("critic_ceiling", "agent.gamma=0")
    _, cured = trained(tmp_path / "cured", "experiment=threat_report", findings[0].change)
    decisions = {name: c["decision"] for name, c in cured.items() if isinstance(c, dict)}
    others = {name for name, d in decisions.items() if d != "PASS"}
    assert others - {"stable", "stable_variance"} <= {"beats_logistic", "near_supervised"}, decisions  # 44,000 steps


@pytest.mark.parametrize("experiment", ["lunarlander_report", "lunarlander_report_a2c"])
def test_the_lunarlander_reports_miss_200(experiment, tmp_path):
    info, criteria = trained(tmp_path, f"experiment={experiment}")
    assert 50_000 <= info["env_steps"] < 52_048 + 1
    assert criteria["mean_return"]["decision"] == "FAIL"
    assert criteria["mean_return"]["interval"][1] < 200
    assert "short by" in criteria["mean_return"]["detail"]


@pytest.mark.skipif(not NSL_KDD.is_dir(), reason="the public NSL-KDD files are not here")
@pytest.mark.parametrize("prevalence", ["null", "0.109"])
@pytest.mark.parametrize("seed", SEEDS)
def test_nsl_kdd_beats_logistic_regression_and_blocking_everything(prevalence, seed, tmp_path):
    place = f"env.path={NSL_KDD}"
    _, criteria = trained(tmp_path, "env.data=nsl_kdd", place, f"env.prevalence={prevalence}", f"seed={seed}")
    for name in ("f1_logistic", "beats_logistic", "near_supervised", "beats_block_all", "spares_benign", "informed"):
        assert criteria[name]["decision"] == "PASS", criteria[name]["detail"]
