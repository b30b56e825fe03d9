"""A candidate as a run: judged by the suite that gates CI, served, and the start of other runs."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.policy import load as load_policy
from rl_eval.production.learning import learn_from_logs
from rl_eval.production.learning_config import ProofConfig, TrainingConfig
from rl_eval.production.proof import Judged, prove, read_fisher, suites, write_candidate
from rl_eval.serving.rows import Decision, Experience, StoredTransition
from rl_eval.serving.source import load
from tests.training.learn import learn

pytestmark = pytest.mark.verify  # a champion is trained first
torch.set_num_threads(1)
OVERRIDES = [
    "agent=ppo", "env=cartpole", "agent.n_envs=4", "agent.n_steps=64", "agent.batch_size=64", "agent.lr=3e-3",
    "total_steps=16384", "agent.network.widths=[16]", "validation.episodes=5", "seed=3",
]  # fmt: skip
SUITE = """\
rl_eval: 1
env: cartpole
train: {agent: ppo}
episodes: {max: 40, return_bounds: [0, 500]}
criteria:
  stands: {metric: mean_return, at_least: %s}
  quick: {metric: training.wall_s, at_most: 1}
"""


def served_steps(source, count, seed=0):
    """Steps of a served policy in its environment."""
    import gymnasium as gym

    env, rng = gym.make("CartPole-v1"), np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    rows = []
    for seq in range(1, count + 1):
        decided = source.policy.decide(np.array([obs]), np.zeros(1, bool), None, rng)
        following, reward, terminated, truncated, _ = env.step(int(decided.actions[0]))
        decision = Decision(
            source.policy.version, "u", obs.tobytes(), None, decided.drawn.astype(np.int64).tobytes(),
            float(decided.log_probs[0]), None, None, False,
        )  # fmt: skip
        end = None if terminated else following.tobytes()
        rows.append(StoredTransition(seq, decision, Experience(float(reward), bool(terminated), truncated, end, None)))
        obs = env.reset()[0] if terminated or truncated else following
    return rows


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    path = tmp_path_factory.mktemp("champion") / "run"
    learn(OVERRIDES, path)
    return run.read_run(path)


@pytest.fixture(scope="module")
def candidate(champion, tmp_path_factory):
    source, folder = load(str(champion.path), seed=0, trust=False), tmp_path_factory.mktemp("candidate")
    steps = served_steps(source, 300)
    config = TrainingConfig(rounds=2, lr=1e-4, fisher_rows=32)
    found = learn_from_logs(source, steps, steps[:100], config, fisher_observations=None, folder=folder)
    return found, write_candidate(champion, found, folder / "run", {"revision": "abc"})


def test_a_candidate_is_a_run_with_its_lineage(champion, candidate):
    found, written = candidate
    source = load(str(written.path), seed=0, trust=False)
    assert source.policy.version == found.policy.version
    assert written.info["init"]["run"] == str(champion.path)
    assert written.info["production"] == {
        "parent": found.parent,
        "new": 300,
        "replayed": found.replayed,
        "revision": "abc",
    }
    assert read_fisher(written) == pytest.approx(found.fisher)
    assert read_fisher(champion) is None
    obs = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    acting = load_policy(str(written.path), source.policy.spaces, None, seed=0)
    decided = source.policy.decide(obs, np.ones(20, bool), None, np.random.default_rng(0))
    assert (acting.act(obs, True) == decided.actions).all()
    with pytest.raises(InputError, match="exists"):
        write_candidate(champion, found, written.path, {})


def test_the_suite_of_ci_judges_it(champion, candidate, tmp_path):
    found, written = candidate
    both = [Judged(load(str(r.path), seed=0, trust=False).policy, r) for r in (written, champion)]
    for bar, decision in ((250, "PASS"), (499, "INCONCLUSIVE")):
        file = tmp_path / f"suite{bar}.yaml"
        file.write_text(SUITE % bar)
        proof = prove(*both, ProofConfig(), suite_files=[file])
        finding = proof.findings[0]
        assert finding.decision == decision, finding.reason
        assert "quick" not in finding.reason  # how it was trained is not asked
        assert "minus the champion's: " in finding.reason
        assert json.loads(json.dumps(proof.to_json()))["decision"] == proof.decision == decision
    assert found.policy.version == proof.candidate


def test_a_wrecked_candidate_fails_the_suite(champion, candidate, tmp_path):
    found, _ = candidate
    arrays = {name: np.zeros_like(array) for name, array in found.arrays.items()}
    written = write_candidate(champion, dataclasses.replace(found, arrays=arrays), tmp_path / "run", {})
    file = tmp_path / "suite.yaml"
    file.write_text(SUITE % 250)
    assert suites.judge(file, written).decision == "FAIL"


def test_other_runs_start_from_it(candidate, tmp_path):
    _, written = candidate
    started = learn([*OVERRIDES, "total_steps=256", f"init={written.path}"], tmp_path / "run")
    assert started.info["init"]["run"] == str(written.path)


def test_a_damaged_fisher_is_refused(candidate, tmp_path):
    import shutil

    _, written = candidate
    copy = tmp_path / "copy"
    shutil.copytree(written.path, copy)
    (copy / "fisher" / "fisher.safetensors").write_bytes(b"x")
    with pytest.raises(InputError):
        read_fisher(run.read_run(copy))
