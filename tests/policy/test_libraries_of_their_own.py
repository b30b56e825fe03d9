"""Libraries whose pins clash with ours, in environments of their own: their policies have their own scores here."""

import json
import re
import socket
import subprocess
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from rl_eval import domains
from rl_eval.domains import cartpole
from rl_eval.policy import Spaces, load
from rl_eval.rollout import play
from tests.policy.test_library_table import wrapper
from tests.wheel_environments import create, made_once, skip_without_index

pytestmark = pytest.mark.verify
DOCS = Path(__file__).resolve().parents[2] / "docs"
SEEDS = range(5)
# In the other environment: `act` on one observation plays CartPole, and prints the returns.
ALONE = """
import gymnasium as gym, json

def alone(act):
    env, returns = gym.make("CartPole-v1"), []
    for seed in range(5):
        obs, _ = env.reset(seed=seed)
        returns.append(0.0)
        ended = False
        while not ended:
            obs, reward, terminated, truncated, _ = env.step(int(act(obs)))
            returns[-1] += reward
            ended = terminated or truncated
    print("RETURNS", json.dumps(returns))
"""
D3RLPY = """
import d3rlpy
import numpy as np
from own import alone

obs = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
actions = (obs[:, 2] + obs[:, 3] > 0).astype(int)[:, None]
data = d3rlpy.dataset.MDPDataset(obs, actions, np.ones(300), np.eye(1, 300, 299)[0])
algorithm = d3rlpy.algos.DiscreteBCConfig(batch_size=32).create(device="cpu:0")
quiet = {"show_progress": False, "logger_adapter": d3rlpy.logging.NoopAdapterFactory()}
algorithm.fit(data, n_steps=200, n_steps_per_epoch=200, **quiet)
algorithm.save("model.d3")
alone(lambda obs: algorithm.predict(obs[None])[0])
"""
TRAINING = """
import gymnasium as gym
import torch
from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor

def make_policy():
    torch.manual_seed(3)
    actor = DiscreteActor(preprocess_net=Net(state_shape=(4,), hidden_sizes=[16]), action_shape=2, softmax_output=False)
    return ProbabilisticActorPolicy(
        actor=actor, dist_fn=lambda logits: torch.distributions.Categorical(logits=logits), deterministic_eval=True,
        action_space=gym.spaces.Discrete(2), action_scaling=False,
    )
"""
TIANSHOU = """
import torch
from own import alone
from tianshou.data import Batch
from training import make_policy

policy = make_policy().eval()
torch.save(policy.state_dict(), "policy.pth")
alone(lambda obs: policy(Batch(obs=obs[None], info=Batch())).act[0])
"""
JAX = """
import jax
import numpy as np
from own import alone

rng = np.random.default_rng(2)
hidden, out = rng.normal(size=(4, 8), scale=0.1), rng.normal(size=(8, 2), scale=0.1)
hidden[2:, 0], out[0] = 1, (-1, 1)  # push to where the pole falls
weights = {"hidden": hidden.astype(np.float32), "out": out.astype(np.float32)}
np.savez("weights.npz", **weights)
alone(lambda obs: (jax.numpy.tanh(obs[None] @ weights["hidden"]) @ weights["out"]).argmax())
"""


RLLIB = """
import gymnasium as gym
import torch
from own import alone
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

torch.manual_seed(0)
module = RLModuleSpec(
    module_class=DefaultPPOTorchRLModule, observation_space=gym.spaces.Box(-9, 9, (4,)),
    action_space=gym.spaces.Discrete(2), model_config={"fcnet_hiddens": [8]},
).build()
module.save_to_path(FOLDER)
act = lambda obs: module.forward_inference({"obs": torch.as_tensor(obs[None])})["action_dist_inputs"].argmax()
with torch.inference_mode():
    alone(act)
"""


def environment(tmp_path_factory, *packages):
    """An environment with some packages and nothing of ours."""
    skip_without_index(tmp_path_factory)
    no_pins = made_once(tmp_path_factory, "no_pins", lambda folder: (folder / "none.txt").touch()) / "none.txt"
    name = f"of_{packages[0].partition('[')[0]}"
    return made_once(
        tmp_path_factory, name, lambda folder: create(folder, *packages, constraints=no_pins, timeout=1500)
    )


def returns_of(python, folder, script):
    """What a script in the other environment prints as the returns of its library."""
    (folder / "own.py").write_text(ALONE)
    (folder / "play.py").write_text(script)
    done = subprocess.run([python, "play.py"], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(re.search("RETURNS (.*)", done.stdout)[1])


def gate(spec):
    vector = domains.make(cartpole.Config(), n_envs=3, part="test", autoreset=False)
    acting = load(spec, Spaces.of(cartpole.Config(), vector), cartpole.Config(), trust=True)
    return play(vector, acting, seeds=SEEDS).per_episode("native_reward")


def served(python, folder, code):
    """The URL and the process of a server script, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert ", 8000)" in code
    (folder / "serve.py").write_text(code.replace(", 8000)", f", {port})"))
    process = subprocess.Popen([python, "serve.py"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None
        time.sleep(0.1)
    return f"http://127.0.0.1:{port}/act", process


def server_script():
    page = (DOCS / "libraries.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n# serve\.py\n(.*?)```", page, re.DOTALL)[1]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 30
    return code


def judged_behind_a_server(python, folder, expected, code):
    assert min(expected) > 0
    assert len(set(expected)) > 1
    url, process = served(python, folder, code)
    try:
        np.testing.assert_allclose(gate(url), expected, rtol=0, atol=1e-6)
    finally:
        process.kill()
        process.wait()


def test_d3rlpy_behind_the_server_of_the_page(tmp_path_factory, tmp_path):
    python = environment(tmp_path_factory, "d3rlpy") / "bin" / "python"
    expected = returns_of(python, tmp_path, D3RLPY)
    judged_behind_a_server(python, tmp_path, expected, server_script())


@pytest.mark.parametrize(
    ("library", "script", "packages"),
    [
        ("Tianshou", TIANSHOU, ["tianshou"]),
        ("RLlib", RLLIB, ["ray[rllib]", "torch", "gymnasium"]),
        ("JAX", JAX, ["jax", "gymnasium"]),
    ],
)
def test_a_wrapper_of_the_page_acts_as_its_library(library, script, packages, tmp_path_factory, tmp_path):
    python = environment(tmp_path_factory, *packages) / "bin" / "python"
    (tmp_path / "training.py").write_text(TRAINING)
    saved = tmp_path / "saved"
    expected = returns_of(python, tmp_path, script.replace("FOLDER", repr(str(saved))))
    (tmp_path / "wrapped.py").write_text(re.sub(r'"/checkpoints/.*?"', repr(str(saved)), wrapper(library)))
    code = server_script().replace("import d3rlpy\n", "import wrapped\n")
    code = code.replace('policy = d3rlpy.load_learnable("model.d3")\n', "")
    code = code.replace(
        "[policy.predict(one[None])[0].tolist() for one in observations]", "wrapped.act(observations).tolist()"
    )
    assert "wrapped.act" in textwrap.dedent(code)
    judged_behind_a_server(python, tmp_path, expected, code)
