"""Live vector environments: the first training copy runs cycles over HTTP, the others replay their verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl_eval.domains.qase.config import Config, milliseconds
from rl_eval.domains.qase.environment.dataset import is_security
from rl_eval.domains.qase.environment.features import FEATURES, HISTORY_FEATURES, case_features, history_features
from rl_eval.domains.qase.environment.ranking import apfd, apfdc, mid_ranks, napfd, passing_behind
from rl_eval.domains.qase.environment.vector import QaseVector, pair_worth
from rl_eval.domains.qase.live.cycle import CycleResult
from rl_eval.domains.qase.live.held_out_builds import HeldOutBuilds, execution_log
from rl_eval.domains.qase.live.session import LiveSession, blocked_text, connect, part_schedule, runnable_cases
from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, PASS
from rl_eval.errors import InputError

MAX_HISTORY_CYCLES = 256  # cycles that the history features use
SPARE_SLOTS = 3  # slots kept for cycles that copies still play


@dataclass
class CycleBuffer:
    """The newest cycles, each in a slot of C rows; the last slot is the next cycle. Same arrays as `CycleSet`.

    The first rows of a cycle are the cases that ran and have a verdict. Features are those from before the cycle.
    """

    features: np.ndarray = field(repr=False)
    verdict: np.ndarray = field(repr=False)
    duration_ms: np.ndarray = field(repr=False)
    case: np.ndarray = field(repr=False)
    unseen: np.ndarray = field(repr=False)
    security: np.ndarray = field(repr=False)
    start: np.ndarray = field(repr=False)
    lengths: np.ndarray = field(repr=False)

    @classmethod
    def empty(cls, slots: int, security: np.ndarray) -> CycleBuffer:
        """`slots` cycles with one row for each entry of `security`; no case has run."""
        cases = len(security)
        rows = slots * cases
        return cls(
            features=np.zeros((rows, len(FEATURES)), np.float32),
            verdict=np.zeros(rows, np.int8),
            duration_ms=np.zeros(rows),
            case=np.tile(np.arange(cases, dtype=np.int32), slots),
            unseen=np.zeros(rows, bool),
            security=np.tile(security, slots),
            start=np.arange(slots + 1, dtype=np.int64) * cases,
            lengths=np.full(slots, cases, np.int64),
        )

    def __len__(self) -> int:
        return len(self.lengths)


class LiveTraining(QaseVector):
    """Copies that train on a running service.

    The first copy plays the next cycle. At its end the cases run over HTTP, ordered by the agent's levels, and their
    verdicts join the buffer of the newest `keep` cycles. The other copies replay the buffered cycles that have a
    failure. The steps of the first copy earn no pairs, since no verdict is known yet. A single copy alternates between
    the next cycle and a buffered one.

    `warmup` cycles run with all cases before the first step.
    """

    def __init__(self, config: Config, *, n_envs: int, autoreset: bool = True):
        self._project = runnable_cases(config).project
        self._case_features = case_features(self._project)
        self._builds = part_schedule(config, "train", 256)
        self._slots = config.keep + SPARE_SLOTS
        self._cycles: list[CycleResult] = []  # the newest cycles, for the history features
        self._count = 0  # number of cycles that ran
        self._session: LiveSession | None = None
        self._usable = np.zeros(self._slots, bool)  # slots whose cycle has a failure
        self._security = is_security(self._project)
        buffer = CycleBuffer.empty(self._slots + 1, self._security)
        super().__init__(config, n_envs=n_envs, part="train", autoreset=autoreset, record=buffer)  # type: ignore[arg-type]
        self._pair_worth[:] = self._failure_share[:] = 0.0

    def reset(self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None):
        """Start every copy, or those in `options["reset_mask"]`.

        Raises:
            InputError: the service cannot be reached, or no case fails in the warm-up.
        """
        self._session = connect(self.config)
        while self._count < self.config.warmup:
            self._take(self._session.run_all_cases(self._build(), f"train {self._count}"))
        if self._count == self.config.warmup and not self._usable.any():
            raise InputError(
                f"no case fails in the {self.config.warmup} cycles of the warm-up{blocked_text(self._cycles[-1])}, so "
                "there is nothing to learn from: test a service that has faults, or raise env.warmup"
            )
        return super().reset(seed=seed, options=options)

    def _build(self) -> np.ndarray:
        while self._count >= len(self._builds):
            self._builds = part_schedule(self.config, "train", 2 * len(self._builds))
        return self._builds[self._count]

    def _take(self, cycle: CycleResult) -> None:
        """Store a finished cycle in the buffer, and prepare the features of the next one."""
        record, cases = self._record, len(self._project.cases)
        pending = slice(self._slots * cases, None)
        if self._count:  # the first cycle has no history features
            slot = self._count % self._slots
            with_verdict = np.flatnonzero(cycle.ran & (cycle.verdict != NO_VERDICT))
            order = np.concatenate([with_verdict, np.setdiff1d(np.arange(cases), with_verdict)])
            rows = slice(slot * cases, (slot + 1) * cases)
            record.features[rows] = record.features[pending][order]
            record.verdict[rows] = np.maximum(cycle.verdict[order], 0)
            record.duration_ms[rows], record.case[rows] = cycle.duration_ms[order], order
            record.security[rows] = record.security[pending][order]
            failed = int((cycle.verdict[with_verdict] == FAIL).sum())
            record.lengths[slot] = max(len(with_verdict), 1)
            self._usable[slot] = failed > 0
            passed, full_ms = len(with_verdict) - failed, cycle.duration_ms[with_verdict].sum()
            worth_of = pair_worth(np.array([failed]), np.array([passed]), np.array([full_ms]), self.config.timed)
            self._pair_worth[slot] = worth_of[0]
            self._failure_share[slot] = failed / max(len(with_verdict), 1)
        self._cycles = [*self._cycles[1 - MAX_HISTORY_CYCLES :], cycle]
        self._count += 1
        log = execution_log(self._cycles, cases, pending=True)
        record.features[pending, -len(HISTORY_FEATURES) :] = history_features(self._project, log)[-cases:]
        record.features[pending, : -len(HISTORY_FEATURES)] = self._case_features
        spent = np.array([recent.duration_ms for recent in self._cycles])
        times = np.array([recent.ran for recent in self._cycles]).sum(axis=0)
        expected = np.where(times > 0, spent.sum(axis=0) / np.maximum(times, 1), spent.sum() / max(times.sum(), 1))
        record.duration_ms[pending] = expected
        self._budget_ms[:] = self._budget_of(expected.sum())

    def _budget_of(self, full_ms: float) -> float:
        budget = self.config.budget
        if budget is None:
            return np.inf
        return milliseconds(budget) if isinstance(budget, str) else full_ms * budget

    def _run(self, copies: np.ndarray) -> dict[str, np.ndarray]:
        facts = {name: np.asarray(values, np.float64) for name, values in super()._run(copies).items()}
        if copies[0] != 0 or self._episode[0] != self._slots:
            return facts
        order = np.argsort(-self._scores[0], kind="stable")  # the cases are shuffled, so ties break at random
        case, build, budget = self._record.case[self._rows[0]][order], self._build(), self._budget_ms[self._slots]
        assert self._session is not None
        cycle = self._session.run(case, build, float(budget))
        with_verdict = cycle.verdict[case] != NO_VERDICT  # cases that did not run or were blocked do not count
        case, scores = case[with_verdict], self._scores[:1, order[with_verdict]]
        failed, real = (cycle.verdict[case] == FAIL)[None], np.ones((1, len(case)), bool)
        outcomes = {
            **live_cycle_facts(cycle, case, failed[0], build, self._security),
            "apfd": apfd(mid_ranks(scores, real), failed, real)[0],
            "apfdc": apfdc(np.arange(len(case))[None], failed, cycle.duration_ms[case][None], real)[0],
        }
        for name, value in outcomes.items():
            facts[name][0] = value
        self._take(cycle)
        return facts

    def _draw(self, mask: np.ndarray) -> None:
        self._turn = mask[0] and not (self.num_envs == 1 and self._episode[0] == self._slots)
        super()._draw(mask)

    def _next_cycles(self, count: int) -> np.ndarray:
        """The next cycle for the first copy, buffered cycles for the others, each once before any is repeated.

        If no buffered cycle has a failure, the newest one, from which nothing is learned.
        """
        drawn: list[int] = [self._slots] if self._turn else []
        drawable = self._usable.copy()
        drawable[(self._count + np.arange(SPARE_SLOTS)) % self._slots] = False  # about to be overwritten
        if not drawable.any():
            drawable[(self._count - 1) % self._slots] = True
        while len(drawn) < count:
            if self._cursor >= len(self._queue):
                self._queue, self._cursor = self._rng.permutation(np.flatnonzero(drawable)), 0
            slot = int(self._queue[self._cursor])
            self._cursor += 1
            if drawable[slot]:
                drawn.append(slot)
        return np.array(drawn, np.int64)

    def get_state(self) -> dict[str, Any]:
        """The state that determines all later steps, except the service itself, as arrays and JSON values."""
        cycles = {
            name: np.stack([getattr(cycle, name) for cycle in self._cycles])
            for name in ("status", "verdict", "duration_ms", "bugs", "ran")
        }
        buffer = {name: getattr(self._record, name).copy() for name in _BUFFER_ARRAYS}
        scales = {name: getattr(self, f"_{name}").copy() for name in _SCALE_ARRAYS}
        return {**super().get_state(), "cycles": cycles, "buffer": buffer, "scales": scales, "count": self._count}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly where `get_state` was called, without a warm-up.

        Raises:
            InputError: the service cannot be reached.
            ValueError: a state of another shape.
        """
        for name in _BUFFER_ARRAYS:
            current, saved = getattr(self._record, name), np.asarray(state["buffer"][name])
            if current.shape != saved.shape:
                raise ValueError(f"state {name!r} has shape {saved.shape}, and this environment has {current.shape}")
        super().set_state(state)
        for name in _BUFFER_ARRAYS:
            getattr(self._record, name)[...] = state["buffer"][name]
        for name in _SCALE_ARRAYS:
            getattr(self, f"_{name}")[...] = state["scales"][name]
        self._session, self._count = connect(self.config), int(state["count"])
        columns = {name: np.asarray(values) for name, values in state["cycles"].items()}
        none = ("",) * len(self._project.cases)
        self._cycles = [
            CycleResult(
                **{name: values[i] for name, values in columns.items()}, reasons=none, spent_ms=0.0, service_gone=False
            )
            for i in range(len(columns["verdict"]))
        ]


_BUFFER_ARRAYS = ("features", "verdict", "duration_ms", "case", "security", "lengths")
_SCALE_ARRAYS = ("usable", "pair_worth", "failure_share", "budget_ms")


class LiveHeldOut(QaseVector):
    """Held-out builds, each run over HTTP in the order chosen by a policy.

    `apfd` and `apfdc` are computed from all recorded verdicts; found failures are those that failed in this run.
    """

    def __init__(self, config: Config, builds: HeldOutBuilds, *, n_envs: int):
        self._builds, self._session = builds, connect(config)
        self._security = is_security(runnable_cases(config).project)
        super().__init__(config, n_envs=n_envs, part="test", autoreset=False, record=builds.part)

    def _run(self, copies: np.ndarray) -> dict[str, np.ndarray]:
        facts = {name: np.asarray(values, np.float64) for name, values in super()._run(copies).items()}
        for at, copy in enumerate(copies):
            episode, length = int(self._episode[copy]), int(self._length[copy])
            rows, scores = self._rows[copy, :length], self._scores[copy, :length]
            rows = rows[np.lexsort((self._ties(rows), -scores))]
            case, build = self._record.case[rows], self._builds.bugs[episode]
            cycle = self._session.run(case, build, float(self._budget_ms[episode]))
            failed = (self._record.verdict[rows] == FAIL) | (cycle.verdict[case] == FAIL)
            for name, value in live_cycle_facts(cycle, case, failed, build, self._security).items():
                facts[name][at] = value
        return facts


def live_cycle_facts(
    cycle: CycleResult, order: np.ndarray, failed: np.ndarray, build: np.ndarray, security: np.ndarray
) -> dict[str, float]:
    """Outcome facts of a live cycle, by the names of `CYCLE_FACTS`.

    Args:
        order: `[K]` the cases that count, in running order.
        failed: `[K]` which of them failed, in this cycle or in the recorded one.
        build: `[B]` the bugs of the build.
        security: `[C]` whether each case is a security case.
    """
    verdict, position, real = cycle.verdict[order], np.arange(len(order))[None], np.ones((1, len(order)), bool)
    detected = verdict == FAIL
    return {
        "napfd": float(napfd(position + 1, failed[None], detected[None], real)[0]),
        "failures": float(failed.sum()),
        "found": float(detected.sum()),
        "time_ranked": float(passing_behind(position, failed[None], detected[None], real)[0]),
        "security_passed": float(((verdict == PASS) & security[order]).sum()),
        "bugs": float(build.sum()),
        "bugs_found": float(int(np.bitwise_or.reduce(cycle.bugs)).bit_count()),
    }
