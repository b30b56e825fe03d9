"""One training of the loop: once, whatever dies when, and never at the cost of experience."""

import dataclasses
import time

import numpy as np
import pytest

from rl_eval import run as run_files
from rl_eval.production.audit import verify
from rl_eval.production.config import load_config
from rl_eval.production.loop import training as loop_training
from rl_eval.production.loop.loop import Loop
from rl_eval.production.loop.training import run_training
from rl_eval.production.loop.versions import local_run, register_run
from rl_eval.production.parts import open_parts
from rl_eval.production.proof import read_fisher
from rl_eval.production.registry import RegistryError
from rl_eval.production.store import TrainingLostError
from tests.production.loop.traffic import SECTIONS, collect, events
from tests.production.served import write_config


class KilledError(BaseException):
    """The process ends."""


def train(parts, kind="experiences", **settings):
    """One training from its start to its end."""
    changed = parts.config.training.model_copy(update=settings)
    parts = dataclasses.replace(parts, config=parts.config.model_copy(update={"training": changed}))
    return run_training(parts, parts.store.start_training(kind, lease=0.0))


def test_experience_is_trained_on_once_and_replayed_later(parts, runs):
    register_run(parts, runs / "one", "ada")
    collect(parts, 200)
    train(parts, ewc_lambda=0.0, replay=0.5)
    first = local_run(parts, 2)
    learned = first.info["production"]["new"]
    assert 140 <= learned < 200  # the rest is held out
    assert first.info["production"]["replayed"] == 0
    assert parts.store.waiting() == 0
    parts.registry.move({"champion": 2, "challenger": None})
    collect(parts, 100, first=300)
    train(parts, ewc_lambda=1.0, replay=0.5)
    second = local_run(parts, 3)
    new = second.info["production"]["new"]
    assert 65 <= new < 100
    assert second.info["production"]["replayed"] == round(0.5 * new)
    assert read_fisher(second) is not None
    assert [training.state for training in parts.store.trainings()] == ["done"] * 2


def test_the_monthly_training_starts_from_scratch_on_all_experience(parts, runs):
    register_run(parts, runs / "one", "ada")
    collect(parts, 200)
    train(parts, ewc_lambda=0.0)
    parts.registry.move({"champion": 2, "challenger": None})
    train(parts, "monthly", full_rounds=2)  # there is nothing new, and it is trained all the same
    champion, first, full = (local_run(parts, number) for number in (1, 2, 3))
    assert full.info["init"] is None
    assert (full.info["production"]["new"], full.info["production"]["parent"]) == (
        first.info["production"]["new"], None,
    )  # fmt: skip
    assert parts.registry.version(3).lineage.parent is None
    weights = [run_files.read_checkpoint(one.judged_snapshot(), "policy")[0] for one in (champion, first, full)]
    distance = [max(np.abs(a[key] - weights[0][key]).max() for key in a) for a in weights[1:]]
    assert distance[1] > 5 * distance[0]  # other first weights


@pytest.mark.parametrize("where", ["learn_from_logs", "write_candidate", "prove", "_register", "_begin"])
def test_wherever_a_training_ends_the_next_process_finishes_it_once(parts, runs, monkeypatch, where):
    """As a kill: nothing after the end runs, not even what cleans up."""
    register_run(parts, runs / "one", "ada")
    collect(parts, 400)
    real, calls = getattr(loop_training, where), []

    def killed(*arguments, **keywords):
        result = real(*arguments, **keywords)  # it was done, and nobody heard
        calls.append(result)
        raise KilledError

    monkeypatch.setattr(loop_training, where, killed)
    with pytest.raises(KilledError):
        Loop(parts, lambda _: None).turn()
    monkeypatch.undo()
    (training,) = parts.store.trainings(5)
    assert training.state == "running"
    assert Loop(parts, lambda _: None).turn().trained is None  # its lease lasts
    parts.store.renew_training(training, now=1.0)  # and now it was silent for long
    turn = Loop(parts, lambda _: None).turn()
    assert turn.failures == {}
    (training,) = parts.store.trainings(5)
    assert (training.state, training.experiences) == ("done", 400)
    assert list(parts.registry.versions()) == [1, 2]
    assert parts.registry.aliases() == {"champion": 1, "challenger": 2}
    assert events(parts).count("challenger") in (1, 2)
    assert not verify(parts.audit.path).faults


def test_a_training_that_fails_frees_its_experience_and_the_champion_stays(parts, runs, monkeypatch):
    register_run(parts, runs / "one", "ada")
    collect(parts, 400)

    def fails(*_, **__):
        raise FloatingPointError("a loss is not finite")

    monkeypatch.setattr(loop_training, "learn_from_logs", fails)
    said = []
    turn = Loop(parts, said.append).turn()
    assert turn.failures == {"training": "training 1 failed: a loss is not finite"}
    assert said == ["training 1 (experiences) on 400 experiences", "training: training 1 failed: a loss is not finite"]
    assert (parts.store.trainings(1)[0].state, parts.store.waiting()) == ("failed", 400)
    assert parts.registry.aliases() == {"champion": 1}
    assert events(parts)[-1] == "training_failed"
    assert Loop(parts, said.append).turn().failures == {}  # and it is not tried again at once
    assert len(parts.store.trainings(5)) == 1


def test_a_registry_that_cannot_be_written_costs_no_second_training(parts, runs, monkeypatch):
    register_run(parts, runs / "one", "ada")
    collect(parts, 400)

    def read_only(*_, **__):
        raise RegistryError("the registry cannot be written")

    monkeypatch.setattr(type(parts.registry), "register", read_only)
    turn = Loop(parts, lambda _: None).turn()
    assert turn.failures == {"training": "the registry cannot be written"}
    monkeypatch.undo()
    monkeypatch.setattr(loop_training, "learn_from_logs", read_only)  # nothing is learned again
    (training,) = parts.store.trainings(5)
    assert training.state == "running"
    parts.store.renew_training(training, now=1.0)
    turn = Loop(parts, lambda _: None).turn()
    assert turn.failures == {}
    assert turn.trained.version == 2
    assert parts.registry.aliases() == {"champion": 1, "challenger": 2}


def test_a_training_of_a_new_store_does_not_take_what_the_first_one_left(parts, runs, tmp_path, monkeypatch):
    """Both are the first training of their store, and share a folder of candidates."""
    register_run(parts, runs / "one", "ada")
    collect(parts, 200)

    def killed(*_, **__):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop_training, "prove", killed)
        with pytest.raises(KilledError):
            train(parts)
    other = load_config(write_config(tmp_path, **SECTIONS, collect={"store": "sqlite:///other.sqlite"}))
    with open_parts(other) as second:
        collect(second, 150, first=500)
        train(second)
        assert parts.store.trainings()[0].id == second.store.trainings()[0].id
        assert 100 <= local_run(second, 2).info["production"]["new"] < 150


def test_whoever_has_lost_a_training_registers_nothing(parts, runs, monkeypatch):
    register_run(parts, runs / "one", "ada")
    collect(parts, 200)
    prove = loop_training.prove

    def slow(*args, **keywords):
        parts.store.start_training("experiences", lease=0.0)  # by another process
        return prove(*args, **keywords)

    monkeypatch.setattr(loop_training, "prove", slow)
    with pytest.raises(TrainingLostError):
        train(parts)
    assert list(parts.registry.versions()) == [1]


def registers(parts, runs):
    register_run(parts, runs / "two", "ada")


def promotes(parts, runs):
    number = register_run(parts, runs / "two", "ada")[0].number
    parts.registry.move({"champion": number, "challenger": None})


@pytest.mark.parametrize("person", [registers, promotes])
def test_what_passes_and_is_outdated_by_then_costs_no_experience(parts, runs, monkeypatch, person):
    register_run(parts, runs / "one", "ada")
    collect(parts, 400)
    prove = loop_training.prove

    def meanwhile(*args, **keywords):
        person(parts, runs)
        return prove(*args, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(loop_training, "prove", meanwhile)
        loop = Loop(parts, lambda _: None)
        trained = loop.turn().trained
    assert (trained.decision, trained.challenger, trained.outdated) == ("PASS", False, True)
    assert trained.version == 3
    assert 3 not in parts.registry.aliases().values()
    assert (parts.store.trainings(1)[0].state, parts.store.waiting()) == ("failed", 400)
    assert events(parts)[-1] == "candidate_outdated"
    later = Loop(dataclasses.replace(parts, clock=lambda: time.time() + 1_000), lambda _: None)
    if person is registers:
        assert later.turn().trained is None
        assert "canary" in later.starter.held_back
        later.controller.command("abort", "not this one", "ada")
    again = later.turn().trained
    assert (again.version, again.challenger) == (4, True)
    assert parts.store.waiting() == 0
    assert parts.registry.version(4).lineage.parent == (1 if person is registers else 2)


def test_a_takeover_does_not_roll_out_what_was_proved_against_another_champion(parts, runs, monkeypatch):
    register_run(parts, runs / "one", "ada")
    collect(parts, 400)

    def killed(*_, **__):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop_training, "_begin", killed)
        with pytest.raises(KilledError):
            train(parts)
    promotes(parts, runs)
    assert train(parts).outdated
    assert parts.registry.aliases() == {"champion": 3}
