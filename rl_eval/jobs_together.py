"""The jobs of a sweep over seeds, in this process: trained in step, then judged one after another."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from rl_eval import job, terminal
from rl_eval import run as runs
from rl_eval.config import RunConfig, load
from rl_eval.errors import InputError
from rl_eval.formatting import quantity
from rl_eval.launchers import Task
from rl_eval.production.audit.runs import append_end, append_training
from rl_eval.training import train_together


def require_seeds_alone(configs: Sequence[RunConfig]) -> None:
    """Check that jobs can be trained in step.

    Raises:
        InputError: they differ in more than their seeds, or have a tracker.
    """
    settings = [{**config.to_dict(), "seed": None} for config in configs]
    differing = {key for one in settings for key in one if one[key] != settings[0][key]}
    if differing:
        raise InputError(
            "hardware=seeds trains jobs that differ only in their seed, but these also differ in "
            f"{', '.join(sorted(differing))}: use hardware=parallel"
        )
    if configs[0].tracker.name != "none":
        raise InputError(
            f"not supported: tracker={configs[0].tracker.name} with hardware=seeds: use tracker=none, or "
            "hardware=parallel"
        )


def run_all(tasks: Sequence[Task]) -> None:
    """Train and judge; the directories show the results.

    Args:
        tasks: of `job_elsewhere.task_of`.

    Raises:
        InputError: the jobs cannot be trained here.
        KeyboardInterrupt: a stop signal came.
    """
    arguments = [task.arguments for task in tasks]
    directories, sweep = [Path(one["directory"]) for one in arguments], Path(arguments[0]["sweep"])
    with contextlib.ExitStack() as locks:
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)
            locks.enter_context(runs.lock(directory))
        configs = [_judged_on_validation(load(one["values"])) for one in arguments]
        count = len(tasks) if configs[0].hardware.budget is not None else 0
        spent = [locks.enter_context(runs.open_spent(sweep, job_number, count)) for job_number in range(count)]
        for config, directory in zip(configs, directories, strict=True):
            append_training("training_began", str(directory), config.to_dict(), resume=False)
        total = sum(config.total_steps for config in configs)
        with terminal.ProgressLine(total, f"{quantity(len(tasks), 'seed')} in step") as progress:
            trained = train_together(configs, directories, progress.update, spent)
            if any(run.info["status"] == "interrupted" for run in trained):
                progress.outcome = "interrupted"
    statuses = [run.info["status"] for run in trained]
    for run in trained:
        if not run.finished:  # the end of a finished one is noted where it is judged
            append_end(run)
    if "interrupted" in statuses:
        for run in trained:
            if not run.finished:
                terminal.print_error(f"interrupted: continue with `{runs.resume_command(run.path)}`")
        raise KeyboardInterrupt
    for one, run in zip(arguments, trained, strict=True):
        if run.info["status"] == "failed":
            terminal.print_error(f"training of {run.path} failed: {run.info['reason']}")
        elif run.info["status"] == "over_budget":
            terminal.print_error(job.over_budget_sentence(run))
        else:  # a finished run that is resumed is judged
            values = {**one["values"], "resume": str(run.path)}
            job.run(values, run.path, sweep=sweep, suites=Path(one["suites"]))


def _judged_on_validation(config: RunConfig) -> RunConfig:
    """As the jobs of every sweep, where nothing else is asked for."""
    return config if config.judge is not None else config.model_copy(update={"judge": "validation"})
