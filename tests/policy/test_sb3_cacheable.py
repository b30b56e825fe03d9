"""A verdict on a Stable-Baselines3 model is cached only where its pickles name nothing but installed code."""

import pickle
import sys
from importlib.machinery import PathFinder

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_eval import policy
from rl_eval.policy import _installed_code
from rl_eval.policy._pickle_names import UnreadablePickleError, pickle_names
from tests.policy.sb3_models import write_model


def is_cacheable(model, statistics=None):
    return policy.is_cacheable(f"sb3:ppo:{model}" + (f"+{statistics}" if statistics else ""))


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A module beside the suite, with a class and an environment."""
    (tmp_path / "their_code.py").write_text("class Extractor: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "their_code"


def test_a_model_as_the_library_saves_it_with_statistics_is_cached(tmp_path):
    env = VecNormalize(DummyVecEnv([lambda: gym.make("CartPole-v1")]))
    PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu").save(tmp_path / "model")
    env.save(tmp_path / "statistics.pkl")
    assert is_cacheable(tmp_path / "model")
    assert is_cacheable(tmp_path / "model.zip", tmp_path / "statistics.pkl")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_are_those_that_loading_looks_up(protocol):
    names = pickle_names(pickle.dumps([RunningMeanStd, np.dtype, RunningMeanStd], protocol))
    assert names.imported == {(RunningMeanStd.__module__, "RunningMeanStd"), ("numpy", "dtype")}


def by_reference(module, name):
    return f"c{module}\n{name}\n.".encode()


def with_text(text):
    return pickle.dumps({"env": text})


@pytest.mark.parametrize("of", ["a class", "an id", "a path"])
def test_a_model_whose_pickle_names_code_or_a_file_beside_the_suite_is_not_cached(tmp_path, own_module, of):
    content = {
        "a class": by_reference(own_module, "Extractor"),
        "an id": with_text(f"{own_module}:Env-v0"),
        "a path": with_text(str(tmp_path / "their_code.py")),
    }
    assert is_cacheable(write_model(tmp_path / "plain.zip", pickles={"policy_class": with_text(own_module)}))
    assert not is_cacheable(write_model(tmp_path / "model.zip", pickles={"policy_class": content[of]}))
    (tmp_path / "statistics.pkl").write_bytes(content[of])
    assert not is_cacheable(write_model(tmp_path / "plain.zip"), tmp_path / "statistics.pkl")


@pytest.mark.parametrize(
    "content",
    [
        cloudpickle.dumps(lambda left: left * 1e-3),
        by_reference("builtins", "eval"),
        by_reference("os", "system"),
        by_reference("torch.storage", "_load_from_bytes"),
        by_reference("a_package_that_is_not_there", "Class"),
        by_reference("__main__", "Class"),
    ],
    ids=["lambda", "eval", "os", "nested", "missing", "main"],
)
def test_a_model_with_code_as_a_value_or_what_loads_more_is_not_cached(tmp_path, content):
    assert not is_cacheable(write_model(tmp_path / "model.zip", pickles={"lr_schedule": content}))


@pytest.mark.parametrize(
    "content",
    [b"", b"no pickle", pickle.dumps([1])[:-1], pickle.dumps(1) + b"more", b"\x82\x01.", b"\x8c\x01a\x8c\x01b0N\x93."],
    ids=["empty", "text", "cut", "more", "extension", "computed"],
)
def test_a_model_that_cannot_be_scanned_is_not_cached(tmp_path, content):
    with pytest.raises(UnreadablePickleError):
        pickle_names(content)
    assert not is_cacheable(write_model(tmp_path / "model.zip", pickles={"lr_schedule": content}))


@pytest.mark.parametrize("entries", [{"more.pkl": b""}, {"critic.pth": b"old format"}], ids=str)
def test_a_model_with_other_entries_is_not_cached(tmp_path, entries):
    assert not is_cacheable(write_model(tmp_path / "model.zip", entries=entries))


def test_a_file_that_is_no_model_is_not_cached(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"PK no zip")
    assert not is_cacheable(tmp_path / "model.zip")
    assert not is_cacheable(tmp_path / "gone.zip")


def test_code_outside_of_the_folders_of_packages_is_not_installed(tmp_path, own_module, monkeypatch):
    assert all(map(_installed_code.is_installed, ("json", "sys", "numpy", "stable_baselines3")))
    assert not any(map(_installed_code.is_installed, (own_module, "tests", "__main__", "gone")))
    assert not _installed_code.is_elsewhere("gone")
    # an editable install: a finder leads to the sources, whatever metadata says
    real = PathFinder.find_spec

    class Editable:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return real(own_module, [str(tmp_path)]) if name == "editable_package" else None

    monkeypatch.setattr(sys, "meta_path", [Editable, *sys.meta_path])
    assert _installed_code.is_elsewhere("editable_package")


def test_a_module_in_the_folder_of_packages_that_no_package_owns_is_not_installed(tmp_path, own_module, monkeypatch):
    monkeypatch.setattr(_installed_code, "_folders", lambda: ([], [tmp_path]))
    assert not _installed_code.is_installed(own_module)
    monkeypatch.setattr(_installed_code, "_distributed", lambda: {own_module})
    assert _installed_code.is_installed(own_module)
