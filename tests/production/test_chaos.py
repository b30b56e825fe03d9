"""Five minutes of `kill -9` at random moments: one champion, nothing lost, nothing trained twice, the log whole."""

import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise

import pytest
from sqlalchemy import select

from rl_eval.production.canary.assignment import Assignment
from rl_eval.production.canary.row import Row
from rl_eval.production.config import load_config
from rl_eval.production.loop.experience import fingerprint, split
from rl_eval.production.loop.versions import register_run
from rl_eval.production.parts import open_parts
from rl_eval.production.store.tables import decisions, experience, rewards
from rl_eval.production.watch.figures import audit_tail
from tests.production.chaos import SERVERS, Chaos, write_configs
from tests.production.chaos_history import HistoryKeeper, Moment, Seen, explain
from tests.production.served import ROOT
from tests.redis_process import DURABLE, needs_redis, redis_server

SECONDS, SEED = 300.0, 11
DELAY_S = 10.0  # within which a server follows, on a machine where everything starts anew all the time
SETTLE_S = 600.0
CHAMPIONS = 3  # that serve, one after the other


def test_what_a_server_answers_is_explained_by_what_was_true_then():
    canary = Assignment(1, 2, 0.5)
    inside = next(f"u{n}" for n in range(99) if canary.to_challenger(f"u{n}"))
    outside = next(f"u{n}" for n in range(99) if not canary.to_challenger(f"u{n}"))
    history = [Moment(0.0, Assignment(1)), Moment(10.0, canary), Moment(20.0, Assignment(2))]

    def delays(*answers):
        made = [Seen("a", at, at + 0.1, unit, version) for at, unit, version in answers]
        explained = explain(made, history, delay=2.0)
        return [one.sent for one in explained.unexplained], explained.longest_delay

    assert delays((1, None, "1"), (11, None, "1"), (11, inside, "2"), (11, outside, "1"), (21, None, "2")) == ([], 0)
    assert delays((11, inside, "1")) == ([], 1.0)  # it had not followed yet
    assert delays((13, inside, "1"))[0] == [13]  # it should have
    assert delays((15, outside, "2"))[0] == [15]  # outside of the share
    assert delays((5, inside, "2"), (15, None, "2"))[0] == [5, 15]  # before its time
    assert delays((11, inside, "2"), (11.5, inside, "1"))[0] == [11.5]  # back to what it had left
    assert delays((21, None, "2"), (21.5, None, "1"))[0] == [21.5]


@pytest.fixture
def own_redis(tmp_path_factory):
    yield from redis_server(tmp_path_factory, *DURABLE)


def settled(parts):
    """Wait until all that was acknowledged is stored, no training runs, and none is due that could begin."""
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        latest = parts.store.trainings(1)
        training = latest and latest[0].state == "running"
        due = parts.store.waiting() >= parts.config.trigger.experiences
        rolling_out = Row.parse(parts.store.document().body).state != "idle"  # without traffic, it holds
        if not training and not parts.queue.waiting()[0] and (rolling_out or not due):
            return
        time.sleep(0.2)
    raise AssertionError("the control loop does not come to rest")


@needs_redis
@pytest.mark.verify
@pytest.mark.parametrize("seconds", [SECONDS])
def test_random_kills_leave_one_champion_and_lose_nothing(seconds, own_redis, runs, tmp_path):
    files = write_configs(tmp_path, own_redis.url)
    with open_parts(load_config(files[SERVERS[0]])) as parts, open(tmp_path / "log.txt", "w") as log:
        register_run(parts, runs / "one", "ada")
        keeper = HistoryKeeper(parts.store, parts.registry)
        chaos = Chaos(files, own_redis, log)
        clients = chaos.clients()
        try:
            chaos.rage(seconds, SEED, enough=lambda: len(keeper.champions) >= CHAMPIONS)
            for client in clients:
                client.end()
            settled(parts)
        finally:
            chaos.kill_all()
        history = keeper.end()
        print(report(chaos, clients, keeper, parts))
        served_one_champion(clients, keeper, history, parts)
        nothing_was_lost(clients, parts)
        nothing_was_trained_twice(parts)
        command = [sys.executable, "-m", "rl_eval.cli", "audit", "verify", str(parts.audit.path)]
        checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def report(chaos, clients, keeper, parts):
    counts = {name: sum(len(getattr(client, name)) for client in clients) for name in ("seen", "decided", "rewarded")}
    counts["unrecorded"] = sum(client.unrecorded for client in clients)
    states = Counter(training.state for training in parts.store.trainings(10_000))
    return f"kills {chaos.kills}; {counts}; champions {keeper.champions}; trainings {dict(states)}"


def served_one_champion(clients, keeper, history, parts):
    """Each answer names the version that row and aliases had given the unit; the audit log announced each champion."""
    explained = explain([answer for client in clients for answer in client.seen], history, DELAY_S)
    print(f"followed within {explained.longest_delay:.2f} s")
    assert explained.unexplained == []
    assert len(keeper.champions) >= CHAMPIONS
    for before, after in pairwise(moment.assigned for moment in history):
        if before.champion != after.champion:  # nobody notices: all units had the new champion before it was one
            assert (before.challenger, before.share) == (after.champion, 1.0)
    announced = {line.facts["challenger"] for line in audit_tail(parts.audit.path, 100_000) if line.event == "complete"}
    assert set(keeper.champions[1:]) <= announced


def nothing_was_lost(clients, parts):
    """Every acknowledged decision and reward is stored, and joined to one experience."""
    with parts.store.database.reading() as connection:
        stored = {
            name: list(connection.execute(select(table.c.decision_id)).scalars())
            for name, table in (("decided", decisions), ("rewarded", rewards), ("joined", experience))
        }
    for name in ("decided", "rewarded"):
        acknowledged = [one for client in clients for one in getattr(client, name)]
        assert len(acknowledged) == len(set(acknowledged)) > 100
        assert set(acknowledged) <= set(stored[name]), f"{len(set(acknowledged) - set(stored[name]))} lost"
    assert set(stored["joined"]) == set(stored["decided"]) & set(stored["rewarded"])
    assert len(stored["joined"]) == len(set(stored["joined"])) == parts.store.counts()["accepted"]


def nothing_was_trained_twice(parts):
    """Each experience is in one training, and each training made one version, of its own experience."""
    trainings = parts.store.trainings(10_000)
    assert {training.state for training in trainings} == {"done"}
    versions = [parts.registry.version(number) for number in parts.registry.versions()]
    made = {version.lineage.verdict.get("training"): version for version in versions[1:]}
    assert len(made) == len(versions) - 1 == len(trainings)
    trained = Counter()
    for training in trainings:
        had = parts.store.experiences_of(training)
        trained.update(one.decision.decision_id for one in had)
        assert len(had) == training.experiences
        assert made[training.name].lineage.data == fingerprint(split(had, parts.config.loop.held_out)[0])
    assert set(trained.values()) == {1}
