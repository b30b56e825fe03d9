"""The control loop on real parts: what a turn does, and what it says where something is away."""

import dataclasses
import shutil
import threading
import time

import pytest

from rl_eval.errors import InputError
from rl_eval.production.audit import verify
from rl_eval.production.config import load_config
from rl_eval.production.loop.experience import split
from rl_eval.production.loop.loop import Loop
from rl_eval.production.loop.process import run_loop
from rl_eval.production.loop.versions import champion_of, local_run, register_run
from tests.production.loop.traffic import SECTIONS, collect, events
from tests.production.served import write_config


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
    collect(parts, 250)
    assert "was changed" in Loop(parts, lambda _: None).turn().failures["training"]


def test_held_out_experience_is_a_share_by_unit_and_never_learned_from(parts):
    collect(parts, 1000)
    learned, kept = split(parts.store.accepted(), 0.3)
    assert len(learned) + len(kept) == 1000
    assert 0.25 < len(kept) / 1000 < 0.35
    assert not {one.decision.unit for one in learned} & {one.decision.unit for one in kept}
    assert split(parts.store.accepted(), 0.3) == (learned, kept)


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
    begin = time.time() + 10
    loop = Loop(dataclasses.replace(parts, clock=lambda: begin + 1_000), lambda _: None)
    collect(parts, 300, first=3_000, at=begin - 4_000)  # before it was registered, so another one decided
    collect(parts, 90, at=begin)
    loop.turn()
    assert parts.store.document("review_bound").number == 0  # too few
    collect(parts, 250, first=90, at=begin)
    loop.turn()
    bound = parts.store.document("review_bound").body
    assert bound["champion"] == 1
    assert bound["decisions"] == 340
    assert bound["threshold"] is None  # half of the decisions are wrong, whatever the confidence
    collect(parts, 20, first=400, at=begin + 1_000)
    assert loop.turn().asked == 20
    assert loop.turn().asked == 0
    collect(parts, 10, first=500, at=begin + 1_000)
    another = Loop(dataclasses.replace(parts, clock=lambda: begin + 2_000), lambda _: None)
    assert another.turn().asked == 10  # it goes on where this one ended


def test_the_process_touches_its_file_and_ends_after_its_turns(tmp_path, monkeypatch):
    monkeypatch.setenv("RL_EVAL_ALIVE", str(tmp_path / "alive"))
    config = load_config(write_config(tmp_path, **{**SECTIONS, "loop": {"turn": 0.01}}))
    said = []
    run_loop(config, threading.Event(), collects=False, turns=2, say=said.append)
    assert (tmp_path / "alive").exists()
    assert len(said) == 1
    assert "has no champion" in said[0]
