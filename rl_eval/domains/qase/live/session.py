"""The service that is tested and the cases that are run against it; one connection a process, however many ask."""

from __future__ import annotations

import atexit
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.domains.qase.config import Config
from rl_eval.domains.qase.environment.features import FEATURES, case_features, constant_features
from rl_eval.domains.qase.live.build_schedule import bug_ids, draw_builds
from rl_eval.domains.qase.live.calls import NotRunnable, parse_case
from rl_eval.domains.qase.live.cycle import CycleResult, run_cycle
from rl_eval.domains.qase.live.runner import BLOCKED, Runner
from rl_eval.domains.qase.model.project import Case, Project, build_project
from rl_eval.errors import InputError
from rl_eval.seeding import part_key

if TYPE_CHECKING:
    from rl_eval.domains.qase.service import Service


@dataclass(frozen=True)
class RunnableCases:
    """The cases that can be run, in the order of their project, and why the others cannot.

    Attributes:
        project: of the runnable cases alone.
        left_out: case and reason.
    """

    project: Project = field(repr=False)
    left_out: tuple[tuple[Case, str], ...] = field(repr=False)


@dataclass
class LiveSession:
    """A service that answers.

    Attributes:
        service: the embedded one, which can be switched between builds; None: somebody's own.
        complete_cycles: cycles in which every case ran. Keyed by build for the embedded service, whose cases do not
            depend on their order; keyed by the cycle's name for any other.
    """

    cases: tuple[Case, ...]
    runner: Runner
    service: Service | None
    complete_cycles: dict[bytes | str, CycleResult] = field(default_factory=dict)

    def run(self, order: Sequence[int] | np.ndarray, build: np.ndarray, budget_ms: float = math.inf) -> CycleResult:
        """Run cases in an order on a build, until the time is spent.

        Raises:
            InputError: nobody answers any more.
        """
        bugs = bug_ids(build) if self.service is not None else None
        # a budget that is the sum of the same durations, added in another order, must let all of them run
        limit = None if math.isinf(budget_ms) else budget_ms * (1 + 1e-9)
        cycle = run_cycle(self.runner, self.service, self.cases, order, limit, bugs)
        if cycle.service_gone:
            raise InputError(
                f"the service at {self.runner.base_url} does not answer: see to it that it runs; a run that had begun "
                "goes on with `python train.py resume=<the run>`"
            )
        return cycle

    def run_all_cases(self, build: np.ndarray, name: str) -> CycleResult:
        """Run every case on a build; where that was done before, what came of it then.

        Args:
            name: of the cycle, such as `train 3`: another service may answer otherwise each time.
        """
        key = build.tobytes() if self.service is not None else name
        if key not in self.complete_cycles:
            self.complete_cycles[key] = self.run(np.arange(len(self.cases)), build)
        return self.complete_cycles[key]

    def close(self) -> None:
        """End the connection, and the service that was started for it."""
        self.runner.close()
        if self.service is not None:
            self.service.close()


def blocked_text(cycle: CycleResult) -> str:
    """How much of a cycle was blocked and why, to be put into a sentence; empty where nothing was."""
    found = np.flatnonzero(cycle.status == BLOCKED)
    if not len(found):
        return ""
    return f" ({len(found)} of {len(cycle.status)} cases were blocked at last: {cycle.reasons[found[0]][:-1]})"


def runnable_cases(config: Config) -> RunnableCases:
    """The cases of the config's project that can be run.

    Raises:
        InputError: a source without cases that say how to be run, or none that can be.
    """
    if config.data == "history":
        raise InputError("env.mode=live runs test cases, and env.data=history has only their names: use env.data=qase")
    if config.data == "qase" and config.base_url is None:
        raise InputError(
            "env.mode=live with env.data=qase needs the service that these cases are for: give its address as "
            "env.base_url=https://…, or try the embedded project and its service with env.data=synthetic"
        )
    if config.data == "synthetic":
        from rl_eval.domains.qase import service

        project = service.project()
    else:
        from rl_eval.domains.qase.environment_variables import data_path
        from rl_eval.domains.qase.formats.load import load

        path = data_path(config.path)
        found = load(path).project
        if found is None:
            raise InputError(f"{path} holds no cases: give an export of Qase as env.path")
        project = found
    plans = [parse_case(case) for case in project.cases]
    left_out = [(c, p.reason) for c, p in zip(project.cases, plans, strict=True) if isinstance(p, NotRunnable)]
    kept = [case for case, plan in zip(project.cases, plans, strict=True) if not isinstance(plan, NotRunnable)]
    if len(kept) < 2:
        why = f", the first because {left_out[0][1]}" if left_out else ""
        raise InputError(
            f"{len(kept)} of {len(project.cases)} cases can be run{why}: write steps such as `POST /users` with an "
            "expected result such as `201`; docs/qase-service.md has the form"
        )
    return RunnableCases(build_project(project.suites, kept, "the runnable cases"), tuple(left_out))


_sessions: dict[str, LiveSession] = {}


def connect(config: Config) -> LiveSession:
    """The tested service of a config, started where it is the embedded one.

    Raises:
        InputError: it cannot be started, or the base URL is none.
    """
    key = config.model_dump_json(include={"data", "path", "base_url", "timeout_s"})
    known = _sessions.get(key)
    if known is not None and known.service is not None and not known.service.alive():
        known.close()
        known = None
    if known is None:
        cases = runnable_cases(config).project.cases
        if config.base_url is not None:
            known = LiveSession(cases, Runner(config.base_url, config.timeout_s), None)
        else:
            from rl_eval.domains.qase.service import NotStartedError, start

            try:
                service = start()
            except NotStartedError as error:
                raise InputError(f"{error}; see docs/qase-service.md, or give env.base_url") from error
            runner = Runner(service.base_url, config.timeout_s, truth_token=service.token)
            known = LiveSession(cases, runner, service)
        _sessions[key] = known
    return known


@atexit.register
def _close_all() -> None:
    for tested in _sessions.values():
        tested.close()


def part_schedule(config: Config, part: str, count: int) -> np.ndarray:
    """The bugs of the first `count` builds of a part: bool `[count, B]`; each part has a stream of its own.

    Without the embedded service there are none to switch, and every build is the one that runs.
    """
    if config.base_url is not None:
        return np.zeros((count, 1), bool)
    seed = int(np.random.SeedSequence([config.data_seed, *part_key(part).encode()]).generate_state(1)[0])
    return draw_builds(seed, count)


def fingerprints(config: Config) -> dict[str, str]:
    """Part -> SHA-256 of what is run against which builds; nothing is run for it."""
    cases = "".join(case.model_dump_json() for case in runnable_cases(config).project.cases)
    named = config.model_dump_json(include={"base_url", "data_seed", "warmup", "held_out_cycles", "min_cases"})
    return {
        part: hashlib.sha256(f"{part_key(part)}\0{named}\0{cases}".encode()).hexdigest()
        for part in ("train", "validation", "test")
    }


def preprocessing(config: Config) -> dict[str, Any]:
    """What is run and what cannot be, as JSON, to be saved with a run; constant are features of the cases alone."""
    found = runnable_cases(config)
    return {
        "features": list(FEATURES),
        "constant": list(constant_features(case_features(found.project))),
        "runnable_cases": len(found.project.cases),
        "not_runnable": [{"id": case.id, "title": case.title, "reason": reason} for case, reason in found.left_out],
    }
