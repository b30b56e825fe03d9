"""The builds held out of live training: all their cases run once, so that every policy gets the same history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from rl_eval.domains.qase.config import Config
from rl_eval.domains.qase.environment.dataset import CycleSet, content_hashes, execution_hashes, is_security
from rl_eval.domains.qase.environment.features import case_features, history_features
from rl_eval.domains.qase.live.cycle import CycleResult
from rl_eval.domains.qase.live.session import blocked_text, connect, part_schedule, runnable_cases
from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, ExecutionLog
from rl_eval.errors import InputError
from rl_eval.hashing import mix64
from rl_eval.seeding import part_key


@dataclass(frozen=True)
class HeldOutBuilds:
    """E builds on which every policy is judged.

    Attributes:
        part: their cycles with all cases run.
        bugs: `[E, B]` bool, the bugs of each build.
    """

    part: CycleSet = field(repr=False)
    bugs: np.ndarray = field(repr=False)


def held_out_builds(config: Config, part: str) -> HeldOutBuilds:
    """The builds of `validation` or `test` with all cases run; cached per process.

    Raises:
        InputError: the service cannot be reached, or no build has a failure.
    """
    keys = {"data", "path", "base_url", "timeout_s", "data_seed", "warmup", "held_out_cycles", "min_cases"}
    return _held_out_builds(config.model_dump_json(include=keys), part)


@lru_cache(maxsize=8)
def _held_out_builds(config_json: str, part: str) -> HeldOutBuilds:
    config = Config.model_validate_json(config_json).model_copy(update={"mode": "live"})
    session, project = connect(config), runnable_cases(config).project
    # validation only selects snapshots: half as many
    count = config.held_out_cycles if part == "test" else max(config.held_out_cycles // 2, 1)
    bugs = part_schedule(config, part, config.warmup + count)
    cycles = [session.run_all_cases(build, f"{part_key(part)} {i}") for i, build in enumerate(bugs)]
    log = execution_log(cycles, len(project.cases))
    features = np.concatenate([case_features(project)[log.case], history_features(project, log)], axis=1)
    with_verdict = np.flatnonzero((log.cycle >= config.warmup) & (log.verdict != NO_VERDICT))
    shape = len(bugs)
    cases = np.bincount(log.cycle[with_verdict], minlength=shape)
    failures = np.bincount(log.cycle[with_verdict], weights=log.verdict[with_verdict] == FAIL, minlength=shape)
    judged = np.flatnonzero((failures > 0) & (cases >= config.min_cases))
    if not len(judged):
        raise InputError(
            f"none of {count} builds of the {part} part has a failure among {config.min_cases} cases or more"
            f"{blocked_text(cycles[-1])}, so all orders are equally good: test a service that has faults, or raise "
            "env.held_out_cycles"
        )
    rows = with_verdict[np.isin(log.cycle[with_verdict], judged)]
    of_part = np.uint64(int.from_bytes(part_key(part).encode(), "little"))
    content = mix64(content_hashes(project) ^ of_part)  # equal positions of two parts are different builds
    return HeldOutBuilds(
        CycleSet(
            features=features[rows],
            verdict=log.verdict[rows],
            duration_ms=log.duration_ms[rows],
            case=log.case[rows],
            unseen=np.zeros(len(rows), bool),
            security=is_security(project)[log.case[rows]],
            hashes=execution_hashes(log, rows, content),
            start=np.concatenate([np.searchsorted(log.cycle[rows], judged), [len(rows)]]).astype(np.int64),
            names=tuple(log.cycles[cycle] for cycle in judged),
        ),
        bugs[judged],
    )


def execution_log(cycles: Sequence[CycleResult], n_cases: int, pending: bool = False) -> ExecutionLog:
    """The log of live cycles: the cases that ran, in case order.

    Args:
        pending: add the next cycle, with all cases and no verdicts.
    """
    ran = [np.flatnonzero(cycle.ran) for cycle in cycles]
    case = [*ran, *([np.arange(n_cases)] if pending else [])]
    to_come = n_cases if pending else 0
    return ExecutionLog(
        n_cases=n_cases,
        cycles=tuple(str(i + 1) for i in range(len(case))),
        case=np.concatenate(case).astype(np.int32),
        cycle=np.repeat(np.arange(len(case)), [len(rows) for rows in case]).astype(np.int32),
        verdict=np.concatenate(
            [*(c.verdict[r] for c, r in zip(cycles, ran, strict=True)), np.full(to_come, NO_VERDICT)]
        ).astype(np.int8),
        duration_ms=np.concatenate(
            [*(c.duration_ms[r] for c, r in zip(cycles, ran, strict=True)), np.full(to_come, np.nan)]
        ),
        started=np.full(sum(len(rows) for rows in case), np.nan),
    )
