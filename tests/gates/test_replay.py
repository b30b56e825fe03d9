"""What is reported of policies that do not act by their observations and the suite's seed alone."""

import sys

import numpy as np
import pytest

from rl_eval.gates import evaluate_suite, load_suite, named_runs, replay

POLICIES = """
import numpy as np

class Counts:
    def __init__(self):
        self.calls = 0

    def act(self, obs):  # good in its first calls alone
        self.calls += 1
        return (obs[:, 2] + obs[:, 3] > 0).astype(int) if self.calls < 30 else np.zeros(len(obs), int)

class CountsEpisodes:
    def act(self, obs, episode_start):
        start = episode_start.all()
        self.calls = np.zeros(len(obs), int) if start else np.where(episode_start, 0, self.calls + 1)
        return np.where(self.calls < 30, obs[:, 2] + obs[:, 3] > 0, False).astype(int)

class Draws:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, obs):
        return self.rng.integers(0, 2, len(obs))

class DrawsUnseeded(Draws):
    def __init__(self):
        super().__init__(None)

def of_the_batch(obs):
    return (obs[:, 2] + obs[:, 3] > (obs[:, 2] + obs[:, 3]).mean()).astype(int)

def of_the_row(obs):
    return (obs[:, 2] + obs[:, 3] > 0).astype(int)

calls = []

def counts_globally(obs):
    calls.append(1)
    return of_the_row(obs) if len(calls) < 30 else np.zeros(len(obs), int)
"""
EXPECTED = {
    "Counts": replay.REMEMBERS,
    "CountsEpisodes": "",
    "Draws": "",
    "DrawsUnseeded": replay.UNSEEDED,
    "of_the_batch": replay.REMEMBERS,
    "of_the_row": "",
    "counts_globally": replay.UNSEEDED,
}


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=EXPECTED)
def test_a_policy_that_more_than_observations_and_the_seed_decide_is_reported(tmp_path, monkeypatch, name, expected):
    (tmp_path / "their_policies.py").write_text(POLICIES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_policies", raising=False)
    text = "rl_eval: 1\nenv: cartpole\ncontrols: []\nepisodes: {fixed: 8}\n"
    text += "criteria:\n  c: {metric: mean_return, at_least: 1, by: estimate}\n"
    (tmp_path / "s.yaml").write_text(text)
    suite = load_suite(tmp_path / "s.yaml")
    verdict = evaluate_suite(suite, named_runs(suite, [f"python:their_policies:{name}"]), trust=True).criteria[0]
    notes = [note for note in (replay.UNSEEDED, replay.REMEMBERS) if note in verdict.detail]
    assert notes == [expected] * bool(expected)
    assert verdict.decision == "PASS"


def test_environments_that_are_made_for_it_are_closed(tmp_path, monkeypatch):
    """Nothing but the copies that all policies share is left open, and these play on."""
    from rl_eval import domains
    from rl_eval.gates.suite_environment import SuiteEnvironment

    (tmp_path / "s.yaml").write_text(
        "rl_eval: 1\nenv: cartpole\nepisodes: {fixed: 5}\n"
        "criteria:\n  c: {metric: mean_return, at_least: 1, by: estimate}\n"
    )
    made, closed = [], []
    make = domains.make

    def counted(*args, **keywords):
        vector = make(*args, **keywords)
        made.append(keywords["n_envs"])
        monkeypatch.setattr(vector, "close", lambda: closed.append(keywords["n_envs"]))
        return vector

    monkeypatch.setattr(domains, "make", counted)
    suite = load_suite(tmp_path / "s.yaml")
    environment = SuiteEnvironment(suite, suite.judged)
    buffer = environment.play("constant:1", "", 5)
    assert buffer.play_to(5) == 5
    buffer.close()
    assert replay.replay_note(environment, "constant:1", "", buffer, 5) == ""
    assert (made, closed) == ([5, 1], [1])
    environment.close()
    assert closed == [1, 5]


def test_a_graph_that_draws_random_numbers_is_told_so(tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    tensors = [("obs", ["N", 4]), ("logits", ["N", 2])]
    obs, logits = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in tensors)
    weights = onnx.numpy_helper.from_array(np.zeros((4, 2), np.float32), "weights")
    nodes = [
        onnx.helper.make_node("MatMul", ["obs", "weights"], ["zeros"]),
        onnx.helper.make_node("RandomNormalLike", ["zeros"], ["logits"], seed=1.0),
    ]
    graph = onnx.helper.make_graph(nodes, "draws", [obs], [logits], [weights])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "draws.onnx")
    (tmp_path / "s.yaml").write_text(
        "rl_eval: 1\nenv: cartpole\ncontrols: []\nepisodes: {fixed: 8}\n"
        "criteria:\n  c: {metric: mean_return, at_least: 1, by: estimate}\n"
    )
    suite = load_suite(tmp_path / "s.yaml")
    verdict = evaluate_suite(suite, named_runs(suite, [f"onnx:{tmp_path / 'draws.onnx'}"])).criteria[0]
    assert replay.REMEMBERS in verdict.detail
    assert "random numbers" in verdict.detail
