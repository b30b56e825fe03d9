"""Random numbers of policies of other code follow from the seed, and leave those of the process alone."""

import random
import sys
from types import ModuleType, SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_eval.policy import StableBaselines3Policy, is_seeded, load
from rl_eval.policy._randomness import OwnRandomness
from tests.policy.policies import CARTPOLE, observations

DRAWS = {
    "random": lambda n: [random.randrange(2) for _ in range(n)],
    "numpy": lambda n: np.random.randint(0, 2, n),
    "torch": lambda n: torch.randint(0, 2, (n,)).numpy(),
}


def draw_each():
    return [DRAWS[name](50) for name in DRAWS]


@pytest.mark.parametrize("name", DRAWS)
def test_global_generators_are_a_policys_own(name):
    draw, own = DRAWS[name], OwnRandomness(5)
    draw(1)
    with own:
        one = list(draw(40))
    with own:
        two = list(draw(40))
    again, other = OwnRandomness(5), OwnRandomness(6)
    with again:
        assert list(draw(80)) == one + two
    with other:
        assert list(draw(80)) != one + two


@pytest.mark.parametrize("name", DRAWS)
def test_what_the_process_draws_is_unaffected(name):
    draw = DRAWS[name]

    def after(between):
        random.seed(3), np.random.seed(3), torch.manual_seed(3)
        first = list(draw(10))
        between()
        return first + list(draw(30))

    def use():
        with OwnRandomness(0):
            draw_each()

    assert after(use) == after(lambda: None)


@pytest.fixture
def module(monkeypatch):
    module = ModuleType("their_draws")
    monkeypatch.setitem(sys.modules, "their_draws", module)
    return module


class Seeded:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, obs):
        return self.rng.integers(0, 2, len(obs))


def made(seed):
    return Seeded(seed)


def test_functions_classes_and_factories_are_seeded(module):
    for name, draw in DRAWS.items():
        setattr(module, name, lambda obs, draw=draw: draw(len(obs)))
    module.kind, module.factory = Seeded, made
    obs = observations(60)
    for name in (*DRAWS, "kind", "factory"):
        draws = {
            seed: [load(f"python:their_draws:{name}", CARTPOLE, None, seed=seed, trust=True).act(obs, True).tolist()
                   for _ in range(2)]
            for seed in (0, 1)
        }  # fmt: skip
        assert draws[0][0] == draws[0][1]
        assert draws[1][0] == draws[1][1]
        assert draws[0][0] != draws[1][0]


def test_a_sampled_model_is_seeded():
    def predict(obs, state=None, episode_start=None, deterministic=False):
        return DRAWS["torch"](len(obs)) ^ DRAWS["numpy"](len(obs)), None

    obs = observations(60)
    one, same, other = (
        StableBaselines3Policy(SimpleNamespace(predict=predict), None, "sb3:x", CARTPOLE, s) for s in (1, 1, 2)
    )
    expected = one.act(obs, False).tolist()
    draw_each()
    assert same.act(obs, False).tolist() == expected
    assert other.act(obs, False).tolist() != expected


def test_only_policies_of_the_package_are_surely_seeded():
    assert [is_seeded(spec) for spec in ("random", "constant:1", "untrained", "baseline:x", "outputs/run")] == [
        True
    ] * 5
    assert not any(is_seeded(spec) for spec in ("python:a:b", "http://127.0.0.1/", "sb3:ppo:x.zip", "onnx:x.onnx"))


def test_a_model_of_stable_baselines3_samples_by_the_seed_of_the_suite(tmp_path):
    sb3 = pytest.importorskip("stable_baselines3")
    models = {
        "PPO": sb3.PPO("MlpPolicy", "CartPole-v1", seed=7, device="cpu"),
        "A2C": sb3.A2C("MlpPolicy", "CartPole-v1", seed=None, device="cpu"),
        "DQN": sb3.DQN("MlpPolicy", "CartPole-v1", buffer_size=10, device="cpu"),
    }
    models["DQN"].exploration_rate = 0.5
    obs = observations(60)
    fits = CARTPOLE.__class__("cartpole", gym.make("CartPole-v1").observation_space, gym.spaces.Discrete(2))
    for name, model in models.items():
        model.save(tmp_path / f"{name}.zip")
        acts = [
            load(f"sb3:{name}:{tmp_path / name}.zip", fits, None, seed=s, trust=True).act(obs, False).tolist()
            for s in (0, 0, 1)
        ]
        assert acts[0] == acts[1] != acts[2]
