"""ONNX policies: exported ones act as their run, foreign ones meet the contract or are refused."""

import itertools
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402

from agents import normalize, q_policy  # noqa: E402
from agents import policy as networks  # noqa: E402
from agents.config import DQNConfig, QNetworkConfig  # noqa: E402
from agents.export import actor_to_onnx, q_network_to_onnx  # noqa: E402
from agents.q_network import QNetwork  # noqa: E402
from rl_eval import run  # noqa: E402
from rl_eval.cli import main  # noqa: E402
from rl_eval.domains import cartpole  # noqa: E402
from rl_eval.envs.space_values import OneHot  # noqa: E402
from rl_eval.errors import InputError  # noqa: E402
from rl_eval.policy import Policy, Spaces, _onnx, _onnx_process, load  # noqa: E402
from rl_eval.rollout import play  # noqa: E402
from tests.policy.trained_networks import trained  # noqa: E402

OBS = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32)
TWO = gym.spaces.Discrete(2)
ODD = gym.spaces.Discrete(3, start=-1)
BOX = gym.spaces.Box(np.array([-2, 0], np.float32), np.array([1, 0.7], np.float32))
ENDLESS = gym.spaces.Box(-np.inf, np.inf, (2, 3), np.float64)


def spaces(action, obs=OBS, env="cartpole", id="CartPole-v1"):
    return Spaces(env, obs, action, id)


def described(meta, **changes):
    description = {"env": {"name": "cartpole", "id": "CartPole-v1"}, "obs_shape": meta["obs_shape"]}
    return {**description, "action_space": meta["action_space"], **changes}


def exported(folder, arrays, meta, **changes):
    file = folder / "policy.onnx"
    to_onnx = q_network_to_onnx if "dueling" in meta else actor_to_onnx
    file.write_bytes(to_onnx(arrays, meta, described(meta, **changes)))
    return f"onnx:{file}"


def observations(n=200, size=4, seed=1):
    return np.random.default_rng(seed).normal(1000, 2e-3, (n, size)).astype(np.float32)


LAYERS = [
    {"activation": activation, "norm": norm}
    for activation, norm in itertools.product(("tanh", "relu", "silu", "gelu"), ("none", "layer", "batch"))
]


@pytest.mark.parametrize("config", [*LAYERS, {"widths": []}, {"dropout": 0.5, "shared": True}], ids=str)
@pytest.mark.parametrize("action", [TWO, ODD, BOX, ENDLESS], ids=str)
def test_an_exported_policy_is_the_policy_of_the_run(tmp_path, action, config):
    arrays, meta = trained(action, **config)
    original = networks.load(arrays, meta, seed=3)
    reloaded = load(exported(tmp_path, arrays, meta), spaces(action), None, seed=3)
    assert isinstance(reloaded, Policy)
    obs = observations()
    if isinstance(action, gym.spaces.Discrete):
        expected = original.probabilities(obs)
        np.testing.assert_allclose(reloaded.probabilities(obs), expected, atol=2e-5)
        np.testing.assert_allclose(reloaded.probabilities(obs).sum(axis=1), 1, rtol=1e-6)
        assert len(np.unique(expected.argmax(axis=1))) > 1  # something is told apart
        top = np.sort(expected, axis=1)
        obs = obs[top[:, -1] - top[:, -2] > 1e-4]  # a tie may break either way
        assert len(obs) > 150
        for greedy in (True, False):
            assert np.array_equal(reloaded.act(obs, greedy), original.act(obs, greedy))
    else:
        assert not hasattr(reloaded, "probabilities")
        for greedy in (True, False):
            actions = reloaded.act(obs, greedy)
            assert actions.dtype == action.dtype
            np.testing.assert_allclose(actions, original.act(obs, greedy), rtol=1e-4, atol=1e-4)
    assert all(one in action for one in reloaded.act(obs, False))


Q_NETWORKS = {
    "plain": {},
    "dueling": {"dueling": True},
    "attention": {"dueling": True, "groups": [1, 3], "group_width": 8, "heads": 2, "norm": "layer"},
}


@pytest.mark.parametrize("action", [TWO, ODD], ids=str)
@pytest.mark.parametrize("network", Q_NETWORKS.values(), ids=Q_NETWORKS.keys())
def test_an_exported_q_network_is_the_policy_of_the_run(tmp_path, network, action):
    network = dict(network)
    config = DQNConfig(dueling=network.pop("dueling", False), network=QNetworkConfig(widths=[16, 8], **network))
    rng = np.random.default_rng(0)
    built = QNetwork(4, int(action.n), config.network, config.dueling, rng)
    arrays = q_policy.pack(built, normalize.of(rng.normal(1000, 1e-3, (500, 4))))
    for name, array in arrays.items():
        if name.startswith("network."):
            arrays[name] = array + rng.normal(0, 0.3, array.shape).astype(np.float32)
    arrays["network.head.bias"][:] = 0.0  # so that no action is always the best
    meta = {**q_policy.metadata(OBS, action, config, 3.5, 0.1), "env": "cartpole"}
    original = q_policy.load(arrays, meta)
    reloaded = load(exported(tmp_path, arrays, meta), spaces(action), None)
    obs = observations()
    q = original.q_values(obs)
    (exported_q,) = reloaded._graph.run({"observations": obs}, ["q_values"], len(obs))
    np.testing.assert_allclose(exported_q, q, rtol=1e-3, atol=1e-3)
    assert len(np.unique(q.argmax(axis=1))) > 1
    top = np.sort(q, axis=1)
    obs = obs[top[:, -1] - top[:, -2] > 1e-3 * np.abs(q).max()]  # a tie may break either way
    assert len(obs) > 100
    assert np.array_equal(reloaded.act(obs, True), original.act(obs, True))
    with pytest.raises(InputError, match="returns only its action"):
        reloaded.act(obs, False)
    assert not hasattr(reloaded, "probabilities")


def test_statistics_are_not_rounded_to_float32(tmp_path):
    """A mean of 1000 and a deviation of .001: float32 statistics would be wrong by several percent of a deviation."""
    arrays, meta = trained(BOX)
    plain = {**arrays}
    plain["obs.mean"] = plain["obs.mean"].astype(np.float32).astype(np.float64)
    means = [
        load(exported(tmp_path, a, meta), spaces(BOX), None)._run(observations(), None, None)["mean"]
        for a in (arrays, plain)
    ]
    assert np.abs(means[0] - means[1]).max() > 1e-2


def write_run(path, arrays, meta, env="cartpole"):
    run.write_checkpoint(path / "snapshots" / "step_10", "policy", arrays, meta)
    run.write_json(path / "run.json", {"status": "finished", "snapshot": "step_10"})
    run.write_text(path / "config.yaml", f"env: {{name: {env}, id: CartPole-v1}}\n")


def test_a_run_is_exported_by_the_command_and_plays_the_same_episodes(tmp_path, capsys):
    arrays, meta = trained(TWO, activation="relu")
    arrays = {name: array for name, array in arrays.items() if not name.startswith("obs.")}
    write_run(tmp_path / "run", arrays, meta)
    assert main(["export", str(tmp_path / "run"), "--onnx"]) == 0
    assert main(["export", str(tmp_path / "run"), "--onnx", str(tmp_path / "elsewhere.onnx")]) == 0
    files = [tmp_path / "run" / "policy.onnx", tmp_path / "elsewhere.onnx"]
    assert f"{files[0]}: " in capsys.readouterr().out
    assert files[0].read_bytes() == files[1].read_bytes()
    config = cartpole.Config()
    envs = cartpole.DOMAIN.make(config, n_envs=4, part="test", autoreset=False)
    fits = Spaces.of(config, envs)
    lengths = []
    for spec in (str(tmp_path / "run"), f"onnx:{files[0]}"):
        for greedy in (True, False):
            played = play(envs, load(spec, fits, config, seed=5), seeds=range(10), greedy=greedy)
            lengths.append(played.lengths.tolist())
    assert lengths[:2] == lengths[2:]


@pytest.mark.parametrize(
    ("changes", "fits", "message"),
    [
        ({}, spaces(TWO, env="gym"), None),  # the same environment, named by its id
        ({}, spaces(TWO, id="MountainCar-v0"), r"is for CartPole-v1 .* not for MountainCar-v0 .*: name a policy of"),
        ({"env": {"name": "threat"}}, spaces(TWO, id=None), r"is for threat with .*, not for cartpole with"),
        ({}, spaces(TWO, obs=gym.spaces.Box(-1, 1, (8,))), r"of shape \(4,\), not for CartPole-v1 with \(8,\)"),
        ({}, spaces(ODD), r"was exported for other actions .*\"n\": 2.*, but this .* takes Discrete\(3, start=-1\)"),
        ({}, spaces(BOX), r"was exported for other actions"),
        ({"env": 3}, spaces(TWO), r"has metadata that cannot be read"),
        ({"obs_shape": None}, spaces(TWO), r"has metadata that cannot be read"),
    ],
)
def test_an_exported_policy_says_what_it_is_for(tmp_path, changes, fits, message):
    spec = exported(tmp_path, *trained(TWO), **changes)
    if message is None:
        load(spec, fits, None)
    else:
        refused(spec, fits, message)


def refused(spec, fits, message):
    with pytest.raises(InputError, match=rf"^policy '?onnx:.*{message}") as error:
        load(spec, fits, None)
    assert "\n" not in str(error.value)


# -- graphs of others --------------------------------------------------------------------------------------------------

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64
FOUR = [("y", FLOAT, ["N", 4])]


def foreign(folder, nodes, outputs, inputs=(("x", FLOAT, ["N", 4]),), constants=()):
    """A graph as another exporter would write it."""
    infos = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    graph = helper.make_graph(nodes, "g", *infos, initializer=list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = folder / "foreign.onnx"
    file.write_bytes(model.SerializeToString())
    return f"onnx:{file}"


def columns(count, name="y"):
    """The first columns of the observation as an output."""
    bounds = [helper.make_tensor(n, INT, [1], [v]) for n, v in (("from", 0), ("to", count), ("axis", 1))]
    return helper.make_node("Slice", ["x", "from", "to", "axis"], [name]), bounds


def test_a_single_output_is_logits_or_the_action(tmp_path):
    obs = np.array([[1, 2, 0, 0], [5, 1, 0, 0]], np.float32)
    node, bounds = columns(2)
    logits = load(foreign(tmp_path, [node], [("y", FLOAT, ["N", 2])], constants=bounds), spaces(TWO), None)
    assert logits.act(obs, True).tolist() == [1, 0]
    np.testing.assert_allclose(logits.probabilities(obs)[:, 1], 1 / (1 + np.exp([-1, 4])), rtol=1e-5)
    assert 0.6 < logits.act(np.repeat(obs[:1], 4000, axis=0), False).mean() < 0.8  # sigmoid(1) = .73
    box = load(foreign(tmp_path, [node], [("y", FLOAT, ["N", 2])], constants=bounds), spaces(BOX), None)
    np.testing.assert_allclose(box.act(obs, True), [[1, 0.7], [1, 0.7]])  # clipped
    nodes = [node, helper.make_node("ArgMax", ["y"], ["a"], axis=-1, keepdims=0)]
    action = load(foreign(tmp_path, nodes, [("a", INT, ["N"])], constants=bounds), spaces(TWO), None)
    assert action.act(obs, True).tolist() == [1, 0]
    with pytest.raises(
        InputError, match=r"returns only its action, so it cannot be sampled: judge it with `policy: gr"
    ):
        action.act(obs, False)


def test_outputs_are_understood_by_their_names(tmp_path):
    node, bounds = columns(2, "probabilities")
    value = helper.make_node("ReduceSum", ["x"], ["value"])
    outputs = [("value", FLOAT, None), ("probabilities", FLOAT, ["N", 2])]
    acting = load(foreign(tmp_path, [node, value], outputs, constants=bounds), spaces(TWO), None)
    obs = np.array([[0.25, 0.75, 0, 0]] * 4000, np.float32)
    np.testing.assert_allclose(acting.probabilities(obs[:2]), obs[:2, :2], rtol=1e-6)
    assert acting.act(obs, True).all()
    assert 0.7 < acting.act(obs, False).mean() < 0.8
    with pytest.raises(InputError, match="returned probabilities of shape"):
        acting.act(-obs, True)


IDENTITY = [helper.make_node("Identity", ["x"], ["y"])]
REFUSED = {
    "two inputs": (
        {"nodes": [helper.make_node("Add", ["x", "z"], ["y"])], "inputs": (("x", FLOAT, ["N", 4]), ("z", FLOAT, [4]))},
        r"takes x: tensor\(float\), z: tensor\(float\): it must take one tensor of floats",
    ),
    "integers": (
        {"inputs": (("x", INT, ["N", 4]),), "outputs": [("y", INT, ["N", 4])]},
        r"takes x: tensor\(int64\): observations of CartPole-v1 are floats$",
    ),
    "a fixed batch": (
        {"inputs": (("x", FLOAT, [5000, 4]),)},
        r"takes batches of exactly 5000: export it with a first dim",
    ),
    "another shape": (
        {"inputs": (("x", FLOAT, ["N", 5]),)},
        r"of shape \(5,\), but those of CartPole-v1 have the shape \(4,\): name a policy of CartPole-v1$",
    ),
    "free dimensions": (
        {"inputs": (("x", FLOAT, ["N", "M"]),)},
        r"shape \('M',\), but those of CartPole-v1 have the shape \(4,\): export it with that shape after the first d",
    ),
    "more actions": ({}, r"chooses between 4 actions, but CartPole-v1 has 2: name a policy of CartPole-v1$"),
    "unclear outputs": (
        {"nodes": [*IDENTITY, helper.make_node("Identity", ["x"], ["z"])], "outputs": [*FOUR, ("z", FLOAT, ["N", 4])]},
        r"has the outputs y, z: name one of them action, logits or probabilities, for CartPole-v1$",
    ),
}


@pytest.mark.parametrize(("graph", "message"), REFUSED.values(), ids=REFUSED)
def test_a_graph_outside_the_contract_is_refused(tmp_path, graph, message):
    refused(foreign(tmp_path, **{"nodes": IDENTITY, "outputs": FOUR, **graph}), spaces(TWO), message)


def test_a_graph_of_another_shape_than_the_numbers_of_states_is_refused(tmp_path):
    lake = spaces(gym.spaces.Discrete(4), OneHot(gym.spaces.Discrete(16)), "gym", "FrozenLake-v1")
    wide = foreign(tmp_path, IDENTITY, FOUR, inputs=(("x", FLOAT, ["N", 2]),))
    refused(
        wide, lake, r"of shape \(2,\), but those of FrozenLake-v1 are numbers, or one-hot vectors of shape \(16,\): n"
    )


@pytest.mark.parametrize(("fits", "scale"), [(spaces(TWO), 1.0), (spaces(BOX), np.nan), (spaces(TWO), np.nan)])
def test_an_output_that_is_no_action_is_reported(tmp_path, fits, scale):
    node, bounds = columns(2)
    output = "logits" if np.isnan(scale) and fits.action == TWO else "action"
    node.output[0] = output
    acting = load(foreign(tmp_path, [node], [(output, FLOAT, ["N", "A"])], constants=bounds), fits, None)
    with pytest.raises(InputError, match=r"^policy '?onnx:.* returned "):
        acting.act(np.full((3, 4), scale, np.float32), True)


def test_a_graph_that_fails_while_it_runs_is_reported(tmp_path):
    shape = helper.make_tensor("s", INT, [1], [7])
    node = helper.make_node("Reshape", ["x", "s"], ["y"])
    acting = load(foreign(tmp_path, [node], [("y", FLOAT, ["N"])], constants=[shape]), spaces(BOX), None)
    with pytest.raises(InputError, match=r"^policy 'onnx:.*' cannot be run: ") as error:
        acting.act(np.zeros((3, 4), np.float32), True)
    assert "\n" not in str(error.value)


def endless():
    """A loop whose condition stays true."""
    values = [
        helper.make_tensor_value_info(*v) for v in (("i", INT, []), ("c", TensorProto.BOOL, []), ("v", FLOAT, None))
    ]
    outputs = [helper.make_tensor_value_info(*v) for v in (("d", TensorProto.BOOL, []), ("w", FLOAT, None))]
    nodes = [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Tanh", ["v"], ["w"])]
    body = helper.make_graph(nodes, "body", values, outputs)
    return helper.make_node("Loop", ["most", "true", "x"], ["y"], body=body)


LOOP = [helper.make_tensor("most", INT, [], [1 << 62]), helper.make_tensor("true", TensorProto.BOOL, [], [True])]


def test_a_graph_without_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(_onnx_process, "CALL_S", 0.3)
    acting = load(foreign(tmp_path, [endless()], FOUR, constants=LOOP), spaces(BOX), None)
    child = acting._graph._child.process
    for _ in range(2):  # it is not tried again
        with pytest.raises(InputError, match=r"^policy 'onnx:.*' cannot be run: it took more than 0\.3 s$"):
            acting.act(np.zeros((3, 4), np.float32), True)
    assert child.returncode == -signal.SIGALRM


@pytest.mark.parametrize("at", ["load", "run"])
def test_a_graph_that_asks_for_more_memory_than_allowed_is_an_error(tmp_path, at):
    """7 GB in a file of 200 bytes; onnxruntime computes constants when it loads a graph."""
    length = helper.make_tensor("n", INT, [1], [1_750_000_000])
    big = helper.make_node("ConstantOfShape", ["n"], ["big"], value=helper.make_tensor("v", FLOAT, [1], [1.0]))
    nodes = [big, helper.make_node("ReduceSum", ["big"], ["s"], keepdims=0), helper.make_node("Add", ["x", "s"], ["y"])]
    if at == "run":  # a length that depends on the observation
        nodes[:1] = [
            helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
            helper.make_node("Cast", ["m"], ["k"], to=INT),
            helper.make_node("Mul", ["n", "k"], ["nk"]),
            helper.make_node("ConstantOfShape", ["nk"], ["big"], value=helper.make_tensor("v", FLOAT, [1], [1.0])),
        ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spec = foreign(tmp_path, nodes, FOUR, constants=[length])
    with pytest.raises(InputError, match=r"^policy 'onnx:.*' cannot be (read|run): ") as error:
        load(spec, spaces(BOX), None).act(np.ones((3, 4), np.float32), True)
    assert "\n" not in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB, of this process


def test_a_process_is_used_again_and_ends_with_its_parent(tmp_path):
    spec = exported(tmp_path, *trained(TWO))
    first = load(spec, spaces(TWO), None)
    process = first._graph._child.process
    del first
    assert load(spec, spaces(TWO), None)._graph._child.process is process
    code = (
        "import os, sys; from rl_eval.policy._onnx_process import OnnxProcess; from pathlib import Path;"
        "graph = OnnxProcess(Path(sys.argv[1]).read_bytes(), 'p', 'm');"
        "print(graph._child.process.pid, flush=True); number = int(sys.argv[2]);"
        "number and os.kill(os.getpid(), number)"
    )
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        command = [sys.executable, "-c", code, spec.removeprefix("onnx:"), str(int(number))]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == -number, ended.stderr
        assert ended.stderr == ""
        child = Path(f"/proc/{int(ended.stdout)}")
        for _ in range(200):
            if not child.exists():
                break
            time.sleep(0.05)
        assert not child.exists()


def test_a_damaged_file_is_one_sentence(tmp_path):
    spec = exported(tmp_path, *trained(TWO))
    file = tmp_path / "policy.onnx"
    content = file.read_bytes()
    for length in (0, 1, 50, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        refused(spec, spaces(TWO), r"' cannot be read: ")
    file.write_bytes(b"PK\x03\x04" + content)
    refused(spec, spaces(TWO), r"' cannot be read: ")
    refused(f"{spec}x", spaces(TWO), r"the file .*policy\.onnxx does not exist$")
    refused(f"onnx:{tmp_path}", spaces(TWO), r"the file .* does not exist$")


def test_operators_and_files_from_elsewhere_are_refused(tmp_path, capfd):
    node = helper.make_node("Anything", ["x"], ["y"], domain="somewhere.else")
    refused(foreign(tmp_path, [node], FOUR), spaces(TWO), "cannot be read: ")
    (tmp_path / "secret").write_bytes(bytes(16))
    weights = TensorProto(name="w", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for place in (str(tmp_path / "secret"), "../secret"):
        del weights.external_data[:]
        weights.external_data.add(key="location", value=place)
        graph = foreign(tmp_path, [helper.make_node("Add", ["x", "w"], ["y"])], FOUR, constants=[weights])
        refused(graph, spaces(BOX), r"has weights in .*: they must be in the folder of foreign\.onnx$")
    assert capfd.readouterr().err == ""


def test_a_file_is_bounded_and_the_runtime_an_extra(tmp_path, monkeypatch):
    spec = exported(tmp_path, *trained(TWO))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    refused(spec, spaces(TWO), r"needs onnxruntime, .*: pip install 'rl_eval\[onnx\]'$")
    monkeypatch.setattr(_onnx, "MAX_BYTES", 1 << 10)
    refused(spec, spaces(TWO), "is larger than 0 MiB")


def test_a_policy_that_cannot_be_exported_is_reported(tmp_path, capsys, monkeypatch):
    arrays, meta = trained(TWO)
    for change, message in (
        ({"network": {"widths": [9]}}, "cannot be exported (weight"),
        ({"action_space": {}}, "cannot be exported"),
        ({"env": None}, None),
    ):
        write_run(tmp_path / "run", arrays, {**meta, **change})
        if message:
            assert main(["export", str(tmp_path / "run"), "--onnx"]) == 2
            assert message in " ".join(capsys.readouterr().err.split())
    write_run(tmp_path / "run", arrays, meta)
    assert main(["export", str(tmp_path / "run"), "--onnx", str(tmp_path / "no" / "where.onnx")]) == 2
    assert "cannot be written (No such file or directory): name another file" in " ".join(
        capsys.readouterr().err.split()
    )
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(tmp_path / "run"), "--onnx"]) == 2
    assert "needs onnx, which is not installed: pip install 'rl_eval[onnx]'" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not (tmp_path / "run" / "policy.onnx").exists()


def test_a_torch_module_exported_as_the_docs_say_acts_as_the_model(tmp_path):
    """The snippet of docs/onnx.md, on a model of Stable-Baselines3."""
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    docs = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(import torch\n.*?)```", docs, re.DOTALL)
    model = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, seed=0, device="cpu")
    model.save(tmp_path / "model.zip")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", snippet], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    acting = load(f"onnx:{tmp_path / 'policy.onnx'}", spaces(TWO), None)
    obs = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    assert np.array_equal(acting.act(obs, True), model.predict(obs, deterministic=True)[0])
    assert acting.probabilities(obs).shape == (200, 2)
