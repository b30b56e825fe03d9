"""The control loop on real parts: what a turn does, and what it says where something is away."""

import dataclasses
import math
import shutil
import threading
import time
from collections import Counter

import pytest

from rl_eval.cli import main
from rl_eval.errors import InputError
from rl_eval.production import heartbeats, review_queue
from rl_eval.production.audit import verify
from rl_eval.production.collection_config import FieldRule
from rl_eval.production.config import load_config
from rl_eval.production.loop import reviews
from rl_eval.production.loop.experience import split
from rl_eval.production.loop.loop import Loop
from rl_eval.production.loop.process import run_loop
from rl_eval.production.loop.versions import champion_of, local_run, register, register_run
from rl_eval.production.parts import open_parts
from rl_eval.production.queues import QueueError
from rl_eval.production.queues.later import AGAIN_S
from rl_eval.production.registry import Lineage
from rl_eval.production.review import ReviewBound
from rl_eval.production.review_queue import Review
from rl_eval.production.store import Training
from rl_eval.production.watch.figures import audit_tail, read_figures
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


def test_a_champion_that_serves_is_not_replaced_by_registering(parts, runs):
    register_run(parts, runs / "one", "ada", "champion")
    with pytest.raises(InputError, match=r"version 1 is the champion .*--as challenger.*promote CONFIG --reason"):
        register_run(parts, runs / "two", "ada", "champion")
    with pytest.raises(InputError, match="same policy as version 1, the champion"):
        register_run(parts, runs / "one", "ada")
    register_run(parts, runs / "two", "ada")
    with pytest.raises(InputError, match=r"version 2 is the challenger: .*abort"):
        register_run(parts, runs / "two", "ada", "challenger")
    assert (parts.registry.aliases(), list(parts.registry.versions())) == ({"champion": 1, "challenger": 2}, [1, 2])
    assert events(parts) == ["registered"] * 2


def test_a_version_that_its_proof_held_back_is_rolled_out_with_a_reason(parts, runs):
    register_run(parts, runs / "one", "ada")
    for name in ("two", "one"):
        parts.registry.register(runs / name, Lineage("data"))
    with pytest.raises(InputError, match=r"version 2 is registered already: .*--reason"):
        register(parts, "2", "ada")
    for number, said in (("1", "is the champion already"), ("3", "same policy as version 1"), ("9", "9")):
        with pytest.raises(InputError, match=said):
            register(parts, number, "ada", reason="sure")
    assert parts.registry.aliases() == {"champion": 1}
    assert register(parts, "2", "ada", reason="too little data for the proof")[1] == "challenger"
    assert parts.registry.aliases() == {"champion": 1, "challenger": 2}
    assert list(parts.registry.versions()) == [1, 2, 3]
    line = audit_tail(parts.audit.path)[0]
    assert (line.actor, line.event, line.facts["version"], line.facts["alias"], line.facts["reason"]) == (
        "ada", "registered", 2, "challenger", "too little data for the proof",
    )  # fmt: skip


def test_registering_and_watching_create_no_store(tmp_path, runs):
    config = load_config(write_config(tmp_path, **SECTIONS))
    with open_parts(config, create=False) as parts:
        register_run(parts, runs / "one", "ada")
        assert set(read_figures(parts, time.time()).faults) == {"store", "queue"}
        assert not list(config.path.rglob("*.sqlite*"))
        with open_parts(config):
            pass
        time.sleep(AGAIN_S)  # a queue that is away is not asked more often
        assert read_figures(parts, time.time()).faults == {}


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


def waiting_versions(parts):
    return Counter(review.version for review in review_queue.waiting(parts.store, 1_000))


def test_what_waits_for_a_person_follows_the_champion_and_its_bound(parts, runs):
    for name in ("one", "two"):
        parts.registry.register(runs / name, Lineage("data"))
    parts.registry.move({"champion": 1, "challenger": 2})
    rows = [("1", 0.6), ("1", 0.9), ("2", 0.6), ("3", 0.6)]
    asked = [Review(f"a{n}", 1e9 + n, version, 0, confidence) for n, (version, confidence) in enumerate(rows)]
    review_queue.ask(parts.store, asked)
    assert reviews.update_queue(parts, 2e9) == 0  # no bound yet
    assert waiting_versions(parts) == {"1": 2, "2": 1}  # 3 is neither champion nor challenger
    bound = ReviewBound(0.7, 0.05, 0.05, 400, 300, 2)
    number = parts.store.document("review_bound").number
    values = {**bound.to_json(), "champion": 1, "policy": None, "at": 2e9, "rewards": 0}
    parts.store.swap_document(number, values, "review_bound")
    reviews.update_queue(parts, 2e9)
    assert waiting_versions(parts) == {"1": 1, "2": 1}  # one of version 1 is above the bound
    parts.registry.move({"champion": 2, "challenger": None})
    reviews.update_queue(parts, 2e9)
    assert waiting_versions(parts) == {"2": 1}
    for _ in range(2):
        reviews.update_queue(parts, 2e9)
    left = [line.facts["left"] for line in audit_tail(parts.audit.path) if line.event == "review_left"]
    assert left == [1, 1, 1]
    assert parts.store.counts()[review_queue.LEFT] == 3


def test_the_newest_unsure_decisions_replace_the_oldest_in_a_full_queue(parts, runs):
    parts.registry.register(runs / "one", Lineage("data"))
    parts.registry.move({"champion": 1})
    loop = parts.config.loop.model_copy(update={"most_reviews": 10})
    few = dataclasses.replace(parts, config=parts.config.model_copy(update={"loop": loop}))
    values = {**ReviewBound(math.inf, 0.05, 0.05, 400, 0, 0).to_json(), "champion": 1, "policy": None, "rewards": 0}
    parts.store.swap_document(0, values, "review_bound")
    reviews.update_queue(few, 1e9)
    for first, version in ((0, "1"), (6, "1"), (12, "9"), (18, "1")):
        collect(parts, 6, version, first=first, at=1e9 + 1)
        reviews.update_queue(few, 1e9 + 100)
    waiting = [review.decision_id for review in review_queue.waiting(parts.store, 100)]
    assert waiting == [f"d{n}" for n in (8, 9, 10, 11, *range(18, 24))]  # version 9 is not the champion
    assert parts.store.counts()[review_queue.LEFT] == 8


def test_the_process_touches_its_file_and_ends_after_its_turns(tmp_path, monkeypatch):
    monkeypatch.setenv("RL_EVAL_ALIVE", str(tmp_path / "alive"))
    config = load_config(write_config(tmp_path, **{**SECTIONS, "loop": {"turn": 0.01}}))
    said = []
    run_loop(config, threading.Event(), collects=False, turns=2, say=said.append)
    assert (tmp_path / "alive").exists()
    assert len(said) == 1
    assert "has no champion" in said[0]


def test_reviews_and_signs_of_life_go_on_while_a_training_runs(parts, runs, monkeypatch):
    """The training here ends once a person was asked about a decision that came after its start."""
    parts.registry.register(runs / "one", Lineage("data"))
    parts.registry.move({"champion": 1})
    values = {**ReviewBound(math.inf, 0.05, 0.05, 400, 0, 0).to_json(), "champion": 1, "policy": None, "rewards": 0}
    parts.store.swap_document(0, values, "review_bound")
    section = parts.config.loop.model_copy(update={"turn": 0.01})
    quick = dataclasses.replace(parts, clock=lambda: 1e9, config=parts.config.model_copy(update={"loop": section}))
    reviews.update_queue(quick, 1e9)
    monkeypatch.setattr(heartbeats, "BEAT_S", 0.0)
    seen = []

    def training(*_):
        collect(parts, 5, at=1e9 + 1)
        beaten = read_signs(parts)
        end = time.monotonic() + 60
        while time.monotonic() < end and (len(seen) < 5 or read_signs(parts) == beaten):
            seen[:] = review_queue.waiting(parts.store, 10)
            time.sleep(0.01)
        seen.append(read_signs(parts) != beaten)
        raise InputError("it is over")

    loop = Loop(quick, lambda _: None)
    monkeypatch.setattr(loop.starter, "due", lambda: Training(1, "daily", "me", "running", 1e9, None, 0, 0, 5))
    monkeypatch.setattr("rl_eval.production.loop.loop.run_training", training)
    turn = loop.turn()
    assert turn.failures == {"training": "it is over"}
    assert (len(seen), seen[-1], turn.asked) == (6, True, 5)
    assert not [thread for thread in threading.enumerate() if thread.name == "review"]


def test_a_loop_whose_queue_cannot_be_read_begins_no_roll_out(parts, runs):
    class Away:
        def waiting(self):
            raise QueueError("the queue is away")

    register_run(parts, runs / "one", "ada")
    register_run(parts, runs / "two", "ada")
    turn = Loop(dataclasses.replace(parts, queue=Away()), lambda _: None).turn()
    assert (turn.decision.verdict, turn.decision.figure) == ("hold", "availability")
    assert parts.store.document().body.get("state", "idle") == "idle"
    assert Loop(parts, lambda _: None).turn().decision.sentence == "the roll-out has begun"


def read_signs(parts):
    return parts.store.document(heartbeats.DOCUMENT).body["loop"]["latest"]


def test_nothing_is_registered_as_challenger_while_a_version_is_pinned(parts, runs):
    register_run(parts, runs / "one", "ada")
    parts.registry.register(runs / "two", Lineage("data"))
    said = []
    loop = Loop(parts, said.append)
    loop.controller.command("pin", "incident", "ada", 1)
    for what in ("2", str(runs / "two")):
        with pytest.raises(InputError, match=r"version 1 is pinned \(incident\), .*production resume CONFIG --reason"):
            register(parts, what, "ada", reason="sure")
    assert (parts.registry.aliases(), list(parts.registry.versions())) == ({"champion": 1}, [1, 2])
    parts.registry.move({"challenger": 2})  # by a process that did not see the pin
    loop.turn()
    assert parts.registry.aliases() == {"champion": 1}
    (line,) = said
    assert line == (
        "roll-out: version 1 is pinned, so these aliases were undone: challenger of version 2, champion of version 1"
    )
    loop.controller.command("resume", "over", "ada")
    assert register(parts, "2", "ada", reason="sure")[1] == "challenger"


def test_a_run_without_an_alias_has_to_fit_the_config_too(parts, runs):
    for name in ("one", "two"):
        register_run(parts, runs / name, "ada")
    privacy = parts.config.privacy.model_copy(update={"features": {"99": FieldRule(action="drop")}})
    other = dataclasses.replace(parts, config=parts.config.model_copy(update={"privacy": privacy}))
    with pytest.raises(InputError, match="there is no feature '99'"):
        register_run(other, runs / "two", "ada")
    assert list(parts.registry.versions()) == [1, 2]


def test_a_version_is_registered_in_one_plain_sentence(tmp_path, runs, capsys):
    file = write_config(tmp_path)
    assert main(["production", "register", str(file), str(runs / "one")]) == 0
    assert f"{runs / 'one'} is version 1, policy " in " ".join(capsys.readouterr().out.split())
    with open_parts(load_config(file)) as parts:
        parts.registry.register(runs / "two", Lineage("data", policy="feed"))
    assert main(["production", "register", str(file), "2", "--reason", "sure"]) == 0
    assert " ".join(capsys.readouterr().out.split()) == "version 2, policy feed, is the challenger"
