"""Whether a training is due, and who runs it: triggers, drift, and trainings that somebody left behind.

No training begins while a roll-out runs, a challenger waits for one, or a version is pinned: what it makes could not be
rolled out, and would be proved against a champion that may not stay. A training that is due meanwhile stays due, and is
looked at again once the roll-out has ended. Experience and time go on adding up, and drift is measured from the
champion of then.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.production.canary.row import Row
from rl_eval.production.drift import drifted_features
from rl_eval.production.loop.champion_observations import champion_observations
from rl_eval.production.loop.experience import observations
from rl_eval.production.loop.versions import champion_of, feature_names
from rl_eval.production.parts import Parts
from rl_eval.production.registry import CHALLENGER, CHAMPION
from rl_eval.production.states import RefusedEventError, next_state
from rl_eval.production.store import Training, TrainingRunningError
from rl_eval.production.triggers import Clock, Schedule
from rl_eval.production.watch.figures import DRIFT

ROWS = 2_000  # of reference and of recent traffic that drift compares
SHOWN_FEATURES = 20
GROWTH = 1.25  # drift is looked at again once so much more has come


class Starter:
    """Decides in one process when a training starts; the store decides between processes.

    Attributes:
        held_back: why a training that is due does not begin; empty where none is, or where it began.
    """

    def __init__(self, parts: Parts):
        self._parts = parts
        self._process = secrets.token_hex(8)
        self._schedule = Schedule(parts.store, parts.config.trigger)
        self._reference: tuple[int, np.ndarray] | None = None
        self._compared = 0
        self.held_back = ""

    def due(self) -> Training | None:
        """A training that this process has to run now; None: none.

        Raises:
            InputError: there is no champion, or a part is away.
        """
        parts, self.held_back = self._parts, ""
        latest = parts.store.trainings(1)
        if latest and latest[0].state == "running":
            return self._start(latest[0].kind)  # taken over, once its lease has ended
        if latest and latest[0].state == "failed" and self._is_recent(latest[0]):
            return None  # what failed just now would fail again
        waiting = parts.store.waiting()
        drifted = bool(self.compare(waiting))
        now = Clock(parts.clock(), parts.steady(), self._process)
        reason = self._schedule.due(now, waiting, drifted)
        if reason is None:
            return None
        if (obstacle := self._obstacle()) is not None:
            self.held_back = f"a training is due ({reason}), and begins later: {obstacle}"
            return None
        if (training := self._start(reason)) is not None:
            self._schedule.began(now, reason)
        return training

    def _obstacle(self) -> str | None:
        """Why no training may begin now; None: it may."""
        row = Row.parse(self._parts.store.document().body)
        try:
            next_state(row.state, "train")
        except RefusedEventError:
            return f"the roll-out is {row.state}"
        challenger = self._parts.registry.aliases().get(CHALLENGER)
        return None if challenger is None else f"version {challenger} is the challenger"

    def _is_recent(self, training: Training) -> bool:
        return abs(self._parts.clock() - (training.finished or 0.0)) < self._parts.config.training.lease

    def _start(self, kind: str) -> Training | None:
        try:
            training = self._parts.store.start_training(
                kind, now=self._parts.clock(), lease=self._parts.config.training.lease
            )
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
        champion = parts.registry.aliases().get(CHAMPION)
        same = document.body.get("champion") == champion
        if same and self._compared and waiting < GROWTH * self._compared:
            return list(document.body.get("features", []))
        number, run, _ = champion_of(parts)
        if self._reference is None or self._reference[0] != number:
            self._reference = (number, champion_observations(parts, number, run, ROWS))
        reference = self._reference[1]
        recent = observations(parts.store.accepted(limit=min(waiting, ROWS)))
        features: list[dict[str, Any]] = []
        if len(recent):
            if recent.shape[1] != reference.shape[1]:
                raise InputError(f"traffic has {recent.shape[1]} features, and the champion takes {reference.shape[1]}")
            names = feature_names(parts, run)
            names = names if len(names) == reference.shape[1] else []
            drifted = drifted_features(reference, recent, names, share=config.drift_share, alpha=config.drift_alpha)
            features = [{"name": one.name, "distance": one.distance, "p": one.p, "reference": one.reference,
                         "recent": one.recent} for one in drifted[:SHOWN_FEATURES]]  # fmt: skip
        self._compared = waiting
        body = {"at": parts.clock(), "champion": number, "experiences": len(recent), "features": features}
        parts.store.swap_document(document.number, body, DRIFT)
        return features
