"""`sb3:`: models of Stable-Baselines3."""

import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_eval.domains import cartpole
from rl_eval.errors import InputError
from rl_eval.policy import Spaces, identity, load, notes
from rl_eval.policy._sb3_files import SAME, algorithm_of
from rl_eval.rollout import play
from tests.policy.policies import BOX, CARTPOLE, observations, refused, spaces


@pytest.fixture(scope="module")
def sb3(tmp_path_factory):
    """A PPO that trained a little on normalised CartPole, its environment, and its files."""
    pytest.importorskip("stable_baselines3")
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sb3")
    normalized = VecNormalize(DummyVecEnv([lambda: gym.make("CartPole-v1")]), clip_obs=2.0)
    model = PPO("MlpPolicy", normalized, n_steps=128, batch_size=64, n_epochs=2, seed=0, device="cpu").learn(256)
    model.save(folder / "model.zip")
    normalized.save(str(folder / "vecnormalize.pkl"))
    return SimpleNamespace(
        model=model, normalized=normalized, zip=folder / "model.zip", pkl=folder / "vecnormalize.pkl"
    )


def test_a_model_of_stable_baselines3_acts_as_it_does_there(sb3):
    obs = observations(400)
    normalized = sb3.normalized.normalize_obs(obs)
    assert np.abs(normalized - obs).max() > 0.1  # the statistics matter
    with_statistics = load(f"sb3:ppo:{sb3.zip}+{sb3.pkl}", CARTPOLE, None, trust=True)
    without = load(f"sb3:PPO:{sb3.zip}", CARTPOLE, None, trust=True)
    expected, plain = (sb3.model.predict(o, deterministic=True)[0] for o in (normalized, obs))
    assert np.array_equal(with_statistics.act(obs, True), expected)
    assert np.array_equal(without.act(obs, True), plain)
    assert not np.array_equal(expected, plain)
    assert len(set(expected.tolist())) == 2
    sampled = with_statistics.act(obs, False)
    assert not np.array_equal(sampled, expected)
    assert np.array_equal(with_statistics.act(obs, True), expected)  # judging does not move the statistics


def test_paths_may_hold_any_character(sb3, tmp_path):
    folder = tmp_path / "a+b=c,d:e #f"
    folder.mkdir()
    model, statistics = folder / "m+1.zip", folder / "v+2.pkl"
    shutil.copy(sb3.zip, model)
    shutil.copy(sb3.pkl, statistics)
    obs = observations(10)
    for original, copied in ((f"{sb3.zip}", f"{model}"), (f"{sb3.zip}+{sb3.pkl}", f"{model}+{statistics}")):
        one, other = (load(f"sb3:ppo:{files}", CARTPOLE, None, trust=True) for files in (original, copied))
        assert np.array_equal(one.act(obs, True), other.act(obs, True))
        assert identity(f"sb3:ppo:{original}") == identity(f"sb3:ppo:{copied}")
    refused(r"the file .*/nowhere\.pkl does not exist", f"sb3:ppo:{model}+{folder}/nowhere.pkl")
    refused(r"the file .*/no\.zip does not exist", f"sb3:ppo:{folder}/no.zip+{statistics}")


def test_a_model_of_stable_baselines3_plays(sb3):
    envs = cartpole.DOMAIN.make(cartpole.Config(), n_envs=3, part="test", autoreset=False)
    acting = load(f"sb3:ppo:{sb3.zip}+{sb3.pkl}", Spaces.of(cartpole.Config(), envs), None, trust=True)
    assert (play(envs, acting, seeds=range(5)).lengths > 0).all()


def test_a_model_of_stable_baselines3_needs_trust(sb3, monkeypatch):
    monkeypatch.setattr("pickle.loads", lambda *_: pytest.fail("it was unpickled"))
    message = r"is a pickle, which can run code when it is read: add --trust .*--rl-trust"
    refused(message, f"sb3:ppo:{sb3.zip}+{sb3.pkl}", trust=False)
    refused(message, "sb3:ppo:nowhere.zip", trust=False)


def test_a_model_of_stable_baselines3_that_does_not_fit_is_reported(sb3, tmp_path, monkeypatch):
    (tmp_path / "junk.zip").write_bytes(sb3.zip.read_bytes()[:500])
    (tmp_path / "junk.pkl").write_bytes(b"junk")
    refused(r"the file nowhere\.zip does not exist$", "sb3:ppo:nowhere.zip")
    refused(r"the file nowhere\.pkl does not exist$", f"sb3:ppo:{sb3.zip}+nowhere.pkl")
    monkeypatch.setitem(sys.modules, "sb3_contrib", ModuleType("sb3_contrib"))
    refused(r"'wings' is not an algorithm of Stable-Baselines3 \(ppo, .*\) or sb3-contrib", f"sb3:wings:{sb3.zip}")
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    refused(r"needs sb3_contrib, .*: pip install 'rl_eval\[sb3\]'$", f"sb3:recurrentppo:{sb3.zip}")
    refused(r"cannot be read: ", f"sb3:ppo:{tmp_path / 'junk.zip'}")
    refused(r"cannot be read: ", f"sb3:ppo:{sb3.zip}+{tmp_path / 'junk.pkl'}")
    refused(
        r"maps Box.* to Discrete\(2\), but cartpole has Box.* and Box.*: name a model of cartpole$",
        f"sb3:ppo:{sb3.zip}",
        action=BOX,
    )
    with pytest.raises(InputError, match=r"but cartpole has Box\(-1\.0, 1\.0, \(8,\), float32\)"):
        load(f"sb3:ppo:{sb3.zip}", spaces(CARTPOLE.action, obs=gym.spaces.Box(-1, 1, (8,))), None, trust=True)


def test_without_stable_baselines3_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    Path(tmp_path / "model.zip").write_bytes(b"")
    refused(r"needs stable_baselines3, .*: pip install 'rl_eval\[sb3\]'$", f"sb3:ppo:{tmp_path / 'model.zip'}")


def test_a_model_of_another_algorithm_is_named_as_what_it_is(sb3):
    refused(r"the file holds a model of ppo, not of dqn: name it sb3:ppo:.*/model\.zip$", f"sb3:dqn:{sb3.zip}")
    refused(r"the file holds a model of ppo, not of A2C: name it sb3:ppo:", f"sb3:A2C:{sb3.zip}")


@pytest.mark.parametrize("library", ["stable_baselines3", "sb3_contrib"])
def test_every_algorithm_is_recognised_by_its_file(library, tmp_path):
    package = pytest.importorskip(library)
    continuous = {"DDPG", "TD3", "SAC", "TQC", "CrossQ"}
    names = [name for name in package.__all__ if hasattr(getattr(package, name), "predict")]
    assert len(names) >= 6
    for name in names:
        env = "Pendulum-v1" if name in continuous else "CartPole-v1"
        small = {"buffer_size": 10} if name in {*continuous, "DQN", "QRDQN"} else {}
        policy = "MlpLstmPolicy" if name == "RecurrentPPO" else "MlpPolicy"
        getattr(package, name)(policy, env, device="cpu", **small).save(tmp_path / name)
        assert algorithm_of(str(tmp_path / f"{name}.zip")) == SAME.get(name.lower(), name.lower())


def test_statistics_beside_a_model_are_mentioned_where_they_are_not_named(sb3, tmp_path):
    assert notes(f"sb3:ppo:{sb3.zip}+{sb3.pkl}") == ()
    (note,) = notes(f"sb3:ppo:{str(sb3.zip).removesuffix('.zip')}")
    assert re.fullmatch(
        r"\S*vecnormalize\.pkl is next to the model and is not used; \+\S*vecnormalize\.pkl adds it", note
    )
    assert notes(f"sb3:ppo:{sb3.zip.with_name('nowhere')}") == ()
    shutil.copy(sb3.zip, tmp_path / "model.zip")
    assert notes(f"sb3:ppo:{tmp_path / 'model.zip'}") == ()


def test_an_action_that_the_environment_does_not_have_is_refused(sb3):
    acting = load(f"sb3:ppo:{sb3.zip}", CARTPOLE, None, trust=True)
    acting._model.predict = lambda *_, **__: (np.array([2]), None)
    with pytest.raises(InputError, match=r"^policy sb3:ppo:.* returned the int64 action 2 for observation 0 of 3"):
        acting.act(observations(3), True)
