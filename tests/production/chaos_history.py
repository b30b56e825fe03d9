"""Who was champion and challenger when, and which answers of servers that history explains."""

import bisect
import contextlib
import threading
import time
from dataclasses import dataclass, field

from rl_eval.errors import InputError
from rl_eval.production.canary.assignment import Assignment, assignment

POLL_S = 0.01


@dataclass(frozen=True)
class Moment:
    """What row and aliases said from some time on: not before `start`."""

    start: float
    assigned: Assignment

    def version_for(self, pseudonym):
        """Who decides about a unit; None: of the champion itself."""
        to_challenger = pseudonym is not None and not self.assigned.shadow and self.assigned.to_challenger(pseudonym)
        return str(self.assigned.challenger if to_challenger else self.assigned.champion)


@dataclass(frozen=True)
class Seen:
    """One answer that a client got.

    Attributes:
        asker: the connection, which asks one thing after the other of one server.
        sent, received: seconds of a clock that never jumps.
        pseudonym: of the unit; None: it asked for the champion.
    """

    asker: str
    sent: float
    received: float
    pseudonym: str | None
    version: str


@dataclass
class Explained:
    """What came of comparing answers with a history.

    Attributes:
        unexplained: answers of a version that the history has not, or not any more.
        longest_delay: seconds between the end of what a server followed, and the request that it answered so.
    """

    unexplained: list = field(default_factory=list)
    longest_delay: float = 0.0


def explain(answers, history, delay):
    """Compare answers with a history: each follows from what was true at most `delay` seconds before it was asked.

    One connection never goes back in history: a server that has followed a change does not leave it again.
    """
    starts = [moment.start for moment in history]
    explained, reached = Explained(), {}
    for answer in sorted(answers, key=lambda one: one.sent):
        first = max(bisect.bisect_right(starts, answer.sent - delay) - 1, reached.get(answer.asker, 0))
        known = range(first, bisect.bisect_right(starts, answer.received))
        fitting = [index for index in known if history[index].version_for(answer.pseudonym) == answer.version]
        if not fitting:
            explained.unexplained.append(answer)
            continue
        reached[answer.asker] = fitting[0]
        if fitting[-1] + 1 < len(history):
            late = answer.sent - history[fitting[-1] + 1].start
            explained.longest_delay = max(explained.longest_delay, late)
    return explained


class HistoryKeeper:
    """Reads row and aliases all the time, in a thread."""

    def __init__(self, store, registry):
        self._store, self._registry = store, registry
        self.history, self._stop = [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        start = time.monotonic()
        while not self._stop.wait(POLL_S):
            looked = time.monotonic()
            with contextlib.suppress(InputError):
                row = self._store.document().body
                assigned = assignment(row, self._registry.aliases())
                if not self.history or self.history[-1].assigned != assigned:
                    self.history.append(Moment(start, assigned))  # it may be as old as the look before
                start = looked

    def end(self):
        self._stop.set()
        self._thread.join(30)
        return self.history

    @property
    def champions(self):
        """The champions in their order."""
        numbers = [moment.assigned.champion for moment in self.history]
        return [number for index, number in enumerate(numbers) if not index or numbers[index - 1] != number]
