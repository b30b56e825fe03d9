"""One trial: a few runs with the same settings, each stopped early where its scores are hopeless."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval import config as configs
from rl_eval import run as runs
from rl_eval.cost import Budget, Meter, recorded_cost
from rl_eval.dry_run import dry_run
from rl_eval.errors import InputError
from rl_eval.launchers import require_shared
from rl_eval.machine import machine_rate
from rl_eval.metrics import lookup
from rl_eval.stop_signals import stop_requests
from rl_eval.tracking import open_tracker
from rl_eval.training import Training, leading


def make_trial(
    values: Mapping[str, Any],
    directory: str,
    seeds: Sequence[int],
    bars: Mapping[str, Sequence[float | None]],
    spent: Sequence[Any],
    jobs_at_once: int,
) -> dict[str, Any]:
    """Train a trial, from where an earlier process left it.

    Args:
        values: the composed config.
        directory: of the trial; each seed has its run in it.
        bars: seed -> the score of the best snapshot so far, in the metric's own direction, below which a run is
            stopped at its first, second, … score; None: not stopped there.
        spent: the folder of the file that counts what is spent, the place of the trial's first seed in it, and how many
            places there are.
        jobs_at_once: how many trials share the machine.

    Returns:
        `status` (finished, pruned, failed, over_budget), the `scores` of each seed, its `runs`, and the `cost` of all.

    Raises:
        InputError: the config cannot be trained, or this machine does not see the folder.
        KeyboardInterrupt: a stop signal came; the trial can go on later.
    """
    require_shared(Path(spent[0]))
    scores: list[list[float]] = []
    done: list[runs.Run] = []
    status = "finished"
    for index, seed in enumerate(seeds):
        path = Path(directory) / f"seed_{seed}"
        config = configs.load({**values, "seed": seed})
        folder, first, places = spent
        with runs.open_spent(Path(folder), int(first) + index, int(places)) as spent_file:
            budget = None if config.hardware.budget is None else Budget.parse(config.hardware.budget)
            meter = Meter(machine_rate(config.hardware, jobs_at_once), budget, spent_file)
            run, status = _train(config, path, bars.get(str(seed), ()), meter)
        done.append(run)
        scores.append(scores_of(run, config.validation.every))
        if status != "finished":
            break
    costs = [recorded_cost(run).total for run in done]
    return {
        "status": status,
        "reason": done[-1].info.get("reason"),
        "scores": scores,
        "best": [runs.finite(run.info.get("validation_score")) for run in done],
        "runs": [str(run.path) for run in done],
        "costs": [{**cost.to_json(), "currency": cost.currency} for cost in costs],
    }


def _train(config: configs.RunConfig, path: Path, bars: Sequence[float | None], meter: Meter) -> tuple[runs.Run, str]:
    """A run, to its end or until it is hopeless; returns it and the state of the trial."""
    path.mkdir(parents=True, exist_ok=True)
    if (path / "run.json").exists() and not (path / "config.yaml").exists():
        (path / "run.json").unlink()  # ended between two of its first files
    begun = (path / "run.json").exists()
    if begun and (run := runs.read_run(path)).info["status"] in ("finished", "failed"):
        return run, run.info["status"]
    higher = lookup(config.validation.metric).better == "higher"
    every = config.validation.every
    best, scored, pruned = -math.inf, 0, False

    def on_step(env_steps: int, _: float, score: float) -> None:
        nonlocal best, scored, pruned
        if env_steps // every <= scored or not math.isfinite(score):
            return
        scored = env_steps // every
        best = max(best, score if higher else -score)
        bar = bars[scored - 1] if scored <= len(bars) else None
        pruned = pruned or (bar is not None and best < (bar if higher else -bar))

    with runs.lock(path), stop_requests() as stop_requested:
        dry_run(config)
        tracker = open_tracker(config.tracker, run_dir=path, config={})
        with leading(config, path) as leader:
            training = Training(config, path, tracker, on_step, leader=leader, meter=meter)
            if begun:
                training.restore(lambda _: None)
                for number, score in enumerate(scores_of(runs.read_run(path), every), 1):
                    on_step(number * every, 0.0, score)
            else:
                training.begin()
            run = training.run_to_end(lambda: pruned or stop_requested())
    status = run.info["status"]
    if status == "interrupted" and not pruned:
        raise KeyboardInterrupt
    return run, "pruned" if status == "interrupted" else status


def scores_of(run: runs.Run, every: int) -> list[float]:
    """The scores of a run on the validation part, in order: one for each time that it was scored."""
    file = run.path / "metrics.csv"
    if not file.exists():
        return []
    columns = runs.read_metrics(file)
    steps, values = columns.get("env_steps", np.zeros(0)), columns.get("validation_score", np.zeros(0))
    last: dict[int, float] = {}
    for step, value in zip(steps, values, strict=True):
        if math.isfinite(value) and (number := int(step) // every) >= 1:
            last.setdefault(number, float(value))
    return [last[number] for number in sorted(last)]


def require_scores(config: configs.RunConfig) -> None:
    """Check that a run is scored often enough to be compared with others before it ends.

    Raises:
        InputError: it is not scored before its end.
    """
    if config.validation.every > config.total_steps:
        raise InputError(
            f"validation.every={config.validation.every} is more than total_steps={config.total_steps}, so that a "
            "trial would have no score: lower it"
        )
