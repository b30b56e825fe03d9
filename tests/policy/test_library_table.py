"""The table of docs/libraries.md: which library is judged on which observations, and that the scores are its own.

Each cell is played. A policy that is judged as it is must have, on the same seeds, the returns of its library's own
evaluation; one that is not supported must be refused in a sentence.
"""

import contextlib
import http.server
import importlib
import json
import re
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_eval import domains
from rl_eval.domains.gym import Config
from rl_eval.errors import InputError
from rl_eval.policy import Spaces, load
from rl_eval.rollout import play
from tests.any_space_env import AnySpaces, content, register

DOCS = Path(__file__).resolve().parents[2] / "docs"
SEEDS = range(70, 74)
TWO = gym.spaces.Discrete(2)
BOX = gym.spaces.Box(-1, 1, (3,))
IMAGE = gym.spaces.Box(0, 255, (36, 36, 1), np.uint8)
SPACES = {
    "Box": [BOX],
    "image": [IMAGE],
    "Discrete": [gym.spaces.Discrete(5)],
    "MultiDiscrete, MultiBinary": [gym.spaces.MultiDiscrete([3, 4]), gym.spaces.MultiBinary(3)],
    "Dict": [gym.spaces.Dict(image=IMAGE, x=BOX)],
    "Tuple": [gym.spaces.Tuple([BOX, gym.spaces.Discrete(2)])],
    "Text": [gym.spaces.Text(4)],
}
CELLS = [(kind, space) for kind, spaces in SPACES.items() for space in spaces]
CELL_NAMES = [f"{kind.split(',')[0]}-{type(space).__name__}" for kind, space in CELLS]
SUPPORTED = "yes"
SB3, ONNX, SCRIPT, SKLEARN = "Stable-Baselines3, sb3-contrib", "ONNX", "TorchScript", "scikit-learn"
SERVER = "a server, such as d3rlpy's"
# library -> what the table says of each kind of observation
ALL = dict.fromkeys(SPACES, SUPPORTED)
SUPPORT = {
    SB3: ALL | dict.fromkeys(("Tuple", "Text"), "no: it has no policy for them"),
    ONNX: ALL | dict.fromkeys(("Tuple", "Text"), "no: named tensors only"),
    SCRIPT: ALL | {"Text": "no: tensors only"},
    SKLEARN: ALL | dict.fromkeys(("Dict", "Tuple", "Text"), "no: rows of numbers only"),
    SERVER: ALL,
}
IN_PYTHON = {"CleanRL": "cleanrl", "Tianshou": "tianshou", "RLlib": "rllib", "JAX": "jax"}
MAX_LINES = 10


@pytest.fixture(autouse=True)
def _environment():
    register()
    torch.set_num_threads(1)


def gate(spec, observation, action=TWO, seeds=SEEDS, copies=3):
    """The returns that a suite would judge."""
    config = Config(id="AnySpaces-v0", kwargs={"observation": observation, "action": action})
    vector = domains.make(config, n_envs=copies, part="test", autoreset=False)
    return play(vector, load(spec, Spaces.of(config, vector), config, trust=True), seeds=seeds).per_episode(
        "native_reward"
    )


def alone(act, observation, action=TWO):
    """The returns of `act(observation) -> action` in Gymnasium alone."""
    env, totals = AnySpaces(observation, action), []
    for seed in SEEDS:
        obs, _ = env.reset(seed=seed)
        totals.append(0.0)
        ended = False
        while not ended:
            obs, reward, ended, _, _ = env.step(act(obs))
            totals[-1] += reward
    return totals


def same(spec, expected, observation):
    assert len(set(expected)) > 1
    np.testing.assert_allclose(gate(spec, observation), expected, rtol=0, atol=1e-6)


def rows(observation, space):
    """One observation as one row of floats."""
    if isinstance(space, gym.spaces.Dict):
        return np.concatenate([rows(observation[name], part) for name, part in space.items()], axis=1)
    return np.asarray(observation, np.float32).reshape(1, -1)


def weights(space, name=""):
    """A linear layer for the numbers of a space, whose logits are near zero on average."""
    size = 1 if isinstance(space, gym.spaces.Discrete) else int(np.prod(space.shape))
    w = np.random.default_rng([len(name), size]).normal(size=(size, 2)).astype(np.float32)
    return w - (w.mean(axis=0) if size > 1 else 0)


@pytest.mark.parametrize(("kind", "space"), CELLS, ids=CELL_NAMES)
def test_stable_baselines3(kind, space, tmp_path):
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    vector = DummyVecEnv([lambda: Monitor(AnySpaces(space, TWO))]) if SUPPORT[SB3][kind] == SUPPORTED else None
    policy = {"image": "CnnPolicy", "Dict": "MultiInputPolicy"}.get(kind, "MlpPolicy")
    if SUPPORT[SB3][kind] != SUPPORTED:
        with pytest.raises((NotImplementedError, TypeError)):
            sb3.PPO(policy, AnySpaces(space, TWO), device="cpu")
        return
    model = sb3.PPO(policy, vector, n_steps=8, batch_size=8, device="cpu", seed=0)
    for parameter in model.policy.action_net.parameters():
        parameter.data.normal_()
    model.save(tmp_path / "model.zip")
    expected = []
    for seed in SEEDS:
        vector.seed(seed)
        expected += evaluate_policy(model, vector, n_eval_episodes=1, return_episode_rewards=True)[0]
    same(f"sb3:ppo:{tmp_path / 'model'}", expected, space)


def onnx_file(folder, space):
    """Linear logits of all inputs, each of the type of its space."""
    onnx = pytest.importorskip("onnx")
    kinds = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int8): 3, np.dtype(np.int64): 7}
    parts = dict(space.items()) if isinstance(space, gym.spaces.Dict) else {"observations": space}
    inputs, nodes, constants = [], [], []
    for name, part in parts.items():
        inputs.append(onnx.helper.make_tensor_value_info(name, kinds[np.dtype(part.dtype)], ["N", *(part.shape or ())]))
        shape = onnx.helper.make_tensor(f"{name} shape", 7, [2], [-1, len(weights(part, name))])
        layer = onnx.numpy_helper.from_array(weights(part, name), f"{name} weights")
        constants += [shape, layer]
        nodes += [
            onnx.helper.make_node("Cast", [name], [f"{name} float"], to=1),
            onnx.helper.make_node("Reshape", [f"{name} float", f"{name} shape"], [f"{name} rows"]),
            onnx.helper.make_node("MatMul", [f"{name} rows", f"{name} weights"], [f"{name} logits"]),
        ]
    nodes.append(onnx.helper.make_node("Sum", [f"{name} logits" for name in parts], ["logits"]))
    outputs = [onnx.helper.make_tensor_value_info("logits", 1, ["N", 2])]
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, initializer=constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


@pytest.mark.parametrize(("kind", "space"), CELLS, ids=CELL_NAMES)
def test_onnx(kind, space, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    file = onnx_file(tmp_path, space if SUPPORT[ONNX][kind] == SUPPORTED else BOX)
    if SUPPORT[ONNX][kind] != SUPPORTED:
        with pytest.raises(InputError, match=r"takes tensors, but the observations of AnySpaces-v0 are "):
            gate(f"onnx:{file}", space)
        return
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def act(observation):
        parts = observation if isinstance(space, gym.spaces.Dict) else {"observations": observation}
        (logits,) = session.run(["logits"], {name: np.asarray(part)[None] for name, part in parts.items()})
        return int(logits.argmax())

    same(f"onnx:{file}", alone(act, space), space)


class OfArrays(torch.nn.Module):
    def __init__(self, layer: torch.Tensor):
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor):
        return x.float().reshape(x.shape[0], -1) @ self.layer


class OfDicts(torch.nn.Module):
    def __init__(self, image: torch.Tensor, x: torch.Tensor):
        super().__init__()
        self.image, self.x = image, x

    def forward(self, observation: dict[str, torch.Tensor]):
        image = observation["image"].float()
        return image.reshape(image.shape[0], -1) @ self.image + observation["x"] @ self.x


class OfTuples(OfArrays):
    def forward(self, observation: tuple[torch.Tensor, torch.Tensor]):
        return observation[0] @ self.layer + observation[1].float().reshape(-1, 1) * 0.1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "space"), CELLS, ids=CELL_NAMES)
def test_torchscript(kind, space, tmp_path):
    if isinstance(space, gym.spaces.Dict):
        module = OfDicts(*(torch.as_tensor(weights(space[name], name)) for name in ("image", "x")))
    elif isinstance(space, gym.spaces.Tuple):
        module = OfTuples(torch.as_tensor(weights(BOX)))
    else:
        module = OfArrays(torch.as_tensor(weights(space if SUPPORT[SCRIPT][kind] == SUPPORTED else BOX)))
    spec = f"torchscript:{tmp_path / 'model.pt'}"
    torch.jit.script(module).save(str(tmp_path / "model.pt"))
    if SUPPORT[SCRIPT][kind] != SUPPORTED:
        with pytest.raises(InputError, match=r"^policy 'torchscript:.*' takes tensors, but AnySpaces-v0 has "):
            gate(spec, space)
        return

    def act(observation):
        if isinstance(observation, dict):
            tensors = {name: torch.as_tensor(part)[None] for name, part in observation.items()}
        elif isinstance(observation, tuple):
            tensors = tuple(torch.as_tensor(np.asarray(part))[None] for part in observation)
        else:
            tensors = torch.as_tensor(np.asarray(observation))[None]
        return int(module(tensors).argmax())

    same(spec, alone(act, space), space)


@pytest.mark.parametrize(("kind", "space"), CELLS, ids=CELL_NAMES)
def test_scikit_learn(kind, space, tmp_path):
    pytest.importorskip("sklearn")
    io = pytest.importorskip("skops.io")
    from sklearn.linear_model import Perceptron

    supported = SUPPORT[SKLEARN][kind] == SUPPORTED
    known = space if supported else BOX
    known.seed(1)
    features = np.concatenate([rows(known.sample(), known) for _ in range(60)])
    labels = (features[:, 0] > np.median(features[:, 0])).astype(int)
    model = Perceptron().fit(features, labels)
    spec = f"sklearn:{tmp_path / 'model.skops'}"
    io.dump(model, tmp_path / "model.skops")
    if not supported:
        with pytest.raises(InputError, match=r"takes rows of numbers and returns numbers, but AnySpaces-v0 has"):
            gate(spec, space)
        return
    same(spec, alone(lambda observation: int(model.predict(rows(observation, space))[0]), space), space)


@contextlib.contextmanager
def server(act, space):
    """A server of somebody else's: `act` on one observation, as its JSON values."""

    class Act(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            n, given = len(request["episode_start"]), request["observations"]
            body = json.dumps({"actions": [act(each(given, row)) for row in range(n)]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    def each(given, row):
        if isinstance(space, gym.spaces.Tuple):
            return [part[row] for part in given]
        return {name: part[row] for name, part in given.items()} if isinstance(given, dict) else given[row]

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Act)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/act"
    finally:
        running.shutdown()
        running.server_close()


def as_json(value):
    if isinstance(value, dict):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [as_json(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


@pytest.mark.parametrize(("kind", "space"), CELLS, ids=CELL_NAMES)
def test_a_server(kind, space):
    def act(observation):
        return int(content(observation) * 2)

    with server(act, space) as url:
        same(url, alone(lambda observation: act(as_json(observation)), space), space)


def wrapper(library):
    """The code of a policy in docs/libraries.md."""
    page = (DOCS / "libraries.md").read_text(encoding="utf-8")
    return re.search(rf"```python\n# {IN_PYTHON[library]}_policy\.py\n(.*?)```", page, re.DOTALL)[1]


CLEANRL = """\
import numpy as np
import torch


class Agent(torch.nn.Module):  # with the interface of CleanRL's
    def __init__(self, envs):
        super().__init__()
        size = int(np.prod(envs.single_observation_space.shape or (1,)))
        self.actor = torch.nn.Sequential(Rows(), torch.nn.Linear(size, envs.single_action_space.n))


class Rows(torch.nn.Module):
    def forward(self, x):
        return x.float().reshape(len(x), -1)
"""


@pytest.mark.parametrize(("kind", "space"), [cell for cell in CELLS if SUPPORT[SKLEARN][cell[0]] == SUPPORTED])
def test_a_policy_of_cleanrl(kind, space, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "ppo.py").write_text(CLEANRL)
    made = f'gym.make_vec("AnySpaces-v0", 1, vectorization_mode="sync", observation=SPACE, action={TWO!r})'
    code = wrapper("CleanRL").replace(
        'gym.make_vec("CartPole-v1", 1)', made.replace(repr(TWO), "gym.spaces.Discrete(2)")
    )
    (tmp_path / "cleanrl_policy.py").write_text(f"from spaces_of_test import SPACE\n{code}")
    with monkeypatch.context() as patch:
        for name in ("ppo", "cleanrl_policy", "spaces_of_test"):
            patch.delitem(sys.modules, name, raising=False)
        patch.setitem(sys.modules, "spaces_of_test", SimpleNamespace(SPACE=space))
        ppo = importlib.import_module("ppo")  # the test's
        torch.manual_seed(4)
        agent = ppo.Agent(SimpleNamespace(single_observation_space=space, single_action_space=TWO))
        for parameter in agent.parameters():
            parameter.data -= parameter.data.mean()
        torch.save(agent.state_dict(), "ppo.cleanrl_model")
        expected = alone(
            lambda observation: int(agent.actor(torch.as_tensor(np.asarray(observation))[None]).argmax()), space
        )
        same("python:cleanrl_policy:act", expected, space)
        for name in ("ppo", "cleanrl_policy"):
            sys.modules.pop(name, None)


def test_the_table_of_the_page_says_what_was_played():
    lines = {library: sum(bool(line.strip()) for line in wrapper(library).splitlines()) for library in IN_PYTHON}
    assert max(lines.values()) <= MAX_LINES
    few = f"[{max(lines.values())} lines](#cleanrl)"
    table = {library: dict(cells) for library, cells in SUPPORT.items()}
    table[", ".join(IN_PYTHON)] = {
        kind: few if SUPPORT[SKLEARN][kind] == SUPPORTED else "no: the examples take one array" for kind in SPACES
    }
    rows_of_table = [" | ".join(["| library", *SPACES]) + " |", "|" + "---|" * (1 + len(SPACES))]
    rows_of_table += [" | ".join([f"| {library}", *cells.values()]) + " |" for library, cells in table.items()]
    expected = "\n".join(rows_of_table)
    assert expected in (DOCS / "libraries.md").read_text(encoding="utf-8"), f"write this there:\n{expected}"
