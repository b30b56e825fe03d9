"""What a policy does with an observation does not depend on the others in the batch, to the last bit."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import policy as networks
from agents import q_policy
from agents.config import DQNConfig, QNetworkConfig
from agents.q_network import QNetwork
from rl_eval.policy import Spaces, Untrained, load
from rl_eval.policy._fixed_batches import ROWS, filled
from tests.policy.trained_networks import trained

SIZE, MOST = 9, 2 * ROWS + 5
FOUR = gym.spaces.Discrete(4)
OBS = gym.spaces.Box(-np.inf, np.inf, (SIZE,), np.float32)
WIDE = gym.spaces.Box(-1e9, 1e9, (ROWS,), np.float32)  # as many components as a batch has rows


def actor(action=FOUR, **config):
    arrays, meta = trained(action, obs_size=SIZE, **config)
    return networks.load({name: array for name, array in arrays.items() if name.startswith("network.")}, meta)


def q_network(groups=()):
    network = {"widths": [64, 64], **({"groups": groups, "group_width": 8, "heads": 2} if groups else {})}
    config, rng = DQNConfig(dueling=True, network=QNetworkConfig(**network)), np.random.default_rng(0)
    arrays = q_policy.pack(QNetwork(SIZE, 4, config.network, True, rng), None)
    arrays = {name: array + rng.normal(0, 0.3, array.shape).astype(np.float32) for name, array in arrays.items()}
    return q_policy.load(arrays, q_policy.metadata(OBS, FOUR, config, 3.5, 0.1))


def graph(folder, action, name="policy"):
    """A file of matrix products, whose kernels depend on the number of rows more than those of `Gemm` do."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    rng, output = np.random.default_rng(0), "logits" if action is FOUR else "mean"
    size = int(gym.spaces.flatdim(action))
    shapes = {"first": (SIZE, 64), "second": (64, 64), "third": (64, size)}
    weights = [onnx.numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    weights.append(helper.make_tensor("spread", number, [size], [0.5] * size))
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["c"]),
        helper.make_node("Tanh", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "third"], [output]),
        helper.make_node("Identity", ["spread"], ["log_std"]),
    ]
    infos = [("x", number, ["N", SIZE])], [(output, number, ["N", size]), ("log_std", number, [size])]
    inputs, outputs = ([helper.make_tensor_value_info(*info) for info in kind] for kind in infos)
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    return f"onnx:{folder / f'{name}.onnx'}"


POLICIES = {
    "narrow tanh": lambda _: actor(widths=[64, 64]),
    "wide relu": lambda _: actor(widths=[256, 256], activation="relu"),
    "torch": lambda _: actor(widths=[64, 64], norm="layer"),
    "box": lambda _: actor(gym.spaces.Box(-9, 9, (1,)), widths=[64, 64]),
    "dueling q": lambda _: q_network(),
    "attention": lambda _: q_network([4, 5]),
    "untrained": lambda _: Untrained(OBS, gym.spaces.Box(-9, 9, (3,)), 0, 0),
    "onnx": lambda folder: load(graph(folder, FOUR), Spaces("any", OBS, FOUR), None),
    "onnx box": lambda folder: load(graph(folder, WIDE), Spaces("any", OBS, WIDE), None),
}


def answers(acting, obs):
    """Everything that the policy says of each observation, as bytes."""
    parts = [acting.act(obs, True)]
    parts += [getattr(acting, name)(obs) for name in ("probabilities", "q_values") if hasattr(acting, name)]
    return [tuple(part[row].tobytes() for part in parts) for row in range(len(obs))]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_any_split_of_a_batch_gives_the_same_bits(policy, tmp_path):
    torch.set_num_threads(1)
    acting = policy(tmp_path)
    obs = np.random.default_rng(1).normal(size=(MOST, SIZE)).astype(np.float32)
    expected = answers(acting, obs)
    assert len(set(expected)) > 1

    @settings(max_examples=6)
    @given(seed=st.integers(0, 99), cuts=st.lists(st.integers(1, MOST - 1), max_size=4))
    def check(seed, cuts):
        order = np.random.default_rng(seed).permutation(MOST)
        for part in np.split(order, sorted(set(cuts))):
            assert answers(acting, obs[part]) == [expected[row] for row in part]

    check()
    for row in range(10):
        assert answers(acting, obs[row : row + 1]) == [expected[row]]


@pytest.mark.parametrize("rows", [1, 2, ROWS, 2 * ROWS + 1])
def test_one_deviation_for_all_rows_is_not_taken_for_one_of_each(tmp_path, rows):
    acting = load(graph(tmp_path, WIDE), Spaces("any", OBS, WIDE), None, seed=3)
    obs = np.zeros((rows, SIZE), np.float32)
    noise = acting.act(obs, False) - acting.act(obs, True)
    assert noise.shape == (rows, ROWS)
    expected = np.exp(0.5) * np.random.default_rng(3).standard_normal((rows, ROWS), np.float32)
    np.testing.assert_allclose(noise, expected, rtol=1e-5)


def test_a_batch_is_filled_with_its_first_row():
    rows = np.arange(6.0).reshape(3, 2)
    assert filled(rows).shape == (ROWS, 2)
    assert filled(rows)[3:].tolist() == [[0.0, 1.0]] * (ROWS - 3)
    assert filled(rows[:0]).shape == (0, 2)
    whole = np.zeros((2 * ROWS, 1))
    assert filled(whole) is whole
