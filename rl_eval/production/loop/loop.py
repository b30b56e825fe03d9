"""`Loop`: one turn after the other. Each phase is tried in each turn, and one that fails does not affect the others.

Trainings and measurements take minutes. Meanwhile a thread goes on with human review and with the signs of life.

Everything that a turn does is in the store, the registry or the audit log before the next begins. So the process may
end anywhere: the next one reads where things are.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from rl_eval.errors import InputError
from rl_eval.production.alive import beat
from rl_eval.production.canary.controller import Controller
from rl_eval.production.canary.evidence import Decision
from rl_eval.production.heartbeats import Heartbeat
from rl_eval.production.loop import improvement, reviews
from rl_eval.production.loop.starting import Starter
from rl_eval.production.loop.training import Trained, run_training
from rl_eval.production.parts import Parts
from rl_eval.production.states import RUNNING
from rl_eval.production.store import TrainingLostError
from rl_eval.production.watch.figures import EVIDENCE

MOST_LOOKS = 200
FAILURES = (InputError, OSError, FloatingPointError, MemoryError, RuntimeError)


@dataclass
class Turn:
    """What a turn did.

    Attributes:
        decision: on the roll-out.
        trained: the result of a training; None: none was due.
        asked: decisions that went to a person.
        failures: phase -> a sentence.
    """

    decision: Decision | None = None
    trained: Trained | None = None
    asked: int = 0
    failures: dict[str, str] = field(default_factory=dict)


class Loop:
    """The control loop of one process; any number of processes may run one.

    Args:
        say: prints a line; the same line is not printed twice in a row.
    """

    def __init__(self, parts: Parts, say: Callable[[str], Any] = print):
        self.parts = parts
        self.controller = Controller(
            parts.store, parts.registry, parts.audit, parts.config.rollout, parts.steady, parts.clock,
            parts.queue.waiting,
        )  # fmt: skip
        self.starter = Starter(parts)
        self._heartbeat = Heartbeat(parts.store, "loop")
        self._say, self._printed = say, dict[str, str]()

    def turn(self) -> Turn:
        """One pass over all phases."""
        turn = Turn()
        self._beat()
        self._phase(turn, "roll-out", self._roll_out)
        with self._meanwhile(turn):
            self._phase(turn, "training", self._train)
            self._phase(turn, "improvement", lambda _: improvement.measure_champion(self.parts))
        self._phase(turn, "review", self._review)
        return turn

    @contextlib.contextmanager
    def _meanwhile(self, turn: Turn) -> Iterator[None]:
        """Go on with what does not wait for a training, as often as there would be a turn."""
        ended = threading.Event()

        def repeat() -> None:
            while not ended.wait(self.parts.config.loop.turn):
                self._beat()
                self._phase(turn, "review", self._review)

        thread = threading.Thread(target=repeat, daemon=True, name="review")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self) -> None:
        beat()
        with contextlib.suppress(InputError):  # of a store that is away, which the page says
            self._heartbeat.beat()

    def _phase(self, turn: Turn, name: str, act: Callable[[Turn], Any]) -> None:
        try:
            act(turn)
        except TrainingLostError as error:  # what this process has learned is left where it is
            turn.failures[name] = str(error)
        except FAILURES as error:
            turn.failures[name] = str(error) or type(error).__name__
        failure = turn.failures.get(name, "")
        self._say_once(name, failure and f"{name}: {failure}")

    def _say_once(self, about: str, line: str) -> None:
        """Print a line about something, unless it is empty or was the latest one about it."""
        if line and self._printed.get(about) != line:
            self._say(line)
        self._printed[about] = line

    def _roll_out(self, turn: Turn) -> None:
        turn.decision = decision = self.controller.run_pass()
        self._say_once("availability", f"roll-out: {decision.sentence}" if decision.figure == "availability" else "")
        self._say_once("bounds", f"roll-out: {decision.sentence}" if decision.figure == "bounds" else "")
        if decision.figure == "undone":
            self._say(f"roll-out: {decision.sentence}")
        if decision.figure in ("idle", "pinned", "undone"):
            return
        before, after = self.controller.decided_on, self.controller.row()
        look = {**asdict(decision), "at": self.parts.clock(), "state": before.state, "share": before.share,
                "share_after": after.share, "margin": self.parts.config.rollout.margin,
                **_step_figures(self.controller)}  # fmt: skip
        document = self.parts.store.document(EVIDENCE)
        looks = list(document.body.get("looks", []))
        if looks and all(looks[-1].get(key) == look[key] for key in ("sentence", "state", "share", "units")):
            return
        if decision.verdict != "hold":
            self._say(f"roll-out: {decision.verdict.replace('_', ' ')}, {decision.sentence}")
        self.parts.store.swap_document(document.number, {"looks": [*looks, look][-MOST_LOOKS:]}, EVIDENCE)

    def _train(self, turn: Turn) -> None:
        training = self.starter.due()
        self._say_once("held back", self.starter.held_back)
        if training is None:
            return
        self._say(f"training {training.id} ({training.kind}) on {training.experiences:,} experiences")
        turn.trained = run_training(self.parts, training, self._beat)
        self._say(turn.trained.sentence)

    def _review(self, turn: Turn) -> None:
        turn.asked += reviews.update_queue(self.parts, self.parts.clock())


def _step_figures(controller: Controller) -> dict[str, Any]:
    """The units that count in this step, and the difference of mean rewards in units of the reward, if any."""
    watched = controller.watcher.watched
    rewards = None if watched is None or controller.decided_on.state not in RUNNING else watched.rewards
    if rewards is None:
        return {"units": 0, "difference": None}
    return {"units": rewards.units, "difference": rewards.test.estimate if rewards.test.units else None}
