"""`Watcher`: the evidence of the roll-out that runs, kept up to date from pass to pass."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from rl_eval.production.canary.calls import read_calls
from rl_eval.production.canary.evidence import Calls, GuardEvidence, RewardEvidence
from rl_eval.production.canary.row import Row
from rl_eval.production.canary.units import UnitReader
from rl_eval.production.canary_config import RolloutConfig
from rl_eval.production.registry import Registry, RegistryError
from rl_eval.production.states import State


class SamePolicyError(RegistryError):
    """Champion and challenger are the same policy, so there is nothing to compare."""


def names_of(registry: Registry, challenger: int, champion: int) -> tuple[frozenset[str], frozenset[str]]:
    """What decisions call two versions: their numbers, and the identities of the bytes that act.

    Raises:
        SamePolicyError: they are the same.
        RegistryError: the registry is away.
    """
    names = []
    for version in (challenger, champion):
        policy = registry.version(version).lineage.policy
        names.append(frozenset(name for name in (str(version), policy) if name is not None))
    if names[0] & names[1]:
        raise SamePolicyError(f"versions {challenger} and {champion} are the same policy: register another challenger")
    return names[0], names[1]


@dataclass
class Watched:
    """The evidence of a roll-out and of its step.

    Attributes:
        rollout, step: what they are of.
        names: what decisions call the challenger, and the champion.
        calls: version -> what was counted up to now.
    """

    rollout: tuple[Any, ...]
    step: tuple[Any, ...]
    guards: GuardEvidence
    reader: UnitReader
    rewards: RewardEvidence | None
    names: tuple[frozenset[str], frozenset[str]]
    calls: dict[str, Calls]


class Watcher:
    """Reads what has come since the last look; a new one begins with what the store still has.

    Args:
        store: a `Store`, or what has its documents and outcomes.
        registry: for what decisions call the versions.
        config: of the roll-out.
    """

    def __init__(self, store: Any, registry: Registry, config: RolloutConfig):
        self.store, self.registry, self.config = store, registry, config
        self.watched: Watched | None = None

    def look(self, row: Row, state: State, now: float, steady: float, *, units: bool = True) -> Watched:
        """The evidence up to now.

        Args:
            state: of the roll-out; where it is paused, the one before.
            now, steady: as of `UnitReader.read`.
            units: whether units may come to count.

        Raises:
            UnavailableError: the store is away.
            SamePolicyError: both versions are the same policy.
            RegistryError: the registry is away.
        """
        watched = self.watched = self._evidence(row, state)
        self._count_calls(watched, 0.5 if row.shadow else row.share)
        if not units:
            watched.reader.wait()
            return watched
        read = watched.reader.read(now, steady)
        if watched.rewards is not None:
            watched.rewards.add(read.rewards, read.challenger)
        return watched

    def _evidence(self, row: Row, state: State) -> Watched:
        rollout = (row.challenger, row.champion)
        step = (*rollout, state, row.step, row.since)
        before = self.watched
        if before is not None and before.step == step:
            return before
        rewards = None
        if state == "canary":
            rewards = RewardEvidence(self.config, self.config.steps[min(row.step, len(self.config.steps) - 1)])
        if before is not None and before.rollout == rollout:
            reader = UnitReader(self.store, self.config, row.since, *before.names)
            return dataclasses.replace(before, step=step, rewards=rewards, reader=reader)
        names = names_of(self.registry, row.challenger or 0, row.champion or 0)
        reader = UnitReader(self.store, self.config, row.since, *names)
        calls = {version: Calls(*counts) for version, counts in row.calls.items()}
        return Watched(rollout, step, GuardEvidence(self.config), reader, rewards, names, calls)

    def _count_calls(self, watched: Watched, share: float) -> None:
        calls = read_calls(self.store)
        new = []
        for names in watched.names:
            parts = [calls.get(name, Calls()).since(watched.calls.get(name, Calls())) for name in names]
            new.append(Calls(*(sum(values) for values in zip(*map(dataclasses.astuple, parts), strict=True))))
        watched.guards.add(new[0], new[1], share)
        watched.calls = calls
