"""The control loop on real parts: what it does, where it is killed, and what it says where something is away."""

import shutil
import threading
import time

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.production.audit import verify
from rl_eval.production.config import load_config
from rl_eval.production.loop import training as loop_training
from rl_eval.production.loop.experience import split
from rl_eval.production.loop.loop import Loop
from rl_eval.production.loop.process import run_loop
from rl_eval.production.loop.versions import champion_of, local_run, register_run
from rl_eval.production.parts import open_parts
from rl_eval.production.records import LoggedDecision, LoggedReward
from rl_eval.production.registry import RegistryError
from rl_eval.production.watch.figures import audit_tail
from tests.production.served import write_config
from tests.serving.served_runs import OBS

SECTIONS = {
    "trigger": {"daily": None, "experiences": 200, "least": 100, "drift": False, "monthly": None},
    "training": {"rounds": 1, "fisher_rows": 16},
    "proof": {"epsilon": None, "margin": 5.0, "least_effective": 2.0},
    "rollout": {"low": -10.0, "high": 10.0, "margin": 5.0},
    "loop": {"reference_episodes": 0, "wrong_below": 0.5},
}


@pytest.fixture
def parts(tmp_path):
    with open_parts(load_config(write_config(tmp_path, **SECTIONS))) as opened:
        yield opened


def collect(parts, count, version="1", first=0, at=1e9):
    """Decisions of a uniform policy between two actions, and their rewards; each unit once."""
    rng = np.random.default_rng(first)
    records = []
    for number in range(first, first + count):
        observation = np.asarray(OBS + rng.normal(0, 0.1, 4), np.float32).tobytes()
        action = np.int64(rng.integers(2))
        confidence = float(rng.uniform(0.5, 1.0))
        records += [
            LoggedDecision(f"d{number}", at + number, f"u{number}", version, observation, None, action.tobytes(), 0.5,
                           confidence, 0.0),
            LoggedReward(f"d{number}", float(action), at + number, True, False),
        ]  # fmt: skip
    parts.store.ingest(records, lambda pairs, before: [None] * len(pairs), at + first + count)


def events(parts):
    return [line.event for line in reversed(audit_tail(parts.audit.path, 50))]


def test_a_first_run_is_the_champion_and_a_second_one_the_challenger(parts, runs):
    first, alias = register_run(parts, runs / "one", "ada")
    second, other = register_run(parts, runs / "two", "ada")
    _, none = register_run(parts, runs / "two", "ada")
    assert (alias, other, none) == ("champion", "challenger", None)
    assert parts.registry.aliases() == {"champion": first.number, "challenger": second.number}
    assert champion_of(parts)[0] == first.number
    assert events(parts) == ["registered"] * 3


def test_a_run_of_another_width_is_no_challenger(parts, runs):
    register_run(parts, runs / "one", "ada")
    with pytest.raises(InputError, match=r"observes .*, and the champion"):
        register_run(parts, runs / "box", "ada")
    assert parts.registry.versions() == [1] or list(parts.registry.versions()) == [1]


def test_a_copy_that_somebody_changed_is_taken_anew_and_a_changed_version_refused(parts, runs):
    register_run(parts, runs / "one", "ada")
    copy = local_run(parts, 1)
    copy.path.with_suffix(".digest").write_text("of something else")
    assert local_run(parts, 1).path == copy.path
    shutil.rmtree(copy.path)
    (weights,) = (parts.registry.folder / "versions").rglob("policy.safetensors")
    weights.chmod(0o600)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(InputError, match="was changed"):
        local_run(parts, 1)
    assert "was changed" in Loop(parts, lambda _: None).turn().failures["review"]


def test_held_out_experience_is_a_share_by_unit_and_never_learned_from(parts):
    collect(parts, 1000)
    learned, kept = split(parts.store.accepted_since(), 0.3)
    assert len(learned) + len(kept) == 1000
    assert 0.25 < len(kept) / 1000 < 0.35
    assert not {one.decision.unit for one in learned} & {one.decision.unit for one in kept}
    assert split(parts.store.accepted_since(), 0.3) == (learned, kept)


def test_a_turn_trains_proves_registers_and_begins_a_roll_out(parts, runs):
    register_run(parts, runs / "one", "ada")
    collect(parts, 400)
    said = []
    turn = Loop(parts, said.append).turn()
    assert turn.failures == {}
    assert turn.trained is not None
    assert (turn.trained.decision, turn.trained.challenger) == ("PASS", True), said
    version = parts.registry.version(2)
    (training,) = parts.store.trainings(10)
    assert (version.lineage.parent, version.lineage.verdict["training"]) == (1, training.name)
    assert version.lineage.cost["wall_s"] > 0
    assert parts.registry.aliases() == {"champion": 1, "challenger": 2}
    assert parts.store.waiting() == 0
    assert events(parts) == ["registered", "trigger", "training_began", "proof", "registered", "challenger"]
    assert not verify(parts.audit.path).faults
    assert not list((parts.folder / "candidates").glob("training-*"))
    again = Loop(parts, said.append).turn()  # and it begins, once
    assert again.trained is None
    assert parts.store.document().body["state"] == "canary"


@pytest.mark.parametrize("where", ["learn_from_logs", "write_candidate", "prove", "_register", "_begin"])
def test_wherever_a_training_ends_the_next_process_finishes_it_once(parts, runs, monkeypatch, where):
    """As a kill: nothing after the end runs, not even what cleans up."""
    register_run(parts, runs / "one", "ada")
    collect(parts, 400)
    real, calls = getattr(loop_training, where), []

    class Killed(BaseException):
        pass

    def killed(*arguments, **keywords):
        result = real(*arguments, **keywords)  # it was done, and nobody heard
        calls.append(result)
        raise Killed

    monkeypatch.setattr(loop_training, where, killed)
    with pytest.raises(Killed):
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


def test_a_registry_that_is_away_is_one_line_however_long_it_lasts(parts, runs):
    register_run(parts, runs / "one", "ada")
    collect(parts, 400)
    away = parts.registry.folder.with_name("away")
    parts.registry.folder.rename(away)
    said = []
    loop = Loop(parts, said.append)
    for _ in range(3):
        turn = loop.turn()
        assert turn.decision.verdict == "hold"
    assert len([line for line in said if line.startswith("training:")]) == 1
    assert parts.store.trainings(5) == [] or parts.store.trainings(1)[0].state != "done"
    away.rename(parts.registry.folder)
    assert parts.registry.aliases() == {"champion": 1}


def test_low_confidence_goes_to_people_once_a_bound_is_calibrated(parts, runs):
    register_run(parts, runs / "one", "ada")
    loop = Loop(parts, lambda _: None)
    collect(parts, 90, at=time.time() - 100)
    loop.turn()
    assert parts.store.document("review_bound").number == 0  # too few
    collect(parts, 250, first=90, at=time.time() - 300)
    loop.turn()
    bound = parts.store.document("review_bound").body
    assert bound["champion"] == 1
    assert bound["decisions"] == 340
    assert bound["threshold"] is None  # half of the decisions are wrong, whatever the confidence
    collect(parts, 20, first=400, at=time.time() + 5)
    assert loop.turn().asked == 20
    assert loop.turn().asked == 0
    collect(parts, 10, first=500, at=time.time() + 30)
    assert Loop(parts, lambda _: None).turn().asked == 10  # another process goes on where this one ended


def test_the_process_touches_its_file_and_ends_after_its_turns(tmp_path, monkeypatch):
    monkeypatch.setenv("RL_EVAL_ALIVE", str(tmp_path / "alive"))
    config = load_config(write_config(tmp_path, **{**SECTIONS, "loop": {"turn": 0.01}}))
    said = []
    run_loop(config, threading.Event(), collects=False, turns=2, say=said.append)
    assert (tmp_path / "alive").exists()
    assert len(said) == 1
    assert "has no champion" in said[0]
