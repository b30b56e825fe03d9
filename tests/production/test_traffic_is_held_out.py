"""A suite refuses to judge a candidate on traffic that it learned from."""

import numpy as np
import pytest

from rl_eval import domains, run
from rl_eval.production.learning import learn_from_logs
from rl_eval.production.learning_config import TrainingConfig
from rl_eval.production.proof import suites, write_candidate
from rl_eval.production.proof.candidate_run import _beginnings
from rl_eval.serving.rows import Decision, Experience, StoredTransition
from rl_eval.serving.source import load
from tests.training.learn import learn

ENV = {"name": "threat", "train_flows": 600, "validation_flows": 200, "test_flows": 300}
OVERRIDES = [
    "agent=ppo", "env=threat", "total_steps=2048", "agent.n_envs=16", "agent.n_steps=16", "agent.batch_size=64",
    "validation.every=2048", "validation.episodes=1", *(f"env.{key}={value}" for key, value in ENV.items()),
]  # fmt: skip
SUITE = "rl_eval: 1\nenv: {}\ncriteria:\n  accurate: {{metric: accuracy, at_least: 0.01}}\ncontrols: []\n"


def transition(seq, observation, unit=None, terminated=True):
    decision = Decision("v", unit, observation.tobytes(), None, np.int64(seq % 4).tobytes(), np.log(0.25), None, None,
                        False)  # fmt: skip
    return StoredTransition(seq, decision, Experience(-0.5, terminated, False, None, None))


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    path = tmp_path_factory.mktemp("champion") / "run"
    learn(OVERRIDES, path)
    return run.read_run(path)


@pytest.mark.parametrize(("where", "decision"), [("elsewhere", "PASS"), ("the test set", "FAIL")])
def test_what_was_learned_from_is_refused_as_a_test_set(champion, tmp_path, where, decision):
    source = load(str(champion.path), seed=0, trust=False)
    env = domains.validate({**ENV, "data_seed": 0 if where == "the test set" else 7})
    env = domains.domain("threat").with_preprocessing(env, run.read_preprocessing(champion))
    flows = domains.domain("threat").case_observations(env, "test")[:64]
    rows = [transition(seq, flow) for seq, flow in enumerate(flows, 1)]
    found = learn_from_logs(source, rows, [], TrainingConfig(ewc_lambda=0.0, rounds=1), folder=tmp_path)
    written = write_candidate(champion, found, tmp_path / "run", {}, rows)
    file = tmp_path / "suite.yaml"
    file.write_text(SUITE.format(ENV))
    finding = suites.judge(file, written, champion)
    assert finding.decision == decision, finding.reason
    if decision == "FAIL":
        assert "held_out ERROR: 64 of 300" in finding.reason
    else:
        assert "accurate PASS" in finding.reason
        assert "minus the champion's: " in finding.reason
    counted = run.read_run(written.path).info["cases"]
    assert counted["train"] == champion.info["cases"]["train"] + 64


def test_a_unit_begins_where_it_is_new_or_an_episode_of_it_has_ended():
    one = np.zeros(2, np.float32)
    rows = [
        transition(1, one, "a", False), transition(2, one, "b", False), transition(3, one, "a", True),
        transition(4, one, "a", False), transition(5, one, None), transition(6, one, "b", False), transition(7, one),
    ]  # fmt: skip
    assert [row.seq for row in _beginnings(rows)] == [1, 2, 4, 5, 7]
