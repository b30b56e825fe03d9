"""The store, the same on SQLite and PostgreSQL: records once, experience once, trainings once, documents by swap."""

import random
import threading

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.production.records import LoggedDecision, LoggedReward
from rl_eval.production.store import Store, TrainingLostError, TrainingRunningError, UnavailableError

OBS = np.arange(4, dtype=np.float32)


def decision(number, at=None, unit=None, version="1", **changes):
    values = {
        "decision_id": f"d{number}", "at": 1000.0 + number if at is None else at, "unit": unit, "version": version,
        "observation": (OBS + number).tobytes(), "mask": None, "action": np.int64(number % 2).tobytes(),
        "propensity": 0.5, "confidence": 0.7, "value": 1.0, "shadow": False,
    }  # fmt: skip
    return LoggedDecision(**{**values, **changes})


def reward(number, value=1.0, at=2000.0):
    return LoggedReward(f"d{number}", value, at, True, False)


def accept(pairs, earlier):
    return [None] * len(pairs)


@pytest.fixture
def store(store_address, tmp_path):
    store = Store(store_address, tmp_path)
    yield store
    store.close()


def test_experience_is_whole_once_both_halves_are_there_in_any_order(store):
    rng = random.Random(0)
    records = [decision(i) for i in range(60)] + [reward(i, float(i)) for i in range(50)]
    rng.shuffle(records)
    while records:
        part, records = records[:7], records[7:]
        store.ingest(part, accept, 5000.0)
        store.ingest(part, accept, 5000.0)  # a second delivery
    experience = store.accepted()
    assert sorted(one.decision.decision_id for one in experience) == sorted(f"d{i}" for i in range(50))
    assert [one.seq for one in experience] == sorted(one.seq for one in experience)
    assert all(one.reward.reward == float(one.decision.decision_id[1:]) for one in experience)
    assert experience[0].decision == decision(int(experience[0].decision.decision_id[1:]))
    counts = store.counts()
    assert (counts["decisions"], counts["rewards"], counts["accepted"], counts["duplicates"]) == (60, 50, 50, 110)
    assert store.accepted(before=experience[9].seq) == experience[:9]
    assert store.accepted(limit=3) == experience[-3:]


def test_shadow_decisions_are_no_experience(store):
    store.ingest([decision(1), decision(1, decision_id="d1~shadow", shadow=True), reward(1)], accept, 1.0)
    assert len(store.accepted()) == 1
    assert [(one.shadow, one.reward) for one in store.outcomes()] == [(False, 1.0), (True, None)]


def test_refusals_are_counted_by_reason_and_never_trained(store):
    store.ingest(
        [decision(i) for i in range(3)] + [reward(i) for i in range(3)], lambda p, e: [None, "range", "shift"], 1.0
    )
    assert len(store.accepted()) == store.waiting() == 1
    assert {k: v for k, v in store.counts().items() if k.startswith("refused")} == {
        "refused.range": 1,
        "refused.shift": 1,
    }


def test_two_rewards_of_one_decision_are_a_conflict_in_every_order(store):
    store.ingest([decision(1), reward(1, 1.0), reward(1, 2.0)], accept, 1.0)
    store.ingest([decision(2), reward(2, 1.0)], accept, 1.0)
    store.ingest([reward(2, 2.0)], accept, 1.0)
    store.ingest([reward(3, 1.0)], accept, 1.0)
    store.ingest([reward(3, 2.0)], accept, 1.0)
    store.ingest([decision(3)], accept, 1.0)
    assert store.accepted() == []
    assert store.counts()["refused.conflict"] == 3
    assert store.counts()["accepted"] == 0


def test_outcomes_are_in_the_order_of_the_decisions(store):
    store.ingest([decision(i, at=float(i // 2)) for i in range(10)], accept, 1.0)
    store.ingest([reward(3)], accept, 1.0)
    first = store.outcomes(limit=4)
    rest = store.outcomes(after=(first[-1].at, first[-1].decision_id))
    assert [one.decision_id for one in first + rest] == [f"d{i}" for i in range(10)]
    assert [one.reward for one in first] == [None, None, None, 1.0]
    assert len(store.outcomes(before=2.0)) == 4


def test_experience_is_in_one_training(store):
    store.ingest([decision(i) for i in range(5)] + [reward(i) for i in range(5)], accept, 1.0)
    first = store.start_training("incremental", now=100.0, most=3)
    assert [one.decision.decision_id for one in store.experiences_of(first)] == ["d0", "d1", "d2"]
    with pytest.raises(TrainingRunningError, match="is running"):
        store.start_training("incremental", now=101.0)
    store.finish_training(first, {"loss": 1.0}, now=110.0)
    with pytest.raises(TrainingLostError):
        store.finish_training(first, {})
    second = store.start_training("incremental", now=120.0)
    assert [one.decision.decision_id for one in store.experiences_of(second)] == ["d3", "d4"]
    store.finish_training(second, {}, failed=True, now=121.0)
    third = store.start_training("incremental", now=130.0)
    assert third.experiences == 2
    assert [one.state for one in store.trainings()] == ["running", "failed", "done"]


@pytest.mark.parametrize("later", [700.0, -90_000.0])
def test_a_training_that_fell_silent_is_taken_over_with_the_same_experience(store, later):
    """Also where the clock was set back by a day."""
    store.ingest([decision(1), reward(1)], accept, 1.0)
    dead = store.start_training("incremental", now=100_000.0)
    store.renew_training(dead, now=100_001.0)
    store.ingest([decision(2), reward(2)], accept, 1.0)
    heir = store.start_training("incremental", now=100_001.0 + later)
    assert heir.taken_over
    assert heir.id == dead.id
    assert [one.decision.decision_id for one in store.experiences_of(heir)] == ["d1"]
    for lost in (store.renew_training, lambda training: store.finish_training(training, {})):
        with pytest.raises(TrainingLostError, match="taken over by another process"):
            lost(dead)
    store.finish_training(heir, {})
    assert store.waiting() == 1


def test_of_many_writers_one_swaps(store):
    wins = []

    def swap(number):
        if store.swap_document(0, {"writer": number}):
            wins.append(number)

    threads = [threading.Thread(target=swap, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert store.document().body == {"writer": wins[0]}
    assert store.document().number == 1
    assert store.swap_document(1, {"writer": 9})
    assert not store.swap_document(1, {"writer": 8})


def test_two_collectors_at_once_miss_no_pair(store, store_address, tmp_path):
    other = Store(store_address, tmp_path)
    halves = [[decision(i) for i in range(40)], [reward(i) for i in range(40)]]

    def ingest(mine, records):
        for record in records:
            mine.ingest([record], accept, 1.0)

    threads = [threading.Thread(target=ingest, args=pair) for pair in zip((store, other), halves, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert len(store.accepted()) == 40


def test_rewards_of_decisions_nobody_made_are_counted_and_removed(store):
    store.ingest([reward(1), reward(2)], accept, 100.0)
    store.ingest([decision(2)], accept, 100.0)
    assert store.remove_orphans(0.0, 50.0) == 0
    assert store.remove_orphans(50.0, 150.0) == 1
    assert store.counts()["refused.unknown_decision"] == 1


def test_what_is_old_by_either_clock_is_removed(store):
    store.ingest([decision(1, at=0.0), decision(2, at=900.0), decision(3, at=5000.0)], accept, 1000.0)
    store.ingest([decision(4, at=1.0)], accept, 2000.0)
    assert store.remove_old(1000.0, 500.0) == 2
    assert {one.decision_id for one in store.outcomes()} == {"d2", "d3"}
    assert store.remove_old(1600.0, 500.0) == 2
    assert store.counts()["refused.no_reward"] == 4


def test_another_file_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "store.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(UnavailableError, match="not a database"):
        Store("sqlite:///store.sqlite", tmp_path)
    for address in ("mysql://host/db", "nothing", "sqlite://"):
        with pytest.raises(InputError):
            Store(address, tmp_path)


def test_a_server_that_is_away_at_the_start_is_used_once_it_is_there(postgres):
    postgres.stop()
    try:
        store = Store(f"postgresql://tester@127.0.0.1:{postgres.port}/postgres")
        with pytest.raises(UnavailableError, match="cannot be used"):
            store.document()
    finally:
        postgres.start()
    assert store.swap_document(0, {"state": "idle"})
    assert store.document().body == {"state": "idle"}
    store.close()
