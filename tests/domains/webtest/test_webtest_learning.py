"""What training must reach on applications that it never saw; `make verify` runs these."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rl_eval import seeding
from rl_eval.domains.webtest import DOMAIN, Config
from rl_eval.domains.webtest.metrics import defects_found
from rl_eval.rollout import play

pytestmark = pytest.mark.verify

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("seed", range(10))
def test_the_preset_finds_more_defects_than_systematic_and_curious_exploration(seed, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "env=webtest", "agent=dqn", f"seed={seed}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1800,
        env={**os.environ, "COLUMNS": "160"},
    )
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("outputs/*/*/verdict.json")
    criteria = {c["criterion"]: c for suite in json.loads(file.read_text())["suites"] for c in suite["criteria"]}
    print(f"\nseed {seed}: { ({name: c['estimate'] for name, c in criteria.items()}) }")
    for name in ("beats_random", "beats_novelty", "beats_breadth_first", "beats_depth_first", "no_false_alarms"):
        assert criteria[name]["decision"] == "PASS", criteria[name]


def test_the_margin_of_the_suite_is_a_fifth_of_what_breadth_first_finds():
    suite, config = yaml.safe_load((ROOT / "suites" / "webtest.yaml").read_text()), Config()
    seeds = seeding.suite_episode_seeds(seeding.gate_seed("webtest", "webtest"), suite["episodes"]["max"], "test")
    envs = DOMAIN.make(config, n_envs=100, part="test", autoreset=False)
    found = defects_found.compute(play(envs, DOMAIN.baselines["breadth_first"](config), seeds=seeds), config)
    print(f"\nbreadth first finds {found:.4f}")
    assert suite["criteria"]["beats_breadth_first"]["margin"] >= 0.2 * found
