"""Train an agent and write its run directory.

An agent is anything with the methods of `Agent`; which one is named by the config and loaded by name,
so this module knows no algorithm.
"""

from __future__ import annotations

import contextlib
import datetime
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml
from gymnasium.vector import VectorEnv

from rl_eval import envs, policy, run, seeding, seen
from rl_eval.config import RunConfig, device
from rl_eval.errors import InputError
from rl_eval.metrics import lookup
from rl_eval.provenance import git_revision, versions
from rl_eval.rewards import RewardedVector, RewardFunction
from rl_eval.rollout import Episodes, play
from rl_eval.target import resolve

SELECT_COPIES = 25


class Agent(Protocol):
    """What training needs of an agent; see `agents.on_policy.OnPolicyAgent`."""

    env_steps: int
    gradient_steps: int
    training_epochs: int
    log: Any

    @property
    def steps_per_iteration(self) -> int: ...  # noqa: D102
    def start(self, seeds: list[int], *, cut: bool = False) -> None: ...  # noqa: D102
    def iterate(self) -> dict[str, float]: ...  # noqa: D102
    def policy_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]: ...  # noqa: D102
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]: ...  # noqa: D102
    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None: ...  # noqa: D102


class Tracker(Protocol):
    """Where metrics go beside `metrics.csv`; see `rl_eval.tracking`."""

    def log(self, row: Mapping[str, float], env_steps: int) -> None: ...  # noqa: D102


@dataclass
class Progress:
    """How far training is: everything about a run that changes, apart from the agent."""

    next_log: int = 0
    next_checkpoint: int = 0
    next_select: int = 0
    next_resume: int = 0
    points: int = 0  # resume points passed
    best_step: int | None = None
    best_score: float | None = None
    score: float = float("nan")  # the latest on `select`
    stop: bool = False  # select.stop_at was reached
    rows: int = 0  # of metrics.csv
    wall_s: float = 0.0
    select_s: float = 0.0
    pending: list[dict[str, float]] = field(default_factory=list)  # iterations since the last row

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Progress:
        """From a resume point, where JSON made NaN null."""

        def number(value: float | None) -> float:
            return float("nan") if value is None else value

        pending = [{name: number(value) for name, value in row.items()} for row in values["pending"]]
        return cls(**{**values, "score": number(values["score"]), "pending": pending})


@contextlib.contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Within: Ctrl-C or SIGTERM is remembered, so that an iteration is never left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []

    def remember(number: int, frame: Any) -> None:
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt  # the person means it

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _resume_every(config: RunConfig, vector: VectorEnv, n_envs: int) -> int:
    """Env steps between resume points.

    Environments that cannot give their state are rebuilt at every point, so their points lie at least
    four longest episodes a copy apart.
    """
    if config.resume_every is not None:
        return config.resume_every
    if hasattr(vector, "get_state"):
        return config.checkpoint_every
    longest = getattr(getattr(vector, "spec", None), "max_episode_steps", None) or 1000
    return max(config.checkpoint_every, 4 * longest * n_envs)


def _env_seeds(seed: int, point: int, n_envs: int) -> list[int]:
    """A seed a copy for the environments built at one resume point (0: the start)."""
    sequence = seeding.stream(seed, "train-env")
    keyed = np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, point))
    return [int(value & 0x7FFFFFFF) for value in keyed.generate_state(n_envs)]


class Training:
    """One run in the making: the agent, its environments, and the directory they write."""

    def __init__(self, config: RunConfig, directory: Path, tracker: Tracker, on_step: Callable[..., None]):
        import torch
        from threadpoolctl import threadpool_limits

        self.config, self.directory, self.tracker, self.on_step = config, directory, tracker, on_step
        torch.set_num_threads(config.hardware.threads)
        # numpy's BLAS would take every core, and two threads on a small matrix are slower than one.
        threadpool_limits(config.hardware.threads, user_api="blas")
        self.device = device(config.hardware)
        self.reward = RewardFunction.from_config(config.reward["terms"])
        self.n_envs = config.agent.n_envs
        self.vector = envs.make(config.env, n_envs=self.n_envs, part="train")
        self.starts = seen.Recorder()  # stays empty where the data is a finite set of cases
        watched = self.vector if seen.has_cases(config.env) else seen.Watched(self.vector, self.starts)
        self.generators = {name: seeding.generator(config.seed, name) for name in ("init", "policy", "minibatch")}
        self.agent: Agent = config.agent.build(
            RewardedVector(watched, self.reward),
            generators=self.generators,
            total_steps=config.total_steps,
            device=self.device,
        )
        copies = min(SELECT_COPIES, config.select.episodes)
        self.select_envs = envs.make(config.env, n_envs=copies, part="select", autoreset=False)
        self.resume_every = _resume_every(config, self.vector, self.n_envs)
        self.metrics_log = run.MetricsLog(directory / "metrics.csv")
        self.progress = Progress(
            next_log=config.log_every,
            next_checkpoint=config.checkpoint_every,
            next_select=config.select.every,
            next_resume=self.resume_every,
        )
        self.started = datetime.datetime.now(datetime.UTC).isoformat()

    def begin(self) -> None:
        """Start from nothing."""
        run.write_text(self.directory / "config.yaml", yaml.safe_dump(self.config.to_dict(), sort_keys=False))
        domain = envs.domain(self.config.env.name)
        if hasattr(domain, "preprocessing"):
            run.write_json(self.directory / "preprocessing.json", domain.preprocessing(self.config.env))
        self.agent.start(_env_seeds(self.config.seed, 0, self.n_envs))
        self._write_info("running")

    def restore(self) -> None:
        """Go on from the last resume point, or from the start where there is none yet.

        Raises:
            InputError: the run is finished, or its resume point is damaged.
        """
        before = run.read_run(self.directory)
        if before.finished:
            raise InputError(f"{self.directory} is finished: there is nothing to resume; start a new run")
        self.started = before.info["started"]
        points = run.steps_in(self.directory / "resume")
        if not points:
            self.metrics_log.cut_to(0)
            self.agent.start(_env_seeds(self.config.seed, 0, self.n_envs))
        else:
            self._load_point(points[-1])
        for snapshot in before.snapshots():
            if int(snapshot.name[5:]) > self.agent.env_steps:
                run.remove_directory(snapshot)
        self._write_info("running")

    def _load_point(self, point: Path) -> None:
        arrays, meta = run.read_checkpoint(point, "state")
        own = {name.removeprefix("agent."): a for name, a in arrays.items() if name.startswith("agent.")}
        self.progress = Progress.from_json(meta["progress"])
        if "vector" in meta:
            state = {name.removeprefix("vector."): a for name, a in arrays.items() if name.startswith("vector.")}
            self.vector.reset(seed=0)
            self.vector.set_state(run.join_state(state, meta["vector"]))  # type: ignore[attr-defined]
        else:
            self.agent.start(_env_seeds(self.config.seed, self.progress.points, self.n_envs))
        if not seen.has_cases(self.config.env):
            starts = {name.removeprefix("starts."): a for name, a in arrays.items() if name.startswith("starts.")}
            self.starts.load_state(starts, episodes=meta["agent"]["episodes"] + self.n_envs)
        self.agent.load_state(own, meta["agent"])  # last: it restores the random states
        self.metrics_log.cut_to(self.progress.rows)

    def learn(self, stop_requested: Callable[[], bool]) -> str:
        """Iterate until the budget, the selection target or a stop; returns the run's status."""
        config, agent, progress = self.config, self.agent, self.progress
        while agent.env_steps < config.total_steps and not progress.stop:
            begun = time.perf_counter()
            row = agent.iterate()
            progress.wall_s += time.perf_counter() - begun
            progress.pending.append(row)
            if agent.env_steps >= progress.next_select:
                progress.next_select += config.select.every * (
                    1 + (agent.env_steps - progress.next_select) // config.select.every
                )
                self._select()
            if agent.env_steps >= progress.next_log:
                progress.next_log = agent.env_steps + config.log_every
                self._log_row()
            if agent.env_steps >= progress.next_checkpoint:
                progress.next_checkpoint += config.checkpoint_every * (
                    1 + (agent.env_steps - progress.next_checkpoint) // config.checkpoint_every
                )
                self._snapshot()
            self.on_step(agent.env_steps, row["episode_return_mean"], progress.score)
            if agent.env_steps >= progress.next_resume and agent.env_steps < config.total_steps and not progress.stop:
                self._resume_point()
            if stop_requested():
                return "interrupted"
        return "finished"

    def _select(self) -> None:
        """Try the greedy policy on the selection part; keep it when it is the best so far."""
        begun = time.perf_counter()
        config, progress = self.config, self.progress
        arrays, meta = self._policy()
        acting = resolve(meta["_target_"])(arrays, meta)
        metric = lookup(config.select.metric)
        value = float(metric.compute(self._play_select(acting), config.env))
        sign = -1.0 if metric.better == "lower" else 1.0
        progress.score = value
        if progress.best_score is None or sign * value > sign * progress.best_score:
            progress.best_score, progress.best_step = value, self.agent.env_steps
            self._snapshot()
        if config.select.stop_at is not None and sign * value >= sign * config.select.stop_at:
            progress.stop = True
        spent = time.perf_counter() - begun
        progress.select_s += spent
        progress.wall_s += spent

    def _play_select(self, acting: policy.Policy) -> Episodes:
        config = self.config
        limit = envs.episodes_in(config.env, "select")
        count = config.select.episodes if limit is None else min(config.select.episodes, limit)
        seeds = seeding.episode_seeds(config.seed, count, "select") if limit is None else list(range(count))
        return play(self.select_envs, acting, seeds=seeds, order=config.seed)

    def _policy(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, meta = self.agent.policy_checkpoint()
        return arrays, {**meta, "env": self.config.env.name, "env_steps": self.agent.env_steps}

    def _snapshot(self) -> None:
        """Write the policy of now, and drop the oldest but for the best."""
        folder = self.directory / "snapshots"
        path = folder / f"step_{self.agent.env_steps}"
        if not path.exists():
            run.write_checkpoint(path, "policy", *self._policy())
        best = f"step_{self.progress.best_step}"
        others = [p for p in run.steps_in(folder) if p.name != best]
        for old in others[: -self.config.keep_snapshots]:
            run.remove_directory(old)

    def _resume_point(self) -> None:
        """Write everything a resume needs; rebuild environments that cannot give their state."""
        progress, agent = self.progress, self.agent
        progress.next_resume += self.resume_every * (1 + (agent.env_steps - progress.next_resume) // self.resume_every)
        progress.points += 1
        meta: dict[str, Any] = {}
        arrays: dict[str, np.ndarray] = {}
        if hasattr(self.vector, "get_state"):
            own, meta["vector"] = run.split_state(self.vector.get_state())
            arrays |= {f"vector.{name}": array for name, array in own.items()}
        else:
            agent.start(_env_seeds(self.config.seed, progress.points, self.n_envs), cut=True)
        own, meta["agent"] = agent.state()
        arrays |= {f"agent.{name}": array for name, array in own.items()}
        if not seen.has_cases(self.config.env):
            arrays |= {f"starts.{name}": array for name, array in self.starts.state().items()}
        meta["progress"] = vars(progress).copy()
        folder = self.directory / "resume"
        run.write_checkpoint(folder / f"step_{agent.env_steps}", "state", arrays, meta)
        for old in run.steps_in(folder)[:-2]:  # the one before stays, in case the newest is damaged
            run.remove_directory(old)
        self._write_info("running")

    def _log_row(self) -> None:
        progress, agent = self.progress, self.agent
        latest = progress.pending[-1]
        row: dict[str, Any] = {"env_steps": agent.env_steps, "wall_s": round(progress.wall_s, 3)}
        for name in latest:
            values = [p[name] for p in progress.pending if np.isfinite(p[name])]
            row[name] = float(np.mean(values)) if values else float("nan")
        row |= {name: latest[name] for name in ("episode_return_mean", "episode_length_mean", "lr")}
        row |= {"select_score": progress.score, "episodes": agent.log.episodes}
        row |= {"gradient_steps": agent.gradient_steps}
        progress.pending.clear()
        progress.rows += 1
        self.metrics_log.append(row)
        self.tracker.log(row, agent.env_steps)

    def finish(self, status: str, reason: str | None = None) -> run.Run:
        """Write the last row, the last snapshot, the final results and the status."""
        results = None
        if status != "failed":
            if self.progress.pending:
                self._log_row()
            self._snapshot()
        if status == "finished":
            if self.progress.best_step is None:
                self.progress.best_step = self.agent.env_steps
            results = self._results()
        self._write_info(status, results, reason)
        return run.read_run(self.directory)

    def _results(self) -> dict[str, Any]:
        """The judged snapshot on the selection part, once more, as the run's final figures."""
        name = f"step_{self.progress.best_step}"
        arrays, meta = run.read_checkpoint(self.directory / "snapshots" / name, "policy")
        episodes = self._play_select(resolve(meta["_target_"])(arrays, meta))
        self._write_seen(episodes)
        rewards, _ = self.reward(episodes.outcome)
        returns = np.bincount(episodes.episode, weights=rewards, minlength=len(episodes))
        metric = lookup(self.config.select.metric)
        return {
            "part": "select",
            "episodes": len(episodes),
            "mean": float(returns.mean()),
            "std": float(returns.std()),
            "min": float(returns.min()),
            "max": float(returns.max()),
            "mean_length": float(episodes.lengths.mean()),
            metric.name: float(metric.compute(episodes, self.config.env)),
        }

    def _write_seen(self, selection: Episodes) -> None:
        """Write `seen.npz`, for the held-out guard; every try on the selection part played the same episodes."""
        config = self.config
        rebuilt = 0 if hasattr(self.vector, "get_state") else self.progress.points
        seeds = np.array(
            [_env_seeds(config.seed, point, self.n_envs) for point in range(rebuilt + 1)], np.int64
        ).ravel()
        if seen.has_cases(config.env):
            found = seen.Seen.of_data(config.env, seeds)
        else:
            select = seen.Fingerprints.of(*seen.of_observations(selection.first_obs))
            train, left_out = self.starts.fingerprints(), self.starts.left_out
            found = seen.Seen(False, train, select, seeds, selection.seeds, left_out)
        seen.write(self.directory, found)

    def _write_info(self, status: str, results: Mapping[str, Any] | None = None, reason: str | None = None) -> None:
        agent, progress, config = self.agent, self.progress, self.config
        learning_s = progress.wall_s - progress.select_s
        info = {
            "status": status,
            "reason": reason,
            "env": config.env.name,
            "agent": config.agent.name,
            "seed": config.seed,
            "name": config.name or self.directory.name,
            "started": self.started,
            "ended": datetime.datetime.now(datetime.UTC).isoformat() if status != "running" else None,
            "env_steps": agent.env_steps,
            "gradient_steps": agent.gradient_steps,
            "training_epochs": agent.training_epochs,
            "episodes": agent.log.episodes,
            "steps_finished": agent.log.steps_finished,
            "steps_in_flight": int(agent.log.running_length.sum()),
            "steps_cut": agent.log.steps_cut,
            "wall_s": round(progress.wall_s, 3),
            "select_s": round(progress.select_s, 3),
            "steps_per_s": round(agent.env_steps / learning_s, 1) if learning_s > 0 else None,
            "snapshot": f"step_{progress.best_step}" if progress.best_step is not None else None,
            "select_score": progress.best_score,
            "results": results,
            "versions": versions(),
            "git_revision": git_revision(),
            "config_hash": run.config_hash(config.to_dict()),
            "data_fingerprints": envs.domain(config.env.name).fingerprints(config.env),
            "hardware": {
                "machine": platform.machine(),
                "system": platform.system(),
                "device": self.device,
                "threads": config.hardware.threads,
            },
            "backend": "gymnasium" if not hasattr(self.vector, "get_state") else "native",
            "command": " ".join(["python", *sys.argv]),
        }
        run.write_json(self.directory / "run.json", info)


def train(
    config: RunConfig,
    directory: Path,
    *,
    tracker: Tracker,
    on_step: Callable[..., None] = lambda *_: None,
    resume: bool = False,
) -> run.Run:
    """Train as `config` says, in a directory that exists already.

    Args:
        tracker: gets every row of metrics.
        on_step: called after every iteration with env steps, mean return and selection score.
        resume: go on with the run that the directory holds.

    Returns:
        The run, finished, interrupted (Ctrl-C, SIGTERM) or failed (a number that is not finite).

    Raises:
        InputError: the config cannot be trained here.
    """
    with _stop_requested() as stop_requested:
        training = Training(config, directory, tracker, on_step)
        training.restore() if resume else training.begin()
        try:
            status, reason = training.learn(stop_requested), None
        except FloatingPointError as error:
            status, reason = "failed", str(error)
        except KeyboardInterrupt:  # the second one: in the middle of an iteration, so nothing new is whole
            training._write_info("interrupted", reason="stopped in the middle of an iteration")
            raise
        except Exception as error:
            training.finish("failed", f"{type(error).__name__}: {error}")
            raise
        return training.finish(status, reason)
