"""`Follower`: a thread that keeps a server at what the registry and the roll-out say.

Where they are away, the server goes on with what it holds, and one sentence is logged.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from rl_eval.errors import InputError
from rl_eval.production.canary.assignment import assignment
from rl_eval.production.canary.calls import report_calls
from rl_eval.production.canary.evidence import Calls
from rl_eval.production.clock_check import NOTE_S, check_clock, note_time
from rl_eval.production.collector import SHAPES
from rl_eval.production.heartbeats import Heartbeat
from rl_eval.production.recording import report_recording
from rl_eval.production.registered_policy import Versions, load_policy
from rl_eval.production.registry import RegistryError
from rl_eval.production.server.arms import Arm, Arms
from rl_eval.production.server.production_server import NO_CHAMPION, ProductionServer
from rl_eval.production.serving_cost import report_served
from rl_eval.production.store import Store, UnavailableError, WrongKeyError, WrongPolicyError

log = logging.getLogger(__name__)
COUNT_S = 5.0  # between counts of store and queue
REMOVAL_S = 3600.0


class Registry(Versions, Protocol):
    """What a server needs of a registry."""

    def aliases(self) -> Mapping[str, int]:
        """Alias -> number of a version."""


class Follower:
    """Follows the aliases `champion` and `challenger` and the document of the roll-out.

    Args:
        folder: of copies of the versions that are served; nobody else uses it.
    """

    def __init__(self, server: ProductionServer, registry: Registry, store: Store | None, folder: Path):
        self._server, self._registry, self._store, self._folder = server, registry, store, folder
        self._arms: dict[int, Arm] = {}
        self._refused: set[int] = set()  # versions that cannot be served
        self._failing: dict[str, str] = {}  # what follows from a failure -> the failure
        self._shapes_written = False
        self._name = secrets.token_hex(8)  # of this process
        self._heartbeat = None if store is None else Heartbeat(store, "server")
        self._reported: dict[str, Calls] = {}
        self._counted = self._recorded = self._noted = self._removed = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        while not stop.wait(self._server.config.serve.follow):
            self.look()

    def look(self) -> None:
        """Follow once; a failure is logged once and changes nothing."""
        self._attempt("the versions stay as they are", self._follow)
        self._attempt("the status page does not know that this server is alive", self._beat)
        self._attempt("the status page has older counts of decisions", self._count)
        self._attempt("the status page does not say whether this server records", self._report_recording)
        self._attempt("nothing is removed from the queue", self._remove)

    def _attempt(self, consequence: str, step: Callable[[], str]) -> None:
        """Do a step that says which parts answered; empty where it could not tell that all it needs is there."""
        try:
            answers = step()
        except (InputError, OSError) as error:
            if isinstance(error, WrongKeyError | WrongPolicyError):  # of a store that was away when the server started
                self._server.refused = str(error)
            if (reason := str(error)[:60]) != self._failing.get(consequence):
                nothing = step == self._follow and self._server.current is None
                log.warning("%s: %s", "no version is served" if nothing else consequence, error)
            self._failing[consequence] = reason
            return
        if answers and self._failing.pop(consequence, ""):
            log.warning("%s again; it is over that %s", answers, consequence)

    def _follow(self) -> str:
        try:
            return self._follow_aliases()
        except (InputError, OSError) as error:
            self._server.unserved = f"no version is served, since {_cause(error)}: see the log of this server"
            raise

    def _follow_aliases(self) -> str:
        try:
            # The row first: a controller that completes a roll-out moves the aliases before the row ends, so a row that
            # is older than the aliases gives nobody a version that all units have left already.
            row = {} if self._store is None else self._store.document().body
        except UnavailableError:
            if self._server.current is None:
                champion_only = assignment({}, self._registry.aliases())
                if champion_only.champion is not None:  # better than no answer: without its row, no challenger decides
                    self._server.serve(Arms(self._arm(champion_only.champion), None, champion_only))
                    log.warning("serving only version %s: the store is away", champion_only.champion)
            raise
        assigned = assignment(row, self._registry.aliases())
        if assigned.champion is None:
            self._server.unserved = NO_CHAMPION
            return self._answers("registry")
        champion = self._arm(assigned.champion)
        self._write_shapes(champion)
        challenger = None
        if assigned.challenger is not None and (assigned.share > 0 or assigned.shadow):
            challenger = self._challenger(assigned.challenger, champion)
        arms = Arms(champion, challenger, assigned)
        if self._server.current != arms:
            self._server.serve(arms)
            what = f"version {champion.version}"
            if challenger is not None:
                part = "as a shadow" if arms.shadow else f"for {arms.share:.0%} of the units"
                what += f", and version {challenger.version} {part}"
            log.info("serving %s", what)
        self._server.followed = time.time()
        for number in set(self._arms) - {assigned.champion, assigned.challenger}:
            del self._arms[number]
            shutil.rmtree(self._folder / str(number), ignore_errors=True)
        return self._answers("registry")

    def _answers(self, part: str) -> str:
        """That a part answers, and the store, where this server has one."""
        return f"the {part} answers" if self._store is None else f"{part} and store answer"

    def _challenger(self, number: int, champion: Arm) -> Arm | None:
        """The challenger; None where it cannot be served, which is logged once."""
        if number in self._refused:
            return None
        try:
            arm = self._arm(number)
            if not _is_alike(arm, champion):
                raise InputError("it has other observations or actions than the champion")
            return arm
        except InputError as error:
            self._refused.add(number)
            log.warning("challenger %d is not served: %s", number, error)
            return None

    def _arm(self, number: int) -> Arm:
        if number not in self._arms:
            target = self._folder / str(number)
            shutil.rmtree(target, ignore_errors=True)
            source = load_policy(self._registry, number, target, trust=self._server.config.serve.trust)
            self._arms[number] = Arm(str(number), source)
        return self._arms[number]

    def _write_shapes(self, champion: Arm) -> None:
        """Let the collector know the sizes of what is served."""
        if self._shapes_written or self._store is None:
            return
        served = champion.served
        body = {
            "observation": _size(served.spaces.observation.shape), "actions": served.actions,
            "action": _size(served.spaces.action.shape) or 1,
        }  # fmt: skip
        stored = self._store.document(SHAPES)
        if stored.number and stored.body != body:
            raise InputError("the store holds experience of other observations or actions: name another store")
        self._shapes_written = bool(stored.number) or self._store.swap_document(0, body, SHAPES)

    def _count(self) -> str:
        self._server.queue.sync()
        elapsed = time.monotonic()
        found, whole = None, elapsed - self._counted >= COUNT_S
        if whole:
            self._counted = elapsed
            if (found := self._server.recorder.waiting()) is not None:  # the queue answers
                self._server.waiting, self._server.oldest = found
        answers = "" if found is None else self._answers("queue")
        if self._store is None:
            return answers
        counts = {
            version: Calls(one.decisions, one.errors, one.slow)
            for version, one in list(self._server.arm_counts.items())
        }
        if counts != self._reported and report_calls(self._store, self._name, counts):
            self._reported = counts
        if whole:
            self._server.collected = self._store.counts()
            report_served(self._store, self._name, self._server.served)
        return answers

    def _beat(self) -> str:
        return "the store answers" if self._heartbeat is not None and self._heartbeat.beat() else ""

    def _report_recording(self) -> str:
        elapsed = time.monotonic()
        if self._store is None or elapsed - self._recorded < COUNT_S:
            return ""
        recorder = self._server.recorder
        report_recording(self._store, self._name, self._server.clock.now(), recorder.failing, recorder.since)
        self._recorded = elapsed
        return "the store answers"

    def _remove(self) -> str:
        """Remove old messages once an hour, so that nothing is kept for longer where no collector runs."""
        elapsed = time.monotonic()
        if elapsed - self._noted < NOTE_S:
            return ""
        now, retention = self._server.clock.now(), self._server.config.privacy.retention
        if self._store is not None:
            check_clock(self._store, now, retention)
            note_time(self._store, now)
        self._noted = elapsed
        if elapsed - self._removed < REMOVAL_S:
            return "" if self._store is None else "the store answers"
        self._server.queue.remove_old(now - retention)
        self._removed = elapsed
        return self._answers("queue")


def _cause(error: Exception) -> str:
    """What is wrong in general words: a client that asks for a decision gets no path."""
    if isinstance(error, UnavailableError):
        return "the store is away"
    if isinstance(error, RegistryError):
        return "the registry is away, or what is in it is damaged"
    return "the champion cannot be loaded, or does not fit the config or the store"


def _size(shape: tuple[int, ...] | None) -> int:
    size = 1
    for length in shape or ():
        size *= int(length)
    return size


def _is_alike(one: Arm, other: Arm) -> bool:
    return one.served.spaces == other.served.spaces
