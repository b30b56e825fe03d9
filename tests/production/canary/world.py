"""A store in memory, clocks and servers of a roll-out."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace

import numpy as np

from rl_eval.production.audit import AuditLog, verify
from rl_eval.production.canary.calls import report_calls
from rl_eval.production.canary.controller import Controller
from rl_eval.production.canary.evidence import Calls
from rl_eval.production.canary.row import Row
from rl_eval.production.canary_config import RolloutConfig, StepConfig
from rl_eval.production.queues import QueueError
from rl_eval.production.registry import FolderRegistry
from rl_eval.production.store import Document, UnavailableError

HOUR, DAY = 3_600.0, 86_400.0
START = 1_700_000_000.0
CONFIG = RolloutConfig(reward_window=60.0, step=StepConfig(min=HOUR, max=DAY, units=3_000))


@dataclass(frozen=True)
class Outcome:
    decision_id: str
    at: float
    unit: str | None
    version: str
    shadow: bool
    reward: float | None


@dataclass
class World:
    """A store in memory, the clocks, and servers that follow the row."""

    registry: FolderRegistry
    audit: AuditLog
    config: RolloutConfig = CONFIG
    rates: dict = field(default_factory=lambda: {"1": 0.8, "2": 0.9})
    failures: dict = field(default_factory=dict)
    steady: float = 0.0
    jump: float = 0.0  # of the wall clock
    away: bool = False
    queue_away: bool = False
    documents: dict = field(default_factory=dict)
    rows: list = field(default_factory=list)
    reward_after: float = 10.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    counts: dict = field(default_factory=dict)

    def controller(self, audit=None):
        return Controller(
            self, self.registry, audit or self.audit, self.config, lambda: self.steady, self.wall, self.read_queue
        )

    def read_queue(self):
        if self.queue_away:
            raise QueueError("the queue is away")

    def wall(self):
        return START + self.steady + self.jump

    def document(self, name="rollout"):
        if self.away:
            raise UnavailableError("the store cannot be used (away): it is tried again")
        number, text = self.documents.get(name, (0, "{}"))
        return Document(number, json.loads(text))

    def swap_document(self, number, body, name="rollout"):
        if self.document(name).number != number:
            return False
        self.documents[name] = (number + 1, json.dumps(body))
        return True

    def outcomes(self, *, after=None, before=None, limit=10_000):
        if self.away:
            raise UnavailableError("the store cannot be used (away): it is tried again")
        low = np.searchsorted([row.at for row in self.rows], after[0], "left") if after else 0
        found = []
        for row in self.rows[low:]:
            if (after is None or (row.at, row.decision_id) > after) and (before is None or row.at < before):
                came = row.reward is not None and self.steady >= float(row.decision_id[:12]) + self.reward_after
                found.append(row if came else replace(row, reward=None))
            if len(found) == limit:
                break
        return found

    @property
    def row(self):
        return Row.parse(self.document().body)

    def traffic(self, units):
        """So many decisions, over the last minute, by what servers see."""
        row, aliases = self.row, self.registry.aliases()
        for index in range(units):
            mine = self.rng.random() < row.share and row.challenger is not None
            version = str(row.challenger if mine else aliases["champion"])
            reward = float(self.rng.random() < self.rates[version])
            made = self.steady - 60.0 * (1 - index / units)
            name = f"{made:012.3f}-{index}"
            self.rows.append(Outcome(name, START + made + self.jump, f"u{name}", version, False, reward))
            if row.shadow:
                self.rows.append(
                    Outcome(f"{name}s", START + made + self.jump, f"u{name}", str(row.challenger), True, None)
                )
            for name in [version, *([str(row.challenger)] if row.shadow else [])]:
                count = self.counts.setdefault(name, [0, 0, 0])
                count[0] += 1
                count[1] += self.rng.random() < self.failures.get(name, 0.0)
        self.rows.sort(key=lambda outcome: (outcome.at, outcome.decision_id))
        report_calls(self, "server", {version: Calls(*count) for version, count in self.counts.items()})

    def minutes(self, count, controllers, units=60):
        """So many minutes with traffic and passes; the states that were seen."""
        states = []
        for _ in range(count):
            self.steady += 60.0
            if units:
                self.traffic(units)
            for controller in controllers:
                controller.run_pass()
            states.append((self.row.state, self.row.share))
        return [state for state, _ in itertools.groupby(states)]


def events(world):
    assert verify(world.audit.path).faults == ()
    return [json.loads(line)["event"] for line in world.audit.path.read_text().splitlines()]
