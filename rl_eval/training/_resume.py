"""Resume points: when they are due, what they hold, and which one to go on from.

A point holds everything that training goes on from, so that a run which was stopped ends with the same bytes
as one that never was. Environments that can give their state save it. Those that cannot are started anew at
every point, whether or not anything is interrupted, with seeds keyed by the point's number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval import exposure, run, seeding
from rl_eval.config import RunConfig
from rl_eval.envs import StatefulVector
from rl_eval.errors import InputError
from rl_eval.training._agent import Agent
from rl_eval.training._progress import Progress

KEPT = 2  # the one before stays, in case the newest is damaged
Point = tuple[dict[str, np.ndarray], dict[str, Any]]


@dataclass(frozen=True)
class Made:
    """What beside the config decides a run's bytes, and may differ where it is resumed."""

    backend: str  # gymnasium, envpool or native
    device: str
    threads: int

    def require(self, before: Mapping[str, Any], run_directory: Path) -> None:
        """Refuse to go on with, or to replay, a run that was made otherwise.

        Raises:
            InputError: says what differs.
        """
        remedies = {
            "backend": "install what is missing, or train a new run",
            "device": "use a machine that has it, or train a new run",
            "threads": "put hardware.threads in its config.yaml back",
        }
        for key, here in vars(self).items():
            if before.get(key) != here:
                raise InputError(
                    f"{run_directory} was trained with {key}={before.get(key)!r}, and here it would be {here!r}, "
                    f"which gives other numbers: {remedies[key]}"
                )


def backend_of(vector: VectorEnv) -> str:
    """What steps a vector environment: `gymnasium`, `envpool`, or `native` for one that steps its copies itself."""
    return getattr(vector, "backend", "native")


def gives_state(vector: VectorEnv) -> bool:
    """Whether an environment can save and take its state."""
    return isinstance(vector, StatefulVector)


def every(config: RunConfig, vector: VectorEnv) -> int:
    """Env steps between resume points.

    Environments that cannot give their state are started anew at every point, so their points lie at least
    four longest episodes a copy apart.
    """
    if config.resume_every is not None:
        return config.resume_every
    if gives_state(vector):
        return config.checkpoint_every
    longest = getattr(getattr(vector, "spec", None), "max_episode_steps", None) or 1000
    return max(config.checkpoint_every, 4 * longest * vector.num_envs)


def env_seeds(seed: int, point: int, n_envs: int) -> list[int]:
    """A seed a copy for the environments started at one resume point (0: the start)."""
    sequence = seeding.stream(seed, "train-env")
    keyed = np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, point))
    return [int(value & 0x7FFFFFFF) for value in keyed.generate_state(n_envs)]


def take(
    directory: Path,
    *,
    agent: Agent,
    vector: VectorEnv,
    starts: exposure.FirstObservationRecorder | None,
    progress: Progress,
    made: Made,
    seed: int,
) -> None:
    """Write the point of now, and start environments anew that cannot give their state.

    Args:
        starts: the first observations so far; None where the data is a finite set of cases.
    """
    meta: dict[str, Any] = {"made_with": vars(made)}
    arrays: dict[str, np.ndarray] = {}
    if gives_state(vector):
        own, meta["vector"] = run.split_state(vector.get_state())  # type: ignore[attr-defined]
        arrays |= {f"vector.{name}": array for name, array in own.items()}
    else:
        agent.start(env_seeds(seed, progress.points, vector.num_envs), cut=True)
    own, meta["agent"] = agent.state()
    arrays |= {f"agent.{name}": array for name, array in own.items()}
    if starts is not None:
        arrays |= {f"starts.{name}": array for name, array in starts.state().items()}
    meta["progress"] = vars(progress).copy()
    run.write_checkpoint(directory / "resume" / run.step_name(agent.env_steps), "state", arrays, meta)
    drop_old(directory)


def drop_old(directory: Path) -> None:
    """Remove all points but the latest few; a process that was killed may not have come to it."""
    for old in run.step_directories(directory / "resume")[:-KEPT]:
        run.remove_directory(old)


def newest_whole(directory: Path, rows: int, notice: Callable[[str], None]) -> tuple[Path, Point] | None:
    """The newest point from which everything after it can be made again; None where that is the start.

    A damaged snapshot is made again by going on from a point before it.

    Args:
        rows: how many `metrics.csv` has.
        notice: is told what is damaged, and where the run goes on.
    """
    damaged = []
    latest = None
    for snapshot in run.step_directories(directory / "snapshots"):
        try:
            run.read_checkpoint(snapshot, "policy")
        except run.DamagedError as error:
            damaged.append(error.damage)
            latest = run.step_of(snapshot) if latest is None else latest
    found = None
    for path in reversed(run.step_directories(directory / "resume")):
        try:
            if latest is not None and run.step_of(path) >= latest:
                continue
            arrays, meta = run.read_checkpoint(path, "state", mapped=True)
            if meta["progress"]["rows"] > rows:
                raise run.DamagedError(f"{directory / 'metrics.csv'} has lost rows from before {path.name}")
            found = path, (arrays, meta)
            break
        except run.DamagedError as error:
            damaged.append(error.damage)
    if damaged:
        notice(f"{'; '.join(damaged)}: going on from {found[0].name if found else 'the start'} instead")
    return found


def load(
    point: Point,
    *,
    agent: Agent,
    vector: VectorEnv,
    starts: exposure.FirstObservationRecorder | None,
    seed: int,
    path: Path,
) -> Progress:
    """Bring everything to where it was at a point.

    Args:
        starts: None where the data is a finite set of cases.

    Raises:
        InputError: the point is of another agent or environment.
    """
    arrays, meta = point
    try:
        progress = Progress.from_json(meta["progress"])
        if gives_state(vector):
            vector.set_state(run.join_state(run.strip_prefix(arrays, "vector."), meta["vector"]))  # type: ignore[attr-defined]
        else:
            agent.start(env_seeds(seed, progress.points, vector.num_envs))
        if starts is not None:
            starts.load_state(run.strip_prefix(arrays, "starts."), episodes=meta["agent"]["episodes"] + vector.num_envs)
        agent.load_state(run.strip_prefix(arrays, "agent."), meta["agent"])  # last: it restores the random states
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        raise InputError(
            f"{path} does not fit the run's config ({type(error).__name__}: {' '.join(str(error).split())[:200]}): "
            "put config.yaml back as it was, or start a new run"
        ) from error
    return progress
