"""The session with the service under test: its runnable cases, one connection per process, and runs of cycles."""

from __future__ import annotations

import atexit
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.domains.qase import service
from rl_eval.domains.qase.config import Config
from rl_eval.domains.qase.environment.features import FEATURES, case_features, constant_features
from rl_eval.domains.qase.environment_variables import data_path
from rl_eval.domains.qase.fixed_strings import LIVE_FINGERPRINT_KEYS
from rl_eval.domains.qase.live.build_schedule import bug_ids, draw_builds
from rl_eval.domains.qase.live.calls import NotRunnable, parse_case
from rl_eval.domains.qase.live.cycle import CycleResult, run_cycle
from rl_eval.domains.qase.live.runner import BLOCKED, Runner
from rl_eval.domains.qase.model.project import Case, Project, build_project
from rl_eval.domains.qase.service import NotStartedError, start
from rl_eval.errors import InputError
from rl_eval.seeding import part_key

if TYPE_CHECKING:
    from rl_eval.domains.qase.service import Service


@dataclass(frozen=True)
class RunnableCases:
    """The cases that can be run, in project order, and the reasons for the others.

    Attributes:
        project: the project with only the runnable cases.
        left_out: (case, reason) of each other case.
    """

    project: Project = field(repr=False)
    left_out: tuple[tuple[Case, str], ...] = field(repr=False)


@dataclass
class LiveSession:
    """A connection to a service under test.

    Attributes:
        service: the embedded service, which can switch builds; None: another service.
        complete_cycles: cycles where every case ran. Keyed by build for the embedded service, whose cases do not
            depend on their order; keyed by the cycle's name for any other.
    """

    cases: tuple[Case, ...]
    runner: Runner
    service: Service | None
    complete_cycles: dict[bytes | str, CycleResult] = field(default_factory=dict)

    def run(self, order: Sequence[int] | np.ndarray, build: np.ndarray, budget_ms: float = math.inf) -> CycleResult:
        """Run cases in an order on a build until the budget is spent.

        Raises:
            InputError: the service does not answer any more.
        """
        bugs = bug_ids(build) if self.service is not None else None
        # a budget equal to the sum of all durations, added in another order, must let all cases run
        limit = None if math.isinf(budget_ms) else budget_ms * (1 + 1e-9)
        cycle = run_cycle(self.runner, self.service, self.cases, order, limit, bugs)
        if cycle.service_gone:
            raise InputError(
                f"the service at {self.runner.base_url} does not answer: start it; a run that had begun "
                "continues with `python train.py resume=<the run>`"
            )
        return cycle

    def run_all_cases(self, build: np.ndarray, name: str) -> CycleResult:
        """Run every case on a build, or return the earlier result of the same build.

        Args:
            name: name of the cycle, such as `train 3`; the key for a service other than the embedded one.
        """
        key = build.tobytes() if self.service is not None else name
        if key not in self.complete_cycles:
            self.complete_cycles[key] = self.run(np.arange(len(self.cases)), build)
        return self.complete_cycles[key]

    def close(self) -> None:
        """Close the connection and end the service that was started for it."""
        self.runner.close()
        if self.service is not None:
            self.service.close()


def blocked_text(cycle: CycleResult) -> str:
    """Part of a sentence: how many cases of a cycle were blocked and why; empty if none were."""
    blocked_cases = np.flatnonzero(cycle.status == BLOCKED)
    if not len(blocked_cases):
        return ""
    reason = cycle.reasons[blocked_cases[0]][:-1]
    return f" ({len(blocked_cases)} of {len(cycle.status)} cases were blocked in the last cycle: {reason})"


def runnable_cases(config: Config) -> RunnableCases:
    """The cases of the config's project that can be run.

    Raises:
        InputError: a source without runnable cases.
    """
    if config.data == "history":
        raise InputError("env.mode=live runs test cases, and env.data=history has only their names: use env.data=qase")
    if config.data == "qase" and config.base_url is None:
        raise InputError(
            "env.mode=live with env.data=qase needs the service that these cases are for: give its address as "
            "env.base_url=https://…, or try the embedded project and its service with env.data=synthetic"
        )
    if config.data == "synthetic":
        project = service.project()
    else:
        from rl_eval.domains.qase.formats.load import load

        path = data_path(config.path)
        imported_project = load(path).project
        if imported_project is None:
            raise InputError(f"{path} has no cases: give a Qase export as env.path")
        project = imported_project
    plans = [parse_case(case) for case in project.cases]
    left_out = [(c, p.reason) for c, p in zip(project.cases, plans, strict=True) if isinstance(p, NotRunnable)]
    runnable = [case for case, plan in zip(project.cases, plans, strict=True) if not isinstance(plan, NotRunnable)]
    if len(runnable) < 2:
        why = f", the first because {left_out[0][1]}" if left_out else ""
        raise InputError(
            f"{len(runnable)} of {len(project.cases)} cases can be run{why}: write steps such as `POST /users` with an "
            "expected result such as `201`; docs/qase-service.md has the form"
        )
    return RunnableCases(build_project(project.suites, runnable, "the runnable cases"), tuple(left_out))


_sessions: dict[str, LiveSession] = {}


def connect(config: Config) -> LiveSession:
    """The session of a config; starts the embedded service if it is used.

    Raises:
        InputError: the service cannot be started, or the base URL is invalid.
    """
    key = config.model_dump_json(include={"data", "path", "base_url", "timeout_s"})
    session = _sessions.get(key)
    if session is not None and session.service is not None and not session.service.alive():
        session.close()
        session = None
    if session is None:
        cases = runnable_cases(config).project.cases
        if config.base_url is not None:
            session = LiveSession(cases, Runner(config.base_url, config.timeout_s), None)
        else:
            try:
                service = start()
            except NotStartedError as error:
                raise InputError(f"{error}; see docs/qase-service.md, or give env.base_url") from error
            runner = Runner(service.base_url, config.timeout_s, truth_token=service.token)
            session = LiveSession(cases, runner, service)
        _sessions[key] = session
    return session


@atexit.register
def _close_all() -> None:
    for session in _sessions.values():
        session.close()


def part_schedule(config: Config, part: str, count: int) -> np.ndarray:
    """The bugs of the first `count` builds of a part: bool `[count, B]`; each part has its own random stream.

    Another service than the embedded one has a single build, without known bugs.
    """
    if config.base_url is not None:
        return np.zeros((count, 1), bool)
    seed = int(np.random.SeedSequence([config.data_seed, *part_key(part).encode()]).generate_state(1)[0])
    return draw_builds(seed, count)


def fingerprints(config: Config) -> dict[str, str]:
    """Part -> SHA-256 of the cases and the schedule of builds; nothing is run."""
    cases = "".join(case.model_dump_json() for case in runnable_cases(config).project.cases)
    settings = config.model_dump_json(include=LIVE_FINGERPRINT_KEYS)
    return {
        part: hashlib.sha256(f"{part_key(part)}\0{settings}\0{cases}".encode()).hexdigest()
        for part in ("train", "validation", "test")
    }


def preprocessing(config: Config) -> dict[str, Any]:
    """Description of the observations and of the cases that cannot be run, as JSON, saved with a run."""
    runnable = runnable_cases(config)
    return {
        "features": list(FEATURES),
        "constant": list(constant_features(case_features(runnable.project))),
        "runnable_cases": len(runnable.project.cases),
        "not_runnable": [{"id": case.id, "title": case.title, "reason": reason} for case, reason in runnable.left_out],
    }
