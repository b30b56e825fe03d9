"""Runs to serve, written without training, and servers in this process."""

import asyncio
import contextlib
import threading

import httpx
import numpy as np
import uvicorn
import yaml

from rl_eval import agent_registry, domains, run, seeding
from rl_eval import config as configs
from rl_eval.hydra_compose import compose
from rl_eval.net import LOOPBACK, UVICORN, listening_socket
from rl_eval.serving.app import guarded
from rl_eval.serving.security import Access
from rl_eval.serving.server import PolicyServer
from rl_eval.serving.source import load
from tests.training.learn import ROOT

SMALL = ["env=cartpole", "agent.n_envs=4", "agent.network.widths=[8]", "total_steps=4096", "seed=3"]
AGENTS = {
    "ppo": [*SMALL, "agent=ppo", "agent.n_steps=8", "agent.batch_size=16", "agent.n_epochs=2"],
    "a2c": [*SMALL, "agent=a2c"],
    "box": ["env=gym", "env.id=Pendulum-v1", *SMALL[1:], "agent=ppo", "agent.n_steps=8", "agent.batch_size=16"],
    "dqn": [*SMALL, "agent=dqn", "agent.batch_size=8", "agent.learning_starts=16", "agent.buffer_size=500"],
}
OBS = [0.1, -0.2, 0.3, 0.4]


def write_run(path, overrides, environment=None, **meta):
    """A finished run whose policy has its first weights; returns the config.

    Args:
        environment: a config in the place of the one that the overrides name.
    """
    composed = compose(ROOT / "conf", overrides)
    config = configs.load(composed if environment is None else {**composed, "env": environment})
    vector = domains.make(config.env, n_envs=config.agent.n_envs, part="train")
    generators = {name: seeding.generator(config.seed, name) for name in ("init", "policy", "minibatch")}
    agent = agent_registry.agent(config.agent.name).build(
        config.agent, vector, generators=generators, total_steps=config.total_steps, device="cpu", folder=path
    )
    arrays, described = agent.policy_checkpoint()
    described |= {"agent": config.agent.name, "env": config.env.name, "env_steps": 100, **meta}
    run.write_checkpoint(path / "snapshots" / "step_100", "policy", arrays, described)
    run.write_json(path / "run.json", {"status": "finished", "snapshot": "step_100", "name": path.name})
    run.write_text(path / "config.yaml", yaml.safe_dump(config.to_dict(), sort_keys=False))
    return config


def policy_server(spec, folder, **options):
    folder.mkdir(parents=True, exist_ok=True)
    return PolicyServer(load(str(spec), seed=0, trust=False), folder, **{"seed": 0, **options})


class Client:
    """Requests to an app in this thread; what the app does not answer is raised."""

    def __init__(self, app, server, headers=None):
        self.server, self._runner = server, asyncio.Runner()
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers)

    def get(self, path, **keywords):
        return self.run(self.client.get(path, **keywords))

    def post(self, path, **keywords):
        return self.run(self.client.post(path, **keywords))

    def run(self, awaitable):
        async def awaited():
            return await awaitable

        return self._runner.run(awaited())

    def close(self):
        self.run(self.client.aclose())
        self._runner.close()
        self.server.close()


@contextlib.contextmanager
def client_of(spec, folder, access=None, headers=None, **options):
    """A client of a server in this process."""
    server = policy_server(spec, folder, **options)
    client = Client(guarded(server, access or Access()), server, headers)
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def listening(spec, folder, access=None, **options):
    """The URL of a server that listens on loopback, in a thread of this process."""
    listener = listening_socket(LOOPBACK, 0)
    running = []

    def serve():
        server = policy_server(spec, folder, **options)
        running.append(uvicorn.Server(uvicorn.Config(guarded(server, access or Access()), **UVICORN)))
        running[0].run(sockets=[listener])
        server.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"  # a request waits in the backlog until it serves
    finally:
        running[0].should_exit = True
        thread.join()


def observations(count, size=4, seed=0):
    return np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)


def live(client, count, *, units=None, greedy=False, seed=0):
    """Store `count` transitions of one decision each, all of them ends; returns the bodies of the experiences."""
    bodies = []
    for i, obs in enumerate(observations(count, seed=seed)):
        body = {"observation": obs.tolist(), "greedy": greedy}
        answer = client.post("/select_action", json=body).json()
        bodies.append({"decision_id": answer["decision_id"], "reward": float(i % 3), "done": True})
        assert client.post("/store_experience", json=bodies[-1]).status_code == 200
    return bodies
