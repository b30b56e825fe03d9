"""`kill -9` of servers, collectors, trainers and whoever moves aliases, as processes, at 20 moments."""

import contextlib
import random
import threading
import time

import httpx
import pytest

from rl_eval.production.audit.verify import verify
from rl_eval.production.canary.opening import audit_of, registry_of
from rl_eval.production.collector import Collector
from rl_eval.production.config import load_config
from rl_eval.production.queues import open_queue
from rl_eval.production.registry import Lineage
from rl_eval.production.store import Store, TrainingLostError, TrainingRunningError
from rl_eval.serving.source import load
from tests.production.databases import POSTGRES, queue_config
from tests.production.processes import COLLECT, SERVE, Process, free_port
from tests.production.served import OBS, write_config

pytestmark = pytest.mark.verify
TRAIN = """
import sys, pathlib, time, random
from rl_eval.production.canary.opening import audit_of
from rl_eval.production.config import load_config
from rl_eval.production.store import Store, TrainingLostError, TrainingRunningError, UnavailableError
config = load_config(pathlib.Path(sys.argv[1]))
store, audit = Store(config.collect.store, config.path), audit_of(config)
print("training", flush=True)
while True:
    try:
        training = store.start_training("incremental", lease=0.5)
        ids = [one.decision.decision_id for one in store.experiences_of(training)]
        audit.append("training", "trainer", {"training": training.id, "experiences": len(ids)})
        time.sleep(random.random() * 0.2)
        store.finish_training(training, {"ids": ids})
    except (TrainingRunningError, TrainingLostError, UnavailableError):
        pass
    time.sleep(0.1)
"""
MOVE = """
import sys, pathlib, time, random
from rl_eval.production.canary.opening import audit_of, registry_of
from rl_eval.production.config import load_config
config = load_config(pathlib.Path(sys.argv[1]))
registry, audit = registry_of(config), audit_of(config)
print("moving", flush=True)
while True:
    champion = registry.aliases()["champion"]
    audit.append("promote", "operator", {"version": 3 - champion})
    registry.move({"champion": 3 - champion}, expected={"champion": champion})
    time.sleep(random.random() * 0.3)
"""
KINDS = (SERVE, COLLECT, TRAIN, MOVE)
KILLS = 20
LIMIT_S = 300.0  # without an answer
CONFIDENCE = 1e-5  # that rows of a batch differ by


class Clients:
    """Threads that decide and reward, and know what was acknowledged to them, and by which version."""

    def __init__(self, url, count=2):
        self.url, self.acknowledged, self.versions = url, [], []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._live, args=(number,), daemon=True) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def _live(self, number):
        step = 0
        while not self.stop.is_set():
            try:
                with httpx.Client(base_url=self.url, timeout=20.0) as client:
                    while not self.stop.is_set():
                        step += 1
                        self._decide(client, f"unit{number}-{step % 5}", float(step % 7))
            except httpx.HTTPError:
                self.stop.wait(0.05)

    def _decide(self, client, unit, value):
        body = {"observation": OBS, "unit": unit}
        answer = client.post("/select_action", json=body).raise_for_status().json()
        self.versions.append((answer["policy_version"], answer["confidence"]))
        if (identifier := answer["decision_id"]) is None:
            return
        reward = {"decision_id": identifier, "reward": value, "done": True}
        client.post("/store_experience", json=reward).raise_for_status()
        self.acknowledged.append(identifier)
        self.stop.wait(0.01)

    def wait_for(self, more):
        """Until so many more rewards are acknowledged."""
        count, end = len(self.acknowledged) + more, time.monotonic() + LIMIT_S
        while len(self.acknowledged) < count:
            assert time.monotonic() < end, "nothing is acknowledged any more"
            time.sleep(0.005)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def confidence_of(run):
    """How sure a run's policy is of its best action."""
    policy = load(str(run), seed=0, trust=False).policy
    import numpy as np

    return float(policy.distributions(np.array([OBS], np.float32), None).probabilities.max())


def registered(config, runs):
    registry = registry_of(config)
    for name in ("one", "two"):
        registry.register(runs / name, Lineage(data="sha256:a"))
    registry.move({"champion": 1}, expected={"champion": None})
    return registry


def drained(config, store, kind):
    """What is in the queue is stored."""
    with contextlib.closing(open_queue(config.collect, config.path)) as queue:
        if kind == "redis":
            queue._idle = 0.0  # nobody else is alive
            time.sleep(0.1)
        collector = Collector(config, store, queue)
        end = time.monotonic() + 120
        while queue.waiting()[0] and time.monotonic() < end:
            collector.step(0.2)
        assert not queue.waiting()[0]


def trained_in_all(store):
    """The ids of each experience of each training, after one that was killed was taken over."""
    end = time.monotonic() + 60
    while store.waiting() or any(one.state == "running" for one in store.trainings(1)):
        assert time.monotonic() < end
        with contextlib.suppress(TrainingRunningError, TrainingLostError):
            training = store.start_training("incremental", lease=0.0)
            ids = [one.decision.decision_id for one in store.experiences_of(training)]
            store.finish_training(training, {"ids": ids})
    return [identifier for one in store.trainings(100_000) for identifier in one.result["ids"]]


@pytest.mark.parametrize("kind", ["store", POSTGRES, "redis"])
def test_twenty_kills_lose_nothing_train_nothing_twice_and_serve_whole_versions(kind, request, runs, tmp_path):
    collect = queue_config(kind, request)
    port = free_port()
    path = write_config(tmp_path, collect=collect.model_dump(), serve={"port": port, "follow": 0.1})
    config = load_config(path)
    registry = registered(config, runs)
    store = Store(config.collect.store, config.path)
    expected = {str(number + 1): confidence_of(runs / name) for number, name in enumerate(("one", "two"))}
    rng = random.Random(7)
    processes = {code: Process(code, path) for code in KINDS}
    clients = Clients(f"http://127.0.0.1:{port}")
    try:
        for process in processes.values():
            process.wait_until_ready()
        for kill in range(KILLS):
            code = KINDS[kill % len(KINDS)]
            processes[code].wait_until_ready()
            clients.wait_for(rng.randint(2, 15))  # not a time, so that a busy machine tests as much
            time.sleep(rng.random() * 0.2)
            processes[code].kill()
            processes[code] = Process(code, path)
        for process in processes.values():
            process.wait_until_ready()
        clients.wait_for(20)
        clients.end()
    finally:
        clients.stop.set()
        for process in processes.values():
            process.kill()
    drained(config, store, kind)
    accepted = [one.decision.decision_id for one in store.accepted()]
    assert len(clients.acknowledged) > 2 * KILLS
    assert set(clients.acknowledged) <= set(accepted)
    assert len(accepted) == len(set(accepted)) == store.counts()["accepted"]
    assert sorted(trained_in_all(store)) == sorted(accepted)
    assert {version for version, _ in clients.versions} == set(expected)
    for version, confidence in clients.versions:
        assert abs(confidence - expected[version]) < CONFIDENCE
    checked = verify(audit_of(config).path)
    assert not checked.faults
    assert registry.aliases()["champion"] in (1, 2)
    registry.load(registry.aliases()["champion"], tmp_path / "copy")
    store.close()
