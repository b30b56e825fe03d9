"""One training from the store: once, whatever dies when."""

import numpy as np
import pytest
import torch

from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.production import incremental
from rl_eval.production.incremental import observations_of_run, train_once
from rl_eval.production.learning_config import TrainingConfig
from rl_eval.production.proof import read_fisher
from rl_eval.production.records import LoggedDecision, LoggedReward
from rl_eval.production.registry import Lineage, of_training, open_registry, register_once
from rl_eval.production.store import Store, TrainingLostError, TrainingRunningError

torch.set_num_threads(1)
CONFIG = TrainingConfig(ewc_lambda=0.0, rounds=1, replay=0.5)


class KilledError(BaseException):
    """The process ends."""


def records(first, count):
    rng = np.random.default_rng(first)
    for number in range(first, first + count):
        obs = rng.normal(size=4).astype(np.float32).tobytes()
        yield LoggedDecision(
            f"d{number}", float(number), None, "v", obs, None, np.int64(number % 2).tobytes(), 0.5, 0.6, 0.0, False
        )
        yield LoggedReward(f"d{number}", 1.0, float(number), True, False)


@pytest.fixture
def store(tmp_path):
    store = Store("sqlite:///store.sqlite", tmp_path)
    store.ingest(list(records(0, 64)), lambda pairs, _: [None] * len(pairs), 100.0)
    yield store
    store.close()


@pytest.fixture
def champion(runs):
    return run.read_run(runs / "one")


def test_experience_is_trained_on_once_and_replayed_later(store, champion, tmp_path):
    first = train_once(store, champion, tmp_path, CONFIG, "daily")
    assert first.info["production"] | {"revision": None, "parent": None} == {
        "new": 64, "replayed": 0, "training": store.trainings()[0].name, "reason": "daily", "revision": None,
        "parent": None,
    }  # fmt: skip
    assert store.waiting() == 0
    assert train_once(store, champion, tmp_path, CONFIG, "daily") is None  # nothing new
    store.ingest(list(records(100, 40)), lambda pairs, _: [None] * len(pairs), 200.0)
    held = CONFIG.model_copy(update={"ewc_lambda": 1.0, "fisher_rows": 16})
    second = train_once(store, first, tmp_path, held, "drift")
    assert (second.info["production"]["new"], second.info["production"]["replayed"]) == (40, 20)
    assert second.info["init"]["run"] == str(first.path)
    assert read_fisher(second) is not None
    assert [training.state for training in store.trainings()] == ["done"] * 3


def test_the_monthly_training_starts_from_scratch_on_all_experience(store, champion, tmp_path):
    first = train_once(store, champion, tmp_path, CONFIG, "daily")
    config = CONFIG.model_copy(update={"full_rounds": 2})
    full = train_once(store, first, tmp_path, config, "monthly")  # there is nothing new, and it is trained all the same
    assert full.info["init"] is None
    assert (full.info["production"]["new"], full.info["production"]["parent"]) == (64, None)
    weights = [run.read_checkpoint(one.judged_snapshot(), "policy")[0] for one in (champion, first, full)]
    distance = [max(np.abs(a[key] - weights[0][key]).max() for key in a) for a in weights[1:]]
    assert distance[1] > 5 * distance[0]  # other first weights


@pytest.mark.parametrize("where", ["learn_from_logs", "write_candidate", "_finish"])
def test_a_kill_at_any_point_trains_nothing_twice(store, champion, tmp_path, monkeypatch, where):
    def killed(*_, **__):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(incremental, where, killed)
        with pytest.raises(KilledError):
            train_once(store, champion, tmp_path, CONFIG, "daily")
    with pytest.raises(TrainingRunningError):
        train_once(store, champion, tmp_path, CONFIG, "daily")
    learned = []
    learn = incremental.learn_from_logs
    monkeypatch.setattr(incremental, "learn_from_logs", lambda *a, **k: learned.append(1) or learn(*a, **k))
    short = CONFIG.model_copy(update={"lease": 1e-9})
    after = train_once(store, champion, tmp_path, short, "daily")
    assert len(learned) == (0 if where == "_finish" else 1)
    assert after.info["production"]["new"] == 64
    assert [training.state for training in store.trainings()] == ["done"]
    assert store.waiting() == 0


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


def test_a_training_of_a_new_store_does_not_take_what_the_first_one_left(store, champion, tmp_path):
    """Both are the first training of their store, and share a folder of candidates."""
    first = train_once(store, champion, tmp_path, CONFIG, "daily")
    other = Store("sqlite:///other.sqlite", tmp_path)
    other.ingest(list(records(200, 48)), lambda pairs, _: [None] * len(pairs), 100.0)
    second = train_once(other, champion, tmp_path, CONFIG, "daily")
    assert store.trainings()[0].id == other.trainings()[0].id
    other.close()
    assert second.path != first.path
    assert second.info["production"]["new"] == 48


def test_numbers_that_are_not_finite_are_not_trained_on_again(store, champion, tmp_path, monkeypatch):
    def diverges(*_, **__):
        raise FloatingPointError("value_loss is nan")

    monkeypatch.setattr(incremental, "learn_from_logs", diverges)
    assert train_once(store, champion, tmp_path, CONFIG, "daily") is None
    assert store.trainings()[0].result == {"candidate": None, "reason": "value_loss is nan"}
    assert store.waiting() == 0


def test_a_champion_that_cannot_learn_leaves_the_experience_free(store, champion, tmp_path):
    with pytest.raises(InputError, match="learned before"):
        train_once(store, champion, tmp_path, TrainingConfig(), "daily")  # nothing is known of what it learned
    assert store.waiting() == 64
    assert store.trainings()[0].state == "failed"


def test_a_training_that_somebody_took_over_says_so(store, champion, tmp_path, monkeypatch):
    learn = incremental.learn_from_logs

    def slow(*args, **keywords):
        store.start_training("daily", lease=1e-9)
        return learn(*args, **keywords)

    monkeypatch.setattr(incremental, "learn_from_logs", slow)
    with pytest.raises(TrainingLostError):
        train_once(store, champion, tmp_path, CONFIG, "daily")


@pytest.mark.parametrize("name", ["one", "box"])
def test_observations_of_a_run_let_its_first_training_hold_weights(store, runs, tmp_path, name):
    champion = run.read_run(runs / name)
    known = observations_of_run(champion, 50)
    assert known.shape == (50, 4 if name == "one" else 3)
    assert len(np.unique(known, axis=0)) > 40
    if name == "one":
        held = TrainingConfig(rounds=1, fisher_rows=16)
        assert read_fisher(train_once(store, champion, tmp_path, held, "daily", known=known)) is not None
