"""Resume points: when they are due, what they contain, and which one a resumed run continues from.

A point holds everything that training needs to go on, so a run that was stopped ends with the same bytes as one that
was not. Environments that can give their state save it. The others are started again at every point, whether or not
anything is interrupted, with seeds keyed by the point's number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval import exposure, run, seeding
from rl_eval.config import RunConfig
from rl_eval.envs import StatefulVector
from rl_eval.errors import InputError
from rl_eval.training._agent import Agent
from rl_eval.training._execution import Execution
from rl_eval.training._progress import Progress

KEEP = 2  # the one before stays, in case the newest is damaged


@dataclass(frozen=True)
class ResumePoint:
    """A resume point that was read: its directory, its arrays, and the rest of it as JSON values."""

    path: Path
    arrays: dict[str, np.ndarray] = field(repr=False)
    meta: dict[str, Any] = field(repr=False)


def interval(config: RunConfig, vector: VectorEnv, *, stateful: bool) -> int:
    """Env steps between resume points; `stateful`: whether the state of the environments is part of them.

    Environments that cannot give their state are started again at every point, so their points are at least four
    episodes of maximum length apart.
    """
    if config.resume_every is not None:
        return config.resume_every
    if stateful:
        return config.checkpoint_every
    longest = getattr(getattr(vector, "spec", None), "max_episode_steps", None) or 1000
    return max(config.checkpoint_every, 4 * longest * config.agent.n_envs)


def env_seeds(seed: int, point: int, n_envs: int) -> list[int]:
    """One seed for each copy of the environments that are started at a resume point (0: the start)."""
    sequence = seeding.stream(seed, "train-env")
    keyed = np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, point))
    return [int(value & 0x7FFFFFFF) for value in keyed.generate_state(n_envs)]


def write(
    directory: Path,
    *,
    agent: Agent,
    vector: StatefulVector | None,
    starts: Callable[[], exposure.FirstObservationRecorder | None],
    progress: Progress,
    execution: Execution,
    seed: int,
    n_envs: int,
    metrics_sha256: str,
) -> None:
    """Write a point, and start environments again that cannot give their state.

    Args:
        vector: the environments; None if they cannot give their state.
        starts: the first observations by then; None if the data is a finite set of cases.
        metrics_sha256: of the rows of `metrics.csv` so far.
    """
    meta: dict[str, Any] = {"execution": vars(execution), "metrics_sha256": metrics_sha256}
    arrays: dict[str, np.ndarray] = {}
    if vector is not None:
        state_arrays, meta["vector"] = run.split_state(vector.get_state())
        arrays |= {f"vector.{name}": array for name, array in state_arrays.items()}
    else:
        agent.start(env_seeds(seed, progress.points, n_envs), cut=True)
    state_arrays, meta["agent"] = agent.state()
    arrays |= {f"agent.{name}": array for name, array in state_arrays.items()}
    if (record := starts()) is not None:
        arrays |= {f"starts.{name}": array for name, array in record.state().items()}
    meta["progress"] = vars(progress).copy()
    run.write_checkpoint(directory / "resume" / run.step_name(agent.env_steps), "state", arrays, meta)
    drop_old(directory)


def drop_old(directory: Path) -> None:
    """Remove all points except the latest; a process that was killed may have left more."""
    for old in run.step_directories(directory / "resume")[:-KEEP]:
        run.remove_directory(old)


def newest_intact(directory: Path, metrics_log: run.MetricsLog, notice: Callable[[str], None]) -> ResumePoint | None:
    """The newest point from which everything after it can be made again; None if that is the start.

    A damaged snapshot, or rows that `metrics.csv` has lost, are made again by going on from a point before them.

    Args:
        notice: called with a sentence on what is damaged, and where the run goes on.

    Raises:
        InputError: a row from before the point is not what was written.
    """
    damaged = []
    first_damaged = None
    for snapshot in run.step_directories(directory / "snapshots"):
        try:
            run.read_checkpoint(snapshot, "policy")
        except run.DamagedError as error:
            damaged.append(error.damage)
            first_damaged = run.step_of(snapshot) if first_damaged is None else first_damaged
    point = None
    for path in reversed(run.step_directories(directory / "resume")):
        try:
            if first_damaged is not None and run.step_of(path) >= first_damaged:
                continue
            arrays, meta = run.read_checkpoint(path, "state", mapped=True)
            rows = metrics_log.first_rows(int(meta["progress"]["rows"]))
            if rows is None:
                raise run.DamagedError(f"{directory / 'metrics.csv'} has lost rows from before {path.name}")
            if rows and hashlib.sha256(rows).hexdigest() != meta.get("metrics_sha256"):
                raise InputError(
                    f"{directory / 'metrics.csv'} has changed in a row from before {path.name} (its SHA-256 differs): "
                    "put the file back as it was, or start a new run"
                )
            point = ResumePoint(path, arrays, meta)
            break
        except run.DamagedError as error:
            damaged.append(error.damage)
    if damaged:
        notice(f"{'; '.join(damaged)}: continuing from {point.path.name if point else 'the start'} instead")
    return point


def load(
    point: ResumePoint,
    *,
    agent: Agent,
    vector: StatefulVector | None,
    starts: exposure.FirstObservationRecorder | None,
    seed: int,
    n_envs: int,
) -> Progress:
    """Bring everything to where it was at a point.

    Args:
        vector: as in `write`.
        starts: None if the data is a finite set of cases.

    Raises:
        InputError: the point is of another agent or environment.
    """
    arrays, meta = point.arrays, point.meta
    try:
        progress = Progress.from_json(meta["progress"])
        if vector is not None:
            vector.set_state(run.join_state(run.strip_prefix(arrays, "vector."), meta["vector"]))
        else:
            agent.start(env_seeds(seed, progress.points, n_envs))
        if starts is not None:
            starts.load_state(run.strip_prefix(arrays, "starts."), episodes=meta["agent"]["episodes"] + n_envs)
        agent.load_state(run.strip_prefix(arrays, "agent."), meta["agent"])  # last: it restores the random states
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{point.path} does not fit the run's config ({type(error).__name__}: {reason}): "
            "put config.yaml back as it was, or start a new run"
        ) from error
    return progress
