"""Production servers and collectors of tests, in this process or as processes, and a registry of folders."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import yaml

from rl_eval.errors import InputError
from rl_eval.production.collector import Collector
from rl_eval.production.config import load_config
from rl_eval.production.keyed_store import open_for_serving
from rl_eval.production.queues import open_queue
from rl_eval.production.server.app import guarded
from rl_eval.production.server.follower import Follower
from rl_eval.production.server.production_server import ProductionServer
from rl_eval.serving.security import Access

ROOT = Path(__file__).resolve().parents[2]
OBS = [0.1, -0.2, 0.3, 0.4]


class Registry:
    """Runs by number, and aliases in a file that any process may change."""

    def __init__(self, file):
        self.file = Path(file)

    def write(self, runs, **aliases):
        values = {"runs": {str(number): str(run) for number, run in runs.items()}, "aliases": aliases}
        self.file.write_text(json.dumps(values))

    def aliases(self):
        if not self.file.exists():
            raise InputError("the registry is away")
        return json.loads(self.file.read_text())["aliases"]

    def load(self, number, target):
        shutil.copytree(json.loads(self.file.read_text())["runs"][str(number)], target)


def write_config(folder, **sections):
    path = folder / "production.yaml"
    path.write_text(yaml.safe_dump({"name": "test", **sections}))
    return path


class Loop:
    """A server with its collector in this process."""

    def __init__(self, folder, runs, *, champion=1, challenger=None, rollout=None, queue=None, **sections):
        self.config = load_config(write_config(folder, **sections))
        self.registry = Registry(folder / "registry.json")
        self.runs = {1: runs / "one", 2: runs / "two", 3: runs / "box"}
        aliases = {"champion": champion} | ({} if challenger is None else {"challenger": challenger})
        self.registry.write(self.runs, **aliases)
        self.store, key = open_for_serving(self.config)
        if rollout is not None:
            self.store.swap_document(self.store.document().number, rollout)
        self.queue = queue or open_queue(self.config.collect, self.config.path)
        self.server = ProductionServer(self.config, self.queue, key, seed=0)
        self.follower = Follower(self.server, self.registry, self.store, folder / "copies")
        self.follower.look()
        self.collector = Collector(self.config, self.store, self.queue)
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(guarded(self.server, Access()))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")

    def roll_out(self, **body):
        assert self.store.swap_document(self.store.document().number, body)
        self.follower.look()

    def run(self, coroutine):
        return self._runner.run(coroutine)

    def post(self, path, **body):
        return self.run(self.client.post(path, json=body))

    def get(self, path):
        return self.run(self.client.get(path))

    def decide(self, observation=OBS, **body):
        answer = self.post("/select_action", observation=observation, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def live(self, count, **body):
        """Decisions, each with a reward; returns their ids."""
        ids = []
        for number in range(count):
            ids.append(self.decide([0.1 * number, 0.2, 0.3, 0.4], **body)["decision_id"])
            answer = self.post("/store_experience", decision_id=ids[-1], reward=float(number), done=True)
            assert answer.status_code == 200, answer.text
        return ids

    def collect(self):
        while self.collector.step():
            pass

    def close(self):
        self.run(self.client.aclose())
        self._runner.close()
        self.server.close()
        with contextlib.suppress(Exception):
            self.queue.close()
        self.store.close()


def ask(app, *requests):
    """Answers of an app to requests: method, path and what else httpx takes."""

    async def answers():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as client:
            return [await client.request(method, path, **more) for method, path, more in requests]

    return asyncio.run(answers())


SERVE = """
import sys, pathlib, logging
from rl_eval.production.config import load_config
from rl_eval.production.server.serve import serve
from tests.production.served import Registry
logging.basicConfig(level=logging.WARNING)
config = load_config(pathlib.Path(sys.argv[1]))
registry = Registry(config.directory / "registry.json")
sys.exit(serve(config, registry, token=None, show=lambda line: print(line, flush=True)))
"""
COLLECT = """
import sys, pathlib, logging, threading
from rl_eval.production.config import load_config
from rl_eval.production.collector import collect
logging.basicConfig(level=logging.WARNING)
collect(load_config(pathlib.Path(sys.argv[1])), threading.Event(), lambda line: print(line, flush=True))
"""


class Process:
    """A server or collector as a process, which has printed its first line."""

    def __init__(self, code, config, log=None):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(config)], stdout=subprocess.PIPE, stderr=log or subprocess.DEVNULL,
            text=True, env=environment, cwd=ROOT,
        )  # fmt: skip
        self.line = self.process.stdout.readline()
        assert self.line, "it ended before it was ready"

    @property
    def url(self):
        return self.line.split()[0]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
