"""Two servers, Redis and a control loop as processes that are killed at random while clients decide and reward."""

import itertools
import random
import threading
import time

import httpx
import yaml

from rl_eval.production.config import load_config
from rl_eval.production.privacy import pseudonym, read_key
from tests.production.chaos_history import Seen
from tests.production.processes import RUN, SERVE, Process, free_port
from tests.production.served import OBS

SERVERS, REDIS, LOOP = ("server a", "server b"), "redis", "loop"
VICTIMS = (*SERVERS, REDIS, LOOP)
GAP_S, AWAY_S = (3.0, 9.0), (0.0, 1.5)  # between kills; until what was killed is started again
READY_SHARE = 0.8  # of the processes that are killed were ready
SLOWEST = 5.0
UNITS = 400
BAD_SHARE = 0.4  # of the versions get low rewards
CLIENTS = 3  # of each server
SECTIONS = {
    "serve": {"follow": 0.1},
    "quality": {"shift": None, "versions": 1000},
    "trigger": {"daily": None, "experiences": 300, "least": 100, "drift": False, "monthly": None},
    "training": {"rounds": 1, "fisher_rows": 16, "lease": 4.0},
    "proof": {"epsilon": None, "margin": 20.0, "least_effective": 2.0, "forgetting": -1.0, "transfer": -1.0},
    "rollout": {
        "low": -10.0, "high": 10.0, "margin": 4.0, "steps": [0.2, 0.6], "reward_window": 0.5,
        "step": {"min": 1.5, "max": 60.0, "units": 500}, "guards": {"slow": 20.0},
    },
    "loop": {"reference_episodes": 0, "turn": 0.2},
}  # fmt: skip


def is_bad(version):
    """Whether a version gets low rewards; the first two do not."""
    return int(version) > 2 and random.Random(int(version)).random() < BAD_SHARE


def write_configs(folder, queue):
    """Server -> its config; they differ in their ports alone, and share all embedded parts."""
    files = {}
    for name in SERVERS:
        files[name] = folder / f"{name[-1]}.yaml"
        values = {"name": "chaos", **SECTIONS, "collect": {"queue": queue, "name": "chaos"}}
        values["serve"] = {**SECTIONS["serve"], "port": free_port()}
        files[name].write_text(yaml.safe_dump(values))
    return files


class Client:
    """Asks one server for decisions of units, one after the other, and sends their rewards until they are taken.

    Attributes:
        seen: every answer.
        decided, rewarded: ids of decisions and rewards that were acknowledged.
        unrecorded: decisions that were answered without being recorded.
    """

    def __init__(self, name, url, key, seed):
        self.name, self._url, self._key, self._rng = name, url, key, random.Random(seed)
        self.seen, self.decided, self.rewarded, self.unrecorded = [], [], [], 0
        self._owed = []  # rewards that nobody has taken yet
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        turns = itertools.count()
        while not self.stop.is_set() or self._owed:
            try:
                with httpx.Client(base_url=self._url, timeout=20.0) as client:
                    while not self.stop.is_set() or self._owed:
                        if not self.stop.is_set():
                            self._look(client) if next(turns) % 5 == 0 else self._decide(client)
                        self._reward(client)
                        self.stop.wait(0.005)
            except httpx.HTTPError:
                time.sleep(0.05)

    def _look(self, client):
        """Ask for the champion, as whoever watches the service does."""
        sent = time.monotonic()
        answer = client.get("/health").raise_for_status().json()
        self.seen.append(Seen(self.name, sent, time.monotonic(), None, answer["policy_version"]))

    def _decide(self, client):
        unit = f"unit{self._rng.randrange(UNITS)}"
        sent = time.monotonic()
        body = {"observation": [value + self._rng.gauss(0, 0.1) for value in OBS], "unit": unit}
        answer = client.post("/select_action", json=body).raise_for_status().json()
        version = answer["policy_version"]
        self.seen.append(Seen(self.name, sent, time.monotonic(), pseudonym(unit, self._key), version))
        if (identifier := answer["decision_id"]) is None:
            self.unrecorded += 1
            return
        self.decided.append(identifier)
        self._owed.append((identifier, -9.0 if is_bad(version) else 1.0))

    def _reward(self, client):
        while self._owed:
            identifier, reward = self._owed[0]
            body = {"decision_id": identifier, "reward": reward, "done": True}
            if client.post("/store_experience", json=body).status_code != 200:
                self.stop.wait(0.1)
                return  # it is sent again
            self.rewarded.append(identifier)
            del self._owed[0]

    def end(self):
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), f"{self.name}: {len(self._owed)} rewards were not taken"


class Chaos:
    """The processes, and who kills them.

    Args:
        files: server -> its config; the control loop has the first one.
    """

    def __init__(self, files, redis, log):
        self._files, self._redis, self._log = files, redis, log
        self.kills = dict.fromkeys(VICTIMS, 0)
        self.processes = {name: self._started(name) for name in (*SERVERS, LOOP)}
        for process in self.processes.values():
            process.wait_until_ready()

    def _started(self, name):
        code, file = (RUN, self._files[SERVERS[0]]) if name == LOOP else (SERVE, self._files[name])
        return Process(code, file, self._log)

    def url(self, name):
        return f"http://127.0.0.1:{load_config(self._files[name]).serve.port}"

    def clients(self):
        """Some of each server."""
        key = read_key(load_config(self._files[SERVERS[0]]).path)
        named = [(f"{name}, client {number}", name) for name in SERVERS for number in range(CLIENTS)]
        return [Client(label, self.url(name), key, label) for label, name in named]

    def rage(self, seconds, seed, enough):
        """Kill at random moments for so long; each round kills everything once, in a random order.

        Most processes are killed once they were ready, so that a busy machine tests as much.

        Args:
            enough: whether enough has happened; what is slow goes on for up to `SLOWEST` times as long.
        """
        rng = random.Random(seed)
        start, left = time.monotonic(), []
        while (passed := time.monotonic() - start) < seconds or (not enough() and passed < SLOWEST * seconds):
            time.sleep(rng.uniform(*GAP_S))
            left = left or rng.sample(VICTIMS, len(VICTIMS))
            victim = left.pop()
            if victim != REDIS and rng.random() < READY_SHARE:
                self.processes[victim].wait_until_ready()
            self.kills[victim] += 1
            (self._redis if victim == REDIS else self.processes[victim]).kill()
            time.sleep(rng.uniform(*AWAY_S))
            if victim == REDIS:
                self._redis.start()
            else:
                self.processes[victim] = self._started(victim)

    def kill_all(self):
        for process in self.processes.values():
            process.kill()
