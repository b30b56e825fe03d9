"""`PolicyServer`: the served policy, its store and its learner, without HTTP.

All methods except the learning itself run in the thread of the event loop. A policy never changes: an update puts
another object in its place, so each decision is that of one version.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.serving import checkpoints
from rl_eval.serving.batching import Batch
from rl_eval.serving.bodies import RefusedError
from rl_eval.serving.deciding import decide_together, rows_of
from rl_eval.serving.experience import ReceivedExperience, keep_experience
from rl_eval.serving.history import History, read_history, write_history
from rl_eval.serving.learning import MAX_TRANSITIONS, Learner
from rl_eval.serving.learning_imports import import_learning
from rl_eval.serving.observing import Observing
from rl_eval.serving.requests import SelectRequest
from rl_eval.serving.served_policy import Decisions
from rl_eval.serving.source import Source
from rl_eval.serving.statistics import Statistics
from rl_eval.serving.store import FAULTY, Store
from rl_eval.serving.threads import in_thread

KEEP_DECISIONS = 200_000


class PolicyServer:
    """A policy that is served from a folder of its own.

    Args:
        source: what is served first; a folder that has learned goes on from where it was.
        folder: of the store and the checkpoints; this process has its lock.
        update_after: transitions that an update needs; None: as many as an iteration of training has.
        keep: decisions that the store keeps.
        seed: of the draws; None: another one each time.

    Raises:
        InputError: the folder is that of another policy, or damaged.
    """

    def __init__(
        self,
        source: Source,
        folder: Path,
        *,
        update_after: int | None = None,
        keep: int = KEEP_DECISIONS,
        seed: int | None = None,
    ):
        self.source, self.folder, self.statistics = source, folder, Statistics()
        self.observing = Observing(source.text_observer())
        self.store = Store(folder, keep)
        self._rng = np.random.default_rng(seed)
        self._update_after = update_after
        self._learner: Learner | None = None
        self.learning = False
        try:
            self.policy, self.changes = checkpoints.current(folder, self.store, source)
            self.history = read_history(self.store).serving(self.policy.version)
        except BaseException:
            self.store.close()
            raise
        self._decisions: Batch[SelectRequest, tuple[Decisions, list[str] | None, str]] = Batch(self._decide)
        self._experiences: Batch[ReceivedExperience, tuple[str, bool]] = Batch(self._keep_experiences)

    async def select(self, request: SelectRequest) -> tuple[Decisions, list[str] | None, str]:
        """Decisions, their ids where they are recorded, and the version that made them.

        Raises:
            InputError: a policy of other code fails.
        """
        return await self._decisions.submit(request)

    def _decide(self, requests: Sequence[SelectRequest]) -> list[tuple[Decisions, list[str] | None, str] | Exception]:
        served = self.policy
        decided = decide_together(requests, served, self._rng)
        answered = list(zip(requests, decided, strict=True))
        rows = [
            row
            for request, answer in answered
            if request.record and isinstance(answer, Decisions)
            for row in rows_of(request, answer, served)
        ]
        ids: list[str] = []
        if rows:
            with self.store.transaction():
                ids = self.store.add_decisions(rows)
        results: list[tuple[Decisions, list[str] | None, str] | Exception] = []
        for request, answer in answered:
            if isinstance(answer, Exception):
                results.append(answer)
                continue
            count = len(request.observation.rows) if request.record else 0
            results.append((answer, ids[:count] if request.record else None, served.version))
            ids = ids[count:]
            if served.actions is not None:
                self.statistics.actions.update(map(str, answer.actions.tolist()))
        self.statistics.batches[sum(len(request.observation.rows) for request in requests)] += 1
        return results

    async def keep_experience(self, received: ReceivedExperience) -> tuple[str, bool]:
        """The id of a decision whose experience is on disk, and whether it is new.

        Raises:
            RefusedError: an unknown decision, other values than before, or something that does not fit.
        """
        return await self._experiences.submit(received)

    def _keep_experiences(self, received: Sequence[ReceivedExperience]) -> list[tuple[str, bool] | Exception]:
        results: list[tuple[str, bool] | Exception] = []
        rewards: list[float] = []
        with self.store.transaction():
            for one in received:
                try:
                    decision_id, new = keep_experience(one, self.store, self.policy)
                except RefusedError as error:  # before anything was written
                    results.append(error)
                    continue
                results.append((decision_id, new))
                if new:
                    rewards.append(one.body.reward)
        self.statistics.add_rewards(rewards)
        return results

    async def update(self) -> dict[str, Any]:
        """Learn from what is stored; see `UpdateAnswer`.

        Raises:
            RefusedError: 409, an update runs already, or this policy cannot learn here.
        """
        if self.learning:
            raise RefusedError(409, "an update is running already: wait for its answer")
        self.learning = True
        # A task of its own: the client may go away meanwhile.
        return await asyncio.shield(asyncio.create_task(self._update()))

    async def _update(self) -> dict[str, Any]:
        try:
            if self._learner is None and self.source.run_config is not None:
                await import_learning()
            learner = self._learner if self._learner is not None else await in_thread(self._make_learner)
            self._learner = None  # until it has learned something that is kept
            answer = await self._learn(learner)
            self._learner = learner
            return answer
        except InputError as error:
            raise error if isinstance(error, RefusedError) else RefusedError(409, str(error)) from error
        finally:
            self.learning = False

    async def _learn(self, learner: Learner) -> dict[str, Any]:
        started, number, served = time.perf_counter(), self.changes + 1, self.policy
        version = served.version if learner.on_policy else None
        rows = await in_thread(lambda: self.store.unused(version, max(MAX_TRANSITIONS, learner.needed)))
        if len(rows) < learner.needed:
            return _update_answer(False, served.version, len(rows), learner.needed - len(rows), {})
        seqs = [row.seq for row in rows]
        try:
            losses = await in_thread(lambda: learner.learn(rows))
            arrays, meta, policy = await in_thread(learner.checkpoint)
        except FloatingPointError as error:
            with self.store.transaction():
                self.store.mark(seqs, FAULTY)
            raise RefusedError(
                409, f"{error}; the policy stays as it was, and these {len(seqs)} transitions are set aside"
            ) from error
        await in_thread(lambda: checkpoints.write_version(self.folder, number, arrays, meta))
        history = self.history.updated(policy.version, time.time(), time.perf_counter() - started, losses)
        with self.store.transaction():
            self.store.mark(seqs, number)
            if learner.on_policy:
                self.store.mark_stale(policy.version)
            self._keep_current(number, history)
        self.policy, self.changes, self.history = policy, number, history
        await in_thread(self._forget_earlier)
        return _update_answer(True, policy.version, len(rows), 0, losses)

    def _make_learner(self) -> Learner:
        learner = Learner(self.source, self._update_after, self.folder)
        for number in self.store.updates_that_fill(learner.buffer_size, self.changes):
            learner.refill(self.store.used_by(number))
        learner.start(*checkpoints.read_version(self.folder, self.changes, self.source))
        return learner

    def _keep_current(self, number: int, history: History) -> None:
        """Serve a version from the next start on; inside a `transaction`."""
        checkpoints.make_current(self.store, number)
        write_history(self.store, history)

    @property
    def updates(self) -> int:
        """Updates since the folder began."""
        return self.changes - self.history.loads

    def _forget_earlier(self) -> None:
        """Remove earlier versions once no power failure can bring them back as the current one."""
        with contextlib.suppress(OSError):  # the next one removes them, too
            self.store.wait_for_disk()
            checkpoints.remove_old(self.folder, self.changes)

    @property
    def buffer_fill(self) -> float | None:
        """The share of DQN's replay buffer that is filled, once it was filled."""
        return None if self._learner is None else self._learner.buffer_fill

    def save(self, name: str) -> str:
        """Write the policy, and the agent's state, under a name; returns the version.

        Raises:
            RefusedError: 409, an update is running, or there is nothing that could be saved.
        """
        self._require_idle()
        self.store.require_file()
        checkpoints.save(self.folder, name, self.changes, self.source)
        return self.policy.version

    def load(self, name: str) -> str:
        """Serve a checkpoint that was saved; returns its version.

        Raises:
            RefusedError: 404, there is none of that name; 409, an update is running.
        """
        self._require_idle()
        self.store.require_file()
        arrays, meta = checkpoints.read_saved(self.folder, name)
        policy, number = checkpoints.policy_of(arrays, meta, self.source), self.changes + 1
        checkpoints.write_version(self.folder, number, arrays, meta)
        history = self.history.loaded(policy.version)
        with self.store.transaction():
            self._keep_current(number, history)
        self._learner = None
        self.policy, self.changes, self.history = policy, number, history
        self._forget_earlier()
        return policy.version

    def _require_idle(self) -> None:
        if self.learning:
            raise RefusedError(409, "an update is running: wait for its answer")
        if self.source.run_config is None:
            raise RefusedError(409, f"{self.source.name} is an ONNX file, which never changes: copy the file instead")

    def close(self) -> None:
        """Everything is on disk afterwards."""
        self.store.close()


def _update_answer(
    updated: bool, version: str, transitions: int, needed: int, losses: dict[str, float]
) -> dict[str, Any]:
    return {
        "updated": updated, "policy_version": version, "transitions": transitions, "needed": needed, "losses": losses,
    }  # fmt: skip
