"""Three agents beside one at the same total of actions, trained on the same reward; `make verify` runs these."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from rl_eval import seeding
from rl_eval.domains.webtest import DOMAIN, Config
from rl_eval.domains.webtest.metrics import duplicate_share, states_per_action
from rl_eval.judged_policy import load
from rl_eval.rollout import play

pytestmark = pytest.mark.verify

ROOT = Path(__file__).resolve().parents[3]
SEEDS, BUILDS = range(10), 200
ONE = ("env=webtest", "agent=dqn", "reward=webtest_states", "validation.metric=states_per_action")
THREE = ("experiment=webtest_agents",)
ABLATIONS = {"without sharing": ("agents.share=none",), "with difference rewards": ("agents.credit=difference",)}


def explored(overrides, testers, folder):
    """States an action and share of duplicates of a training, on builds of unseen applications."""
    folder.mkdir()
    command = [sys.executable, str(ROOT / "train.py"), *overrides, "judge=off"]
    environment = {**os.environ, "COLUMNS": "160"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800, env=environment)
    assert done.returncode == 0, done.stderr
    (run,) = folder.glob("outputs/*/*/")
    return explored_by(lambda config, envs: load(run, config, envs), testers)


def explored_by(policy, testers):
    config = Config(testers=testers)
    envs = DOMAIN.make(config, n_envs=100, part="test", autoreset=False)
    seeds = seeding.suite_episode_seeds(seeding.gate_seed("webtest_agents", "webtest"), BUILDS, "test")
    episodes = play(envs, policy(config, envs), seeds=seeds)
    return states_per_action.compute(episodes, config), duplicate_share.compute(episodes, config)


def test_three_agents_repeat_less_than_one_and_do_not_see_a_fifth_more(tmp_path):
    """The goal of a fifth more is missed; a planner that knows the applications misses it too."""
    one, three = (
        np.array([explored((*overrides, f"seed={seed}"), testers, tmp_path / f"{testers}-{seed}") for seed in SEEDS])
        for overrides, testers in ((ONE, 1), (THREE, 3))
    )
    gain = three[:, 0].mean() / one[:, 0].mean() - 1
    for name, values in (("one", one), ("three", three)):
        states, duplicates = values.mean(axis=0)
        print(f"\n{name}: {states:.4f} ± {values[:, 0].std(ddof=1):.4f} states an action, {duplicates:.4f} duplicates")
    print(f"gain {gain:+.1%}")
    for name, overrides in ABLATIONS.items():
        rows = [
            explored((*THREE, *overrides, f"seed={seed}"), 3, tmp_path / f"{name.replace(' ', '-')}-{seed}")
            for seed in SEEDS[:3]
        ]
        states, duplicates = np.mean(rows, axis=0)
        print(f"{name}: {states:.4f} states an action, {duplicates:.4f} duplicates")
    assert -0.1 < gain < 0.2
    assert three[:, 1].mean() < one[:, 1].mean()


def test_the_margin_of_the_suite_is_a_fifth_of_what_breadth_first_sees():
    suite = yaml.safe_load((ROOT / "suites" / "webtest_agents.yaml").read_text())
    states, _ = explored_by(lambda config, envs: DOMAIN.baselines["breadth_first"](config), 3)
    print(f"\nbreadth first sees {states:.4f} states an action")
    assert suite["criteria"]["beats_breadth_first"]["margin"] >= 0.2 * states
