"""What a training has made is in the registry once."""

import pytest

from rl_eval.production.registry import Lineage, of_training, open_registry, register_once
from rl_eval.production.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store("sqlite:///store.sqlite", tmp_path)
    yield store
    store.close()


@pytest.mark.parametrize("dies", ["before it registers", "after it registered", "never"])
def test_what_a_training_made_is_registered_once_after_a_takeover(store, tmp_path, dies):
    registry = open_registry("folder", tmp_path / "registry", "triage")
    (tmp_path / "policy.onnx").write_bytes(b"policy")
    training = store.start_training("daily")
    if dies != "before it registers":
        register_once(registry, training.name, tmp_path / "policy.onnx", Lineage("sha256:a", verdict={"bar": 0.8}))
    if dies != "never":
        training = store.start_training("daily", lease=0.0)
        assert training.taken_over
    version = register_once(registry, training.name, tmp_path / "policy.onnx", Lineage("sha256:b"))
    store.finish_training(training, {"version": version.number})
    assert registry.versions() == [1]
    second = register_once(registry, store.start_training("daily").name, tmp_path / "policy.onnx", Lineage("sha256:c"))
    assert second.number == 2
    assert of_training(registry, training.name) == version
