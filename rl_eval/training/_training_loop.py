"""`Training`: the training loop of one run: iterate, validate, log, save snapshots and resume points."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from rl_eval import agent_registry, domains, exposure, run
from rl_eval.config import RunConfig
from rl_eval.cost import Meter
from rl_eval.envs import StatefulVector
from rl_eval.errors import InputError
from rl_eval.memory import out_of_memory
from rl_eval.tracking import Tracker
from rl_eval.training import _record, _resume_points
from rl_eval.training._agent import Agent
from rl_eval.training._execution import Execution
from rl_eval.training._init_from_run import InitialPolicy
from rl_eval.training._learner import make_learner
from rl_eval.training._progress import Progress, next_due
from rl_eval.training._ranks import Leader, LeadingAgent, rank_device
from rl_eval.training._trials import Trials, walk_forward
from rl_eval.training._validation import ValidationPart

SMALLER = "lower agent.n_envs, agent.n_steps, agent.buffer_size or agent.network.widths"


class Training:
    """One run that is being trained.

    Args:
        on_step: called after every iteration with env steps, mean return and validation score.
        initial: the policy of another run to start from.
        leader: of the other processes that train it; None: there are none.
        meter: of what it costs, with the budget; None: the price is unknown, and there is no budget.
    """

    def __init__(
        self,
        config: RunConfig,
        directory: Path,
        tracker: Tracker,
        on_step: Callable[..., None],
        initial: InitialPolicy | None = None,
        leader: Leader | None = None,
        meter: Meter | None = None,
    ):
        self.config, self.directory, self.tracker, self.on_step = config, directory, tracker, on_step
        self.initial = initial
        self.meter = Meter() if meter is None else meter
        self.n_envs = config.agent.n_envs
        ranks = None if leader is None else agent_registry.ranks()
        self.learner = make_learner(config, directory, rank_device(config, 0), ranks)
        self.leading = None if leader is None else LeadingAgent(leader, self.learner, ranks)
        self.agent: Agent = self.learner.agent if self.leading is None else cast("Agent", self.leading)
        self.execution = Execution.of_this_machine(config, self.learner.vector)
        self.has_cases = domains.domain(config.env.name).has_cases
        self.cases: dict[str, int] | None = None  # of the record, once it is written
        self.files_sha256: dict[str, str] = {}  # of the files that gates check, once they are written
        self.validation = ValidationPart(config)
        self.trials: Trials | None = None  # whether training was worth it, once it is over and if that was asked
        # The environments, where their state is part of a resume point.
        vector = self.learner.vector
        self.stateful = vector if leader is None and isinstance(vector, StatefulVector) else None
        self.resume_every = _resume_points.interval(config, vector, stateful=self.stateful is not None)
        self.metrics_log = run.MetricsLog(directory / "metrics.csv")
        self.progress = Progress(
            next_log=config.log_every,
            next_checkpoint=config.checkpoint_every,
            next_validation=config.validation.every,
            next_resume=self.resume_every,
        )
        self.started = datetime.datetime.now(datetime.UTC).isoformat()

    def begin(self) -> None:
        """Start from nothing, or from the policy of another run."""
        run.write_text(self.directory / "config.yaml", yaml.safe_dump(self.config.to_dict(), sort_keys=False))
        preprocessing = domains.domain(self.config.env.name).preprocessing(self.config.env)
        if preprocessing is not None:
            run.write_json(self.directory / "preprocessing.json", preprocessing)
            self._record_sha256("preprocessing.json")
        if self.initial is not None:
            self.initial.write(self.directory)
        self._start()
        self._write_info("running")

    def _start(self) -> None:
        if self.initial is not None:
            try:
                self.agent.initialize(self.initial.arrays, self.initial.meta)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"init={self.config.init}: its snapshot does not fit this agent ({error}): use another snapshot"
                ) from error
        self.agent.start(_resume_points.env_seeds(self.config.seed, 0, self.n_envs))
        if self.config.validation.trials:
            self._snapshot()  # what training must be better than

    def restore(self, notice: Callable[[str], None]) -> None:
        """Go on from the last intact resume point, or from the start if there is none.

        Raises:
            InputError: the run is finished, or cannot be executed here as before; nothing has been changed.
        """
        before = run.read_run(self.directory)
        if before.finished:
            raise InputError(f"{self.directory} is finished: there is nothing to resume; start a new run")
        hardware = before.info.get("hardware") or {}
        self.execution.require_same({"backend": before.info.get("backend"), **hardware}, self.directory)
        point = _resume_points.newest_intact(self.directory, self.metrics_log, notice)
        if point is None:
            self._start()
        else:
            self.execution.require_same(point.meta.get("execution") or {}, self.directory)
            starts = None if self.has_cases else self.learner.starts
            self.progress = _resume_points.load(
                point, agent=self.agent, vector=self.stateful, starts=starts, seed=self.config.seed, n_envs=self.n_envs
            )
        self.started = before.info["started"]
        self.meter.add_earlier(run.read_record(self.directory))
        recorded = before.info.get(run.FILES_SHA256)
        if isinstance(recorded, Mapping) and "preprocessing.json" in recorded:  # written at the start, and not again
            self.files_sha256["preprocessing.json"] = recorded["preprocessing.json"]
        run.remove_leftovers(self.directory)
        self.metrics_log.cut_to(self.progress.rows)
        for folder in ("snapshots", "resume"):
            for later in run.step_directories(self.directory / folder):
                if run.step_of(later) > self.agent.env_steps:
                    run.remove_directory(later)
        _resume_points.drop_old(self.directory)
        self._write_info("running")

    def learn(self, stop: Callable[[], bool]) -> str:
        """Iterate until all steps, the validation target, a stop or the end of the budget; returns the run's status."""
        while not self.is_complete:
            if self.meter.over_budget():
                return "over_budget"
            started = time.perf_counter()
            row = self.agent.iterate()
            self.after_iteration(row, time.perf_counter() - started)
            if stop():
                return "interrupted"
        return "finished"

    @property
    def is_complete(self) -> bool:
        """Whether the budget is spent or the validation target reached."""
        return self.agent.env_steps >= self.config.total_steps or self.progress.target_reached

    def after_iteration(self, row: dict[str, float], seconds: float) -> None:
        """Validate, log and save what is due after an iteration, which gave a row of metrics and took some seconds."""
        config, agent, progress = self.config, self.agent, self.progress
        progress.wall_s += seconds
        progress.pending.append(row)
        if agent.env_steps >= progress.next_validation:
            progress.next_validation = next_due(progress.next_validation, config.validation.every, agent.env_steps)
            self._validate()
        if agent.env_steps >= progress.next_log:
            progress.next_log = agent.env_steps + config.log_every
            self._log_row()
        if agent.env_steps >= progress.next_checkpoint:
            progress.next_checkpoint = next_due(progress.next_checkpoint, config.checkpoint_every, agent.env_steps)
            self._snapshot()
        self.on_step(agent.env_steps, row["episode_return_mean"], progress.score)
        if agent.env_steps >= progress.next_resume and not self.is_complete:
            self._resume_point()

    def _validate(self) -> None:
        """Score the greedy policy on the validation part; keep it when it is the best so far."""
        started = time.perf_counter()
        progress = self.progress
        arrays, meta = self._policy_checkpoint()
        progress.score = self.validation.score(agent_registry.agent(meta["agent"]).load_policy(arrays, meta))
        if self.validation.improves(progress.score, progress.best_score):
            progress.best_score, progress.best_step = progress.score, self.agent.env_steps
            self._snapshot()
        if self.validation.reaches_target(progress.score):
            progress.target_reached = True
        elapsed = time.perf_counter() - started
        progress.validation_s += elapsed
        progress.wall_s += elapsed

    def _policy_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, meta = self.agent.policy_checkpoint()
        names = {"agent": self.config.agent.name, "env": self.config.env.name}
        return arrays, {**meta, **names, "env_steps": self.agent.env_steps}

    def _snapshot(self) -> None:
        """Write the current policy, and drop the oldest snapshots; the best one stays, and the first for trials."""
        folder = self.directory / "snapshots"
        path = folder / run.step_name(self.agent.env_steps)
        if not path.exists():
            run.write_checkpoint(path, "policy", *self._policy_checkpoint())
        kept = {self.progress.best_step, 0 if self.config.validation.trials else None}
        removable = [p for p in run.step_directories(folder) if run.step_of(p) not in kept]
        for old in removable[: -self.config.keep_snapshots]:
            run.remove_directory(old)

    def _resume_point(self) -> None:
        """Write everything that a resume needs."""
        progress, env_steps = self.progress, self.agent.env_steps
        progress.next_resume = next_due(progress.next_resume, self.resume_every, env_steps)
        progress.points += 1
        self.metrics_log.sync()
        _resume_points.write(
            self.directory,
            agent=self.agent,
            vector=self.stateful,
            starts=self._starts,
            progress=progress,
            execution=self.execution,
            seed=self.config.seed,
            n_envs=self.n_envs,
            metrics_sha256=self.metrics_log.sha256,
        )
        self._write_info("running")

    def _log_row(self) -> None:
        progress, agent = self.progress, self.agent
        latest = progress.pending[-1]
        row: dict[str, Any] = {"env_steps": agent.env_steps, "wall_s": round(progress.wall_s, 3)}
        for name in latest:
            values = [iteration[name] for iteration in progress.pending if np.isfinite(iteration[name])]
            row[name] = float(np.mean(values)) if values else float("nan")
        row |= {name: latest[name] for name in ("episode_return_mean", "episode_length_mean", "lr")}
        row |= {"validation_score": progress.score, "episodes": agent.log.episodes}
        row |= {"gradient_steps": agent.gradient_steps, "episode_return_new": self._new_episodes_mean()}
        progress.pending.clear()
        progress.rows += 1
        self.metrics_log.append(row)
        self.tracker.log(row, agent.env_steps)

    def _new_episodes_mean(self) -> float:
        """Mean return of the episodes that ended since the row before; NaN if none did."""
        progress, log = self.progress, self.agent.log
        count, total = log.episodes - progress.row_episodes, log.return_finished - progress.row_return
        progress.row_episodes, progress.row_return = log.episodes, log.return_finished
        return total / count if count else float("nan")

    def finish(self, status: str) -> run.Run:
        """Write the last row, the last snapshot, and of a finished run its results."""
        results = None
        if self.progress.pending:
            self._log_row()
        self._snapshot()
        if status == "finished":
            if self.progress.best_step is None:
                self.progress.best_step = self.agent.env_steps
            if self.config.validation.trials:
                self._compare_with_first()
            results = self._results()
        self.meter.end_training()
        reason = f"its budget of {self.meter.budget} is spent" if status == "over_budget" else None
        return self._write_info(status, results, reason)

    def _compare_with_first(self) -> None:
        """Judge the first policy instead where training is not better than it."""
        started = time.perf_counter()
        progress, device = self.progress, rank_device(self.config, 0)
        assert progress.best_step is not None
        first = self._read_snapshot(0)
        best = self._read_snapshot(progress.best_step)
        self.trials = walk_forward(self.config, self.initial, device, self.validation, best, first)
        if self.trials.keeps_first:
            policy = agent_registry.agent(self.config.agent.name).load_policy(*first)
            progress.best_step, progress.best_score = 0, self.validation.score(policy)
        elapsed = time.perf_counter() - started
        progress.validation_s += elapsed
        progress.wall_s += elapsed

    def _read_snapshot(self, env_steps: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return run.read_checkpoint(self.directory / "snapshots" / run.step_name(env_steps), "policy")

    def run_to_end(self, stop: Callable[[], bool]) -> run.Run:
        """Learn and finish. A failure of the training itself is recorded; any other error is recorded and raised.

        Raises:
            OSError: a file could not be written; not recorded.
        """
        ended = self.guarded(lambda: self.finish(self.learn(stop)))
        assert ended is not None
        return ended

    def guarded(self, part: Callable[[], run.Run | None]) -> run.Run | None:
        """A part of the training, or the failed run; raises as `run_to_end`."""
        try:
            return part()
        except (FloatingPointError, InputError) as error:
            return self.fail(str(error))
        except KeyboardInterrupt:  # the second request, in the middle of an iteration: there is nothing new to save
            self._write_info("interrupted", reason="stopped in the middle of an iteration")
            raise
        except Exception as error:
            if (reason := out_of_memory(error)) is not None:
                return self.fail(f"{reason}: {SMALLER}, and start a new run")
            if run.storage_error(error) is None:
                self.fail(f"{type(error).__name__}: {error}")
            raise

    def fail(self, reason: str) -> run.Run:
        """Record that the run failed, where that can still be written; its last checkpoints stay as they are."""
        with contextlib.suppress(OSError):
            run.remove_leftovers(self.directory)  # makes room on a disk that is full
            return self._write_info("failed", reason=reason)
        return run.Run(self.directory, self._info("failed", None, reason), self.config.to_dict())

    def _results(self) -> dict[str, Any]:
        """Play the judged snapshot on the validation part again, for the run's final figures."""
        assert self.progress.best_step is not None
        arrays, meta = self._read_snapshot(self.progress.best_step)
        episodes = self.validation.play(agent_registry.agent(meta["agent"]).load_policy(arrays, meta))
        points = 0 if self.stateful is not None else self.progress.points
        seeds = [_resume_points.env_seeds(self.config.seed, point, self.n_envs) for point in range(points + 1)]
        record = _record.exposure_of(self.config, self._starts(), seeds, episodes)
        self.cases = _record.case_counts(self.config)
        if self.trials is not None and self.trials.exposure is not None:
            record = record.union(self.trials.exposure)
            self.cases = {part: count + self.trials.cases[part] for part, count in (self.cases or {}).items()}
        if self.initial is not None:
            record = record.union(self.initial.exposure)
        exposure.write_exposure(self.directory, record)
        self._record_sha256(exposure.FILE)
        return _record.final_results(self.config, self.learner.reward, episodes)

    def _starts(self) -> exposure.FirstObservationRecorder | None:
        """The first observations of the copies of all ranks; None if the data is a finite set of cases."""
        if self.has_cases:
            return None
        return self.learner.starts if self.leading is None else self.leading.all_starts()

    def _record_sha256(self, name: str) -> None:
        """Have the next `run.json` say which bytes a file of the run has, so that no other is taken for it."""
        self.files_sha256[name] = run.file_sha256(self.directory / name)

    def _info(self, status: str, results: Mapping[str, Any] | None, reason: str | None) -> dict[str, Any]:
        return {
            "status": status,
            "reason": reason,
            "name": self.config.name or self.directory.name,
            "started": self.started,
            "ended": datetime.datetime.now(datetime.UTC).isoformat() if status != "running" else None,
            "results": results,
            "cases": self.cases,
            "trials": None if self.trials is None else self.trials.to_json(),
            run.FILES_SHA256: self.files_sha256,
            "init": self.initial.lineage if self.initial is not None else None,
            "cost": self.meter.to_json(),
            **_record.info(self.config, self.agent, self.progress, self.execution),
        }

    def _write_info(self, status: str, results: Mapping[str, Any] | None = None, reason: str | None = None) -> run.Run:
        run.write_json(self.directory / "run.json", self._info(status, results, reason))
        return run.read_run(self.directory)
