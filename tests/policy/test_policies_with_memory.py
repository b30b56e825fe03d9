"""Policies with a memory, of each source: it begins anew with each episode, on however many copies."""

import json
import sys
from types import ModuleType, SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from rl_eval.domains import cartpole
from rl_eval.errors import InputError
from rl_eval.policy import HttpPolicy, Spaces, StableBaselines3Policy, load
from rl_eval.rollout import play
from tests.policy.policies import CARTPOLE

GOOD_CALLS = 30
SEEDS = list(range(100, 300))


def acts(obs, calls):
    """Balances in the first calls of an episode and pushes to the left in all others."""
    return np.where((obs[:, 2] + obs[:, 3] > 0) & (calls < GOOD_CALLS), 1, 0)


class Forgetful:
    """The policy in Python."""

    def act(self, obs, episode_start):
        self.calls = np.zeros(len(obs), int) if episode_start.all() else np.where(episode_start, 0, self.calls + 1)
        return acts(obs, self.calls)


class ForgetfulModel:
    """The policy with the interface of a recurrent model of sb3-contrib."""

    def predict(self, obs, state=None, episode_start=None, deterministic=False):
        assert (state is None) == bool(episode_start[0])
        calls = 0 if state is None else state[0]
        return acts(obs, calls), (calls + 1,)


def one_by_one(seeds):
    env, lengths = gym.make("CartPole-v1"), []
    for seed in seeds:
        obs, _ = env.reset(seed=seed)
        done, length = False, 0
        while not done:
            obs, _, terminated, truncated, _ = env.step(int(acts(obs[None], length)[0]))
            done, length = terminated or truncated, length + 1
        lengths.append(length)
    return lengths


@pytest.fixture(scope="module")
def expected():
    return one_by_one(SEEDS)


def copies(n):
    return cartpole.DOMAIN.make(cartpole.Config(), n_envs=n, part="test", autoreset=False)


def of_python(monkeypatch, tmp_path):
    module = ModuleType("their_memory")
    module.Forgetful = Forgetful
    monkeypatch.setitem(sys.modules, "their_memory", module)
    return "python:their_memory:Forgetful"


def of_http(monkeypatch, tmp_path):
    remembered = {}

    def answer(_, body):
        request = json.loads(body)
        remembered.update(enumerate(remembered.get(row, -1) + 1 for row in range(len(request["observations"]))))
        remembered.update({row: 0 for row, start in enumerate(request["episode_start"]) if start})
        calls = np.array([remembered[row] for row in range(len(request["observations"]))])
        return json.dumps({"actions": acts(np.array(request["observations"], np.float32), calls).tolist()}).encode()

    monkeypatch.setattr(HttpPolicy, "_post", answer)
    return "http://127.0.0.1:1/act"


def onnx_file(tmp_path, next_calls=("N", 1), calls=("N", 1)):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    constants = [
        helper.make_tensor("lean", kinds.FLOAT, [4, 1], [0, 0, 1, 1]),
        helper.make_tensor("good_calls", kinds.FLOAT, [1], [GOOD_CALLS]),
        helper.make_tensor("one", kinds.FLOAT, [1], [1]),
    ]
    nodes = [
        helper.make_node("MatMul", ["observations", "lean"], ["side"]),
        helper.make_node("Less", ["calls", "good_calls"], ["is_good"]),
        helper.make_node("Cast", ["is_good"], ["good"], to=kinds.FLOAT),
        helper.make_node("Sub", ["good", "one"], ["penalty"]),  # 0, or -1 after the good calls
        helper.make_node("Mul", ["side", "good"], ["leaning"]),
        helper.make_node("Add", ["leaning", "penalty"], ["right"]),
        helper.make_node("Neg", ["right"], ["left"]),
        helper.make_node("Concat", ["left", "right"], ["logits"], axis=1),
        helper.make_node("Add", ["calls", "one"], ["next_calls"]),
    ]
    inputs = [("observations", kinds.FLOAT, ["N", 4]), ("calls", kinds.FLOAT, calls)]
    outputs = [("logits", kinds.FLOAT, ["N", 2]), ("next_calls", kinds.FLOAT, next_calls)]
    infos = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    graph = helper.make_graph(nodes, "g", *infos, initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "memory.onnx").write_bytes(model.SerializeToString())
    return f"onnx:{tmp_path / 'memory.onnx'}"


def of_onnx(monkeypatch, tmp_path):
    return onnx_file(tmp_path)


@pytest.mark.parametrize("source", [of_python, of_http, of_onnx])
def test_the_score_of_an_episode_is_the_same_on_any_copies(source, monkeypatch, tmp_path, expected):
    spec = source(monkeypatch, tmp_path)
    for n, seeds in ((10, SEEDS[:10]), (32, SEEDS)):
        envs = copies(n)
        acting = load(spec, Spaces.of(cartpole.Config(), envs), None, trust=True)
        assert play(envs, acting, seeds=seeds).lengths.tolist() == expected[: len(seeds)]
    assert not hasattr(acting, "probabilities")


def test_a_recurrent_model_remembers_each_copy(expected):
    acting = StableBaselines3Policy(ForgetfulModel(), None, "sb3:x", CARTPOLE, 0)
    for n in (3, 5):
        assert play(copies(n), acting, seeds=SEEDS[:12]).lengths.tolist() == expected[:12]


def test_without_episode_starts_each_observation_begins_one(monkeypatch, tmp_path):
    obs = np.tile(np.float32([0, 0, 1, 1]), (3, 1))
    fits = SimpleNamespace(
        env="cartpole", id=None, observation=gym.spaces.Box(-9, 9, (4,)), action=gym.spaces.Discrete(2)
    )
    for source in (of_python, of_http, of_onnx):
        acting = load(source(monkeypatch, tmp_path), fits, None, trust=True)
        for _ in range(GOOD_CALLS + 2):
            assert acting.act(obs, True).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"calls": (1, 1), "next_calls": (1, 1)}, "takes inputs with different numbers of rows"),
        ({"calls": ("N", "M"), "next_calls": ("N", "M")}, "fixed dimensions after the first"),
    ],
)
def test_a_memory_of_another_shape_is_refused(tmp_path, shapes, message):
    fits = Spaces("cartpole", gym.spaces.Box(-9, 9, (4,)), gym.spaces.Discrete(2))
    with pytest.raises(InputError, match=message):
        load(onnx_file(tmp_path, **shapes), fits, None)


def test_a_graph_that_takes_the_mask_and_the_starts_gets_them(tmp_path):
    """The logits are the starts of episodes; the mask forbids the first action."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["mask"], ["legal"], to=kinds.FLOAT),
        helper.make_node("Unsqueeze", ["episode_start", "axis"], ["column"]),
        helper.make_node("Mul", ["legal", "column"], ["by_start"]),
        helper.make_node("ReduceSum", ["x", "axis"], ["sum"], keepdims=1),
        helper.make_node("Add", ["by_start", "sum"], ["logits"]),
    ]
    inputs = [("x", kinds.FLOAT, ["N", 4]), ("mask", kinds.BOOL, ["N", 2]), ("episode_start", kinds.FLOAT, ["N"])]
    infos = [
        [helper.make_tensor_value_info(*value) for value in values]
        for values in (inputs, [("logits", kinds.FLOAT, ["N", 2])])
    ]
    graph = helper.make_graph(nodes, "g", *infos, initializer=[helper.make_tensor("axis", kinds.INT64, [1], [1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "masked.onnx").write_bytes(model.SerializeToString())
    fits = Spaces("cartpole", gym.spaces.Box(-9, 9, (4,)), gym.spaces.Discrete(2))
    acting = load(f"onnx:{tmp_path / 'masked.onnx'}", fits, None)
    obs, mask = np.zeros((3, 4), np.float32), np.array([[False, True], [False, True], [True, True]])
    start = np.array([True, False, True])
    assert acting.act(obs, True, mask=mask, episode_start=start).tolist() == [1, 1, 0]
    assert set(acting.act(np.repeat(obs[:1], 50, 0), False, mask=np.repeat(mask[:1], 50, 0)).tolist()) == {1}
    assert acting.act(obs, True).tolist() == [0, 0, 0]
