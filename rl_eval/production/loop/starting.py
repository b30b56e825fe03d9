"""Whether a training is due, and who runs it: triggers, drift, and trainings that somebody left behind."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.production.drift import drifted_features
from rl_eval.production.loop.experience import observations
from rl_eval.production.loop.known import reference
from rl_eval.production.loop.versions import champion_of
from rl_eval.production.parts import Parts
from rl_eval.production.registry import CHALLENGER
from rl_eval.production.store import Training, TrainingRunningError
from rl_eval.production.triggers import Clock, Schedule
from rl_eval.production.watch.figures import DRIFT

ROWS = 2_000  # of reference and of recent traffic that drift compares
MOST = 50_000  # that are read for it
SHOWN_FEATURES = 20
GROWTH = 1.25  # drift is looked at again once so much more has come


class Starter:
    """Decides in one process when a training starts; the store decides between processes.

    Args:
        clock: seconds since 1970; `steady`: of a clock that never jumps.
    """

    def __init__(
        self, parts: Parts, clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ):
        self._parts, self._clock, self._steady = parts, clock, steady
        self._process = secrets.token_hex(8)
        self._schedule = Schedule(parts.store, parts.config.trigger)
        self._reference: tuple[int, np.ndarray] | None = None
        self._compared = 0

    def due(self) -> Training | None:
        """A training that this process has to run now; None: none.

        Raises:
            InputError: there is no champion, or a part is away.
        """
        parts = self._parts
        latest = parts.store.trainings(1)
        if latest and latest[0].state == "running":
            return self._start(latest[0].kind)  # taken over, once its lease has ended
        if latest and latest[0].state == "failed" and self._is_recent(latest[0]):
            return None  # what failed just now would fail again
        waiting = parts.store.waiting()
        # Drift has an answer already while a challenger is rolled out.
        drifted = bool(self.compare(waiting)) and CHALLENGER not in parts.registry.aliases()
        now = Clock(self._clock(), self._steady(), self._process)
        reason = self._schedule.due(now, waiting, drifted)
        if reason is None or (training := self._start(reason)) is None:
            return None
        self._schedule.began(now, reason)
        return training

    def _is_recent(self, training: Training) -> bool:
        return abs(self._clock() - (training.finished or 0.0)) < self._parts.config.training.lease

    def _start(self, kind: str) -> Training | None:
        try:
            training = self._parts.store.start_training(kind, lease=self._parts.config.training.lease)
        except TrainingRunningError:
            return None
        facts: dict[str, Any] = {"training": training.id, "kind": kind, "experiences": training.experiences}
        self._parts.audit.append("taken_over" if training.taken_over else "trigger", "loop", facts)
        return training

    def compare(self, waiting: int) -> list[dict[str, Any]]:
        """The features of waiting experience that have drifted; also kept in the store for the page.

        Args:
            waiting: how much experience waits.
        """
        parts, config = self._parts, self._parts.config.trigger
        document = parts.store.document(DRIFT)
        if waiting < config.least:
            self._compared = 0
            return []
        if self._compared and waiting < GROWTH * self._compared:
            return list(document.body.get("features", []))
        number, run, _ = champion_of(parts)
        if self._reference is None or self._reference[0] != number:
            self._reference = (number, reference(parts, number, run, ROWS))
        known = self._reference[1]
        last = parts.store.trainings(1)
        recent = observations(parts.store.accepted_since(last[0].last_seq if last else 0, MOST)[-ROWS:])
        features: list[dict[str, Any]] = []
        if len(recent):
            if recent.shape[1] != known.shape[1]:
                raise InputError(f"traffic has {recent.shape[1]} features, and the champion takes {known.shape[1]}")
            names = parts.config.quality.features
            drifted = drifted_features(known, recent, names, share=config.drift_share, alpha=config.drift_alpha)
            features = [{"name": one.name, "distance": one.distance, "p": one.p, "reference": one.reference,
                         "recent": one.recent} for one in drifted[:SHOWN_FEATURES]]  # fmt: skip
        self._compared = waiting
        body = {"at": self._clock(), "champion": number, "experiences": len(recent), "features": features}
        parts.store.swap_document(document.number, body, DRIFT)
        return features
