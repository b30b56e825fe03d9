"""Masks: policies that have logits choose among legal actions, and an illegal action is the policy's mistake."""

import sys
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_eval import domains
from rl_eval.domains.gym import Config
from rl_eval.policy import Spaces, load
from rl_eval.rollout import EnvironmentFailure, PolicyFailure, play
from tests.masked_env import ACTIONS, legal_actions

CORRIDOR = Config(id="tests.masked_env:MaskedCorridor-v0")  # raises on illegal actions
SEEDS = range(20)
TAXI = max(name for name in gym.registry if name.startswith("Taxi-v"))  # Gymnasium has one version at a time


def played(spec, greedy=True):
    vector = domains.make(CORRIDOR, n_envs=3, part="test", autoreset=False)
    return play(vector, load(spec, Spaces.of(CORRIDOR, vector), CORRIDOR, trust=True), seeds=SEEDS, greedy=greedy)


class Net(torch.nn.Module):
    """Logits, which prefer other actions in other states."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(2, ACTIONS)

    def forward(self, x: torch.Tensor):
        return self.layer(x)


class SmallShares(Net):
    """Probabilities, of which three are 0."""

    def forward(self, x: torch.Tensor):
        return torch.nn.functional.one_hot(self.layer(x).argmax(1), 4).to(torch.float32)


class ActionToo(Net):
    def forward(self, x: torch.Tensor):
        logits = self.layer(x)
        return logits.argmax(1) + 3, logits


class ActionOnly(Net):
    def forward(self, x: torch.Tensor):
        return self.layer(x).argmax(1) + 3


def scripted(folder, module):
    torch.jit.script(module).save(str(folder / "net.pt"))
    return f"torchscript:{folder / 'net.pt'}"


def exported(folder, module, names):
    pytest.importorskip("onnxruntime")
    file, free = folder / f"{type(module).__name__}.onnx", {0: "N"}
    torch.onnx.export(
        module,
        (torch.zeros(1, 2),),
        str(file),
        input_names=["observations"],
        output_names=names,
        dynamic_axes=dict.fromkeys(["observations", *names], free),
        dynamo=False,
    )
    return f"onnx:{file}"


def fitted(folder):
    pytest.importorskip("sklearn")
    skops = pytest.importorskip("skops.io")
    from sklearn.naive_bayes import GaussianNB

    rng = np.random.default_rng(0)
    model = GaussianNB().fit(rng.normal(size=(40, 2)), rng.integers(3, 6, 40))  # has never seen action 6
    (folder / "model.skops").write_bytes(skops.dumps(model))
    return f"sklearn:{folder / 'model.skops'}"


FORMS = {
    "torchscript": lambda folder: scripted(folder, Net()),
    "onnx logits": lambda folder: exported(folder, Net(), ["logits"]),
    "onnx probabilities": lambda folder: exported(folder, SmallShares(), ["probabilities"]),
    "onnx action and logits": lambda folder: exported(folder, ActionToo(), ["action", "logits"]),
    "sklearn": fitted,
    "mean": lambda folder: f"ensemble:{exported(folder, Net(), ['logits'])}+{fitted(folder)}",
    "vote": lambda folder: f"ensemble:{scripted(folder, Net())}+constant:3",
}


@pytest.mark.filterwarnings("ignore")  # of torch, on the exporters that the guides use
@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
@pytest.mark.parametrize("form", FORMS)
def test_a_policy_with_logits_chooses_among_legal_actions(tmp_path, form, greedy):
    assert len(played(FORMS[form](tmp_path), greedy)) == len(SEEDS)


def test_the_legal_action_of_the_largest_logit_is_chosen(tmp_path):
    acting = load(scripted(tmp_path, Net()), Spaces("gym", *_spaces()), CORRIDOR, trust=True)
    obs = np.array([[position, step] for position in range(-6, 7) for step in range(12)], np.float32)
    mask = np.array([legal_actions(*row) for row in obs])
    with torch.inference_mode():
        logits = Net()(torch.as_tensor(obs)).numpy()
    expected = np.where(mask, logits, -np.inf).argmax(axis=1) + 3
    assert (expected != logits.argmax(axis=1) + 3).any()
    assert acting.act(obs, True, mask=mask).tolist() == expected.tolist()


def _spaces():
    vector = domains.make(CORRIDOR, n_envs=1, part="test", autoreset=False)
    return vector.single_observation_space, vector.single_action_space


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["onnx", "torchscript", "python"])
def test_an_illegal_action_is_the_policys_mistake(tmp_path, monkeypatch, form):
    module = ModuleType("their_masked_policy")
    module.act = lambda obs: np.full(len(obs), 4)
    monkeypatch.setitem(sys.modules, "their_masked_policy", module)
    spec = {
        "onnx": lambda: exported(tmp_path, ActionOnly(), ["action"]),
        "torchscript": lambda: scripted(tmp_path, ActionOnly()),
        "python": lambda: "python:their_masked_policy:act",
    }[form]()
    message = r"^the policy chose the action [3-6], which the mask forbids, and the environment failed with Assertion"
    with pytest.raises(PolicyFailure, match=message) as error:
        played(spec)
    assert "\n" not in str(error.value)


def test_an_environment_that_fails_on_legal_actions_is_named(monkeypatch):
    monkeypatch.setattr("tests.masked_env.Corridor._obs", lambda self: 1 / 0)
    with pytest.raises(EnvironmentFailure, match=r"^the environment failed with ZeroDivisionError"):
        played("random")


def test_an_illegal_action_that_the_environment_allows_is_played(monkeypatch):
    """As in Taxi, where it costs a step."""
    module = ModuleType("their_masked_policy")
    module.act = lambda obs: np.full(len(obs), 4)
    monkeypatch.setitem(sys.modules, "their_masked_policy", module)
    taxi = Config(id=TAXI, max_episode_steps=5)
    vector = domains.make(taxi, n_envs=2, part="test", autoreset=False)
    acting = load("python:their_masked_policy:act", Spaces.of(taxi, vector), taxi, trust=True)
    assert play(vector, acting, seeds=[1, 2]).lengths.tolist() == [5, 5]
