"""Builds of the shop as a vector environment: facts, masks, the clean build, and equal episodes for equal seeds."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rl_eval import run as runs
from rl_eval.domains.webtest import DOMAIN, Config
from rl_eval.domains.webtest.browser.vector import defects_of
from rl_eval.domains.webtest.shop import DEFECT_IDS, start
from rl_eval.policy import Spaces, load
from rl_eval.rollout import play

pytestmark = pytest.mark.verify
ROOT = Path(__file__).resolve().parents[4]
SHORT = Config(mode="browser", candidates=48, max_actions=12)


@pytest.fixture
def make(chromium):
    vectors = []

    def build(config, n_envs, **options):
        vectors.append(DOMAIN.make(config, n_envs=n_envs, part="test", **options))
        return vectors[-1]

    yield build
    for vector in vectors:
        vector.close()


def test_builds_are_drawn_from_the_seed_alone():
    builds = [defects_of(seed, 0.5) for seed in range(200)]
    assert builds == [defects_of(seed, 0.5) for seed in range(200)]
    share = np.mean([[name in build for name in DEFECT_IDS] for build in builds], axis=0)
    assert (np.abs(share - 0.5) < 0.15).all()
    assert defects_of(3, 1.0) == frozenset(DEFECT_IDS)


def test_equal_seeds_are_equal_episodes_and_nothing_is_a_false_alarm(make):
    outcomes = []
    for _ in range(2):
        vector = make(SHORT, 2, autoreset=False)
        played = play(vector, DOMAIN.baselines["breadth_first"](SHORT), seeds=[1, 2])
        assert set(DOMAIN.facts(SHORT)) == set(played.outcome)
        assert played.lengths.tolist() == [12, 12]
        assert not played.outcome["false_failures"].any()
        ends = played.outcome["episode_end"]
        assert played.outcome["defects"][ends].tolist() == [len(defects_of(seed, 0.5)) for seed in (1, 2)]
        assert (played.outcome["branches"][ends] > 0).all()
        outcomes.append(played.outcome)
    for name in ("action", "state", "new_failures", "defects_found", "branches"):
        np.testing.assert_array_equal(outcomes[0][name], outcomes[1][name], err_msg=name)


def test_log_out_is_masked(make):
    vector = make(SHORT, 1)
    _, infos = vector.reset(seed=0)
    mask = infos["action_mask"]
    assert mask.any()
    episode = vector._episodes[0]
    destructive = [place for place, option in enumerate(episode.options) if option.element.destructive]
    assert not mask[0, destructive].any()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was trained on generated applications for a short time."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    command = [sys.executable, str(ROOT / "train.py"), "env=webtest", "agent=dqn", "judge=off", "env.candidates=48"]
    command += ["agent.network.candidates=48", "total_steps=40000", f"hydra.run.dir={folder}"]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    return str(folder)


@pytest.mark.parametrize("policy", ["trained", "baseline:random", "baseline:breadth_first", "baseline:novelty"])
def test_nothing_fails_on_the_clean_build_in_2000_actions(make, policy, request):
    config = Config(mode="browser", candidates=48, max_actions=100, defect_share=1e-9)
    vector = make(config, 4, autoreset=False)
    spec = request.getfixturevalue("trained") if policy == "trained" else policy
    played = play(vector, load(spec, Spaces.of(config, vector), config), seeds=range(20))
    assert len(played.outcome["action"]) == 2000
    assert not played.outcome["new_failures"].any()
    assert not played.outcome["defects"].any()


def test_a_run_on_an_application_of_ones_own_is_validated_and_shown(chromium, tmp_path):
    """Nobody knows its defects, and few episodes are played for the page."""
    folder = tmp_path / "run"
    with start() as shop:
        command = [sys.executable, str(ROOT / "train.py"), "env=webtest", "agent=dqn", "judge=off", "env.mode=browser"]
        command += [f"env.base_url={shop.base_url}/", "env.max_actions=6", "agent.n_envs=2", "total_steps=24"]
        command += ["agent.learning_starts=8", "agent.batch_size=8", "validation.every=12", "validation.episodes=1"]
        command += [f"hydra.run.dir={folder}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    results = runs.read_run(folder).info["results"]
    assert results["unique_failures"] == 0.0
    assert "on 4 fresh episodes" in (folder / "report.html").read_text()
