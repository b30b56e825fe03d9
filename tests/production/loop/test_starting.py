"""When a training begins: never beside a roll-out, and what is due meanwhile begins once it has ended."""

import dataclasses

import numpy as np

from rl_eval.production import states
from rl_eval.production.loop.starting import Starter
from rl_eval.production.loop.versions import register_run
from rl_eval.production.triggers import DOCUMENT
from tests.production.loop.traffic import collect, events


def row(parts, state):
    document = parts.store.document()
    assert parts.store.swap_document(document.number, {"state": state})


def triggered_by(parts, **trigger):
    changed = parts.config.trigger.model_copy(update=trigger)
    return dataclasses.replace(parts, config=parts.config.model_copy(update={"trigger": changed}))


def test_a_training_that_is_due_begins_once_no_roll_out_runs(parts, runs):
    register_run(parts, runs / "one", "ada")
    collect(parts, 250)
    starter = Starter(parts)
    for state in states.STATES:
        if state != "idle":
            row(parts, state)
            assert starter.due() is None
            assert state in starter.held_back
            assert parts.store.document(DOCUMENT).body["due"] == "experiences"
    assert (parts.store.trainings(), parts.store.waiting()) == ([], 250)
    collect(parts, 30, first=300)
    row(parts, "idle")
    training = Starter(parts).due()  # another process
    assert (training.kind, training.experiences) == ("experiences", 280)
    assert parts.store.document(DOCUMENT).body["due"] is None
    assert events(parts).count("trigger") == 1


def test_a_challenger_whose_roll_out_has_not_begun_holds_trainings_back_too(parts, runs):
    register_run(parts, runs / "one", "ada")
    register_run(parts, runs / "two", "ada")
    collect(parts, 250)
    starter = Starter(parts)
    assert starter.due() is None
    assert "version 2" in starter.held_back
    parts.registry.move({"challenger": None})
    assert starter.due() is not None
    assert starter.held_back == ""


def test_time_goes_on_while_a_roll_out_runs(parts, runs):
    register_run(parts, runs / "one", "ada")
    collect(parts, 150)
    now = [1e9]
    parts = dataclasses.replace(triggered_by(parts, daily=86_400.0), clock=lambda: now[0], steady=lambda: now[0])
    starter = Starter(parts)
    assert (starter.due(), starter.held_back) == (None, "")
    row(parts, "canary")
    now[0] += 86_400.0
    assert starter.due() is None
    assert "daily" in starter.held_back
    row(parts, "idle")
    assert starter.due().kind == "daily"


def test_drift_is_measured_from_the_champion_of_now(parts, runs):
    """What has drifted from the old champion's data is what the new one has learned from."""
    register_run(parts, runs / "one", "ada")
    starter = Starter(triggered_by(parts, drift=True, drift_pause=1e-9, experiences=None))
    collect(parts, 150)
    assert starter.compare(150)
    row(parts, "canary")
    assert starter.due() is None  # held back
    training = parts.store.start_training("experiences")
    parts.store.finish_training(training, {})
    version = parts.registry.version(1)
    lineage = dataclasses.replace(version.lineage, verdict={"training": training.name})
    new = parts.registry.register(runs / "two", lineage)
    collect(parts, 150, first=500)
    assert starter.compare(150)  # the same champion, so nothing is compared anew
    parts.registry.move({"champion": new.number})
    row(parts, "idle")
    assert starter.compare(150) == []
    assert starter.due() is None
    document = parts.store.document("drift").body
    assert (document["champion"], document["experiences"]) == (2, 150)
    assert np.isfinite(document["at"])
