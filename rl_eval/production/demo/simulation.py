"""`Simulation`: clients, server, collector and control loop on one clock, one step after the other.

The server answers over HTTP; the collector takes what it recorded from the queue. Nothing runs at the same time as
anything else, so the same seed gives the same decisions.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from rl_eval.net import LOOPBACK, UVICORN, Url, listening_socket
from rl_eval.production.collector import Collector
from rl_eval.production.demo.simulated_clock import SimulatedClock
from rl_eval.production.demo.traffic import Traffic
from rl_eval.production.keyed_store import open_for_serving
from rl_eval.production.loop.loop import Loop, Turn
from rl_eval.production.parts import Parts
from rl_eval.production.privacy import KEY_FILE
from rl_eval.production.queues import open_queue
from rl_eval.production.server.app import guarded
from rl_eval.production.server.follower import Follower
from rl_eval.production.server.production_server import ProductionServer
from rl_eval.serving.security import Access

TICK_S = 300.0  # between two looks of the control loop; longer ones would not count whole


@dataclass
class Journal:
    """What clients saw: the time, the version and the reward of every decision."""

    hours: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rewards)


class Simulation:
    """Time passes in ticks: clients send, the collector stores, the server looks, the control loop turns."""

    def __init__(
        self,
        parts: Parts,
        clock: SimulatedClock,
        follower: Follower,
        address: Url,
        say: Callable[[str], Any],
        seed: int,
    ):
        self.parts, self.clock, self.journal = parts, clock, Journal()
        self.loop = Loop(parts, say)
        self._follower, self._address, self._seed = follower, address, seed
        self._collector = Collector(parts.config, parts.store, parts.queue, clock.of_servers())
        self._traffic: Traffic | None = None

    def traffic(self, env: Mapping[str, Any], preprocessing: Mapping[str, Any] | None, name: str, copies: int) -> None:
        """Let other traffic come from now on: `copies` decisions per tick."""
        self.close()
        self._seed += 1
        self._traffic = Traffic(self._address, env, preprocessing, name, copies, self._seed)

    @property
    def hours(self) -> float:
        """Hours since the start."""
        return self.clock.steady() / 3600.0

    def tick(self) -> Turn:
        """One tick; what the control loop did in it."""
        assert self._traffic is not None
        versions, rewards = self._traffic.decide()
        self.journal.hours += [self.hours] * len(versions)
        self.journal.versions += [int(version) for version in versions]
        self.journal.rewards += rewards.tolist()
        while self._collector.step():
            pass
        self.clock.advance(TICK_S)
        turn = self.loop.turn()
        self._follower.look()
        return turn

    def close(self) -> None:
        """Send the last rewards, and end the clients."""
        if self._traffic is not None:
            self._traffic.settle()
            self._traffic.close()
            self._traffic = None


@contextlib.contextmanager
def simulation(parts: Parts, clock: SimulatedClock, say: Callable[[str], Any], seed: int) -> Iterator[Simulation]:
    """A server that listens on a free port of this machine, and what is around it.

    Args:
        parts: on the same clock; a champion is registered.
        seed: of the key of pseudonyms, which says who gets which version, and of all draws.
    """
    config = parts.config
    key = parts.folder / KEY_FILE
    key.touch(0o600)
    key.write_text(hashlib.sha256(f"demo {seed}".encode()).hexdigest())
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(contextlib.closing(open_queue(config.collect, parts.folder)))
        store, secret = open_for_serving(config)
        store.close()  # that of the parts is the same one
        server = ProductionServer(config, queue, secret, clock=clock.of_servers(), seed=seed)
        stack.callback(server.close)
        copies = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rl_eval-versions-")))
        follower = Follower(server, parts.registry, parts.store, copies)
        follower.look()
        listener = stack.enter_context(contextlib.closing(listening_socket(LOOPBACK, 0)))
        http = uvicorn.Server(uvicorn.Config(guarded(server, Access()), **UVICORN))
        thread = threading.Thread(target=http.run, kwargs={"sockets": [listener]}, daemon=True, name="server")
        thread.start()

        def end() -> None:
            http.should_exit = True
            thread.join(10.0)

        stack.callback(end)
        address = Url("http", LOOPBACK, listener.getsockname()[1])
        running = Simulation(parts, clock, follower, address, say, seed)
        stack.callback(running.close)
        yield running
