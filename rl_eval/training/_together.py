"""`train_together`: runs that differ in their seeds, trained in step in this process."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rl_eval import agent_registry, run
from rl_eval.config import RunConfig
from rl_eval.cost import Budget, Meter, SharedClock
from rl_eval.machine import machine_rate
from rl_eval.stop_signals import stop_requests
from rl_eval.tracking import open_tracker
from rl_eval.training._init_from_run import take_over
from rl_eval.training._training_loop import Training


def train_together(
    configs: Sequence[RunConfig],
    directories: Sequence[Path],
    on_steps: Callable[[int], None] = lambda _: None,
    spent: Sequence[run.SpentFile] = (),
) -> list[run.Run]:
    """Train new runs in directories that exist already, each to the bytes that it has when trained on its own.

    Args:
        configs: equal except for their seeds, without a tracker.
        on_steps: called after every iteration with the env steps of all runs so far.
        spent: with a budget, which all runs share, the file where each writes what it has spent.

    Returns:
        The runs; one is finished, interrupted, over its budget, or failed (a number that is not finite).

    Raises:
        InputError: a config cannot be trained here.
        KeyboardInterrupt: a stop signal came, and the iteration did not end soon.
    """
    with stop_requests() as stop_requested:
        clock = SharedClock(len(configs))
        meters = [_meter(config, clock, index, spent) for index, config in enumerate(configs)]
        trainings = []
        for config, directory, meter in zip(configs, directories, meters, strict=True):
            initial, taken, _ = take_over(config)
            tracker = open_tracker(taken.tracker, run_dir=directory, config={})
            trainings.append(Training(taken, directory, tracker, lambda *_: None, initial, meter=meter))
            trainings[-1].begin()
        seeds = agent_registry.seeds([training.agent for training in trainings])
        ended: dict[int, run.Run] = {}
        while len(ended) < len(trainings):
            active = [(index, training) for index, training in enumerate(trainings) if index not in ended]
            started = time.perf_counter()
            outcomes = seeds.iterate([training.agent for _, training in active])
            share = (time.perf_counter() - started) / len(active)
            for (index, training), outcome in zip(active, outcomes, strict=True):
                result = training.guarded(functools.partial(_go_on, training, outcome, share))
                if result is not None:
                    ended[index] = result
                    clock.end(index)
            on_steps(sum(training.agent.env_steps for training in trainings))
            status = "interrupted" if stop_requested() else "over_budget" if _over_budget(meters) else None
            for index, training in enumerate(trainings):
                if status is not None and index not in ended:
                    ended[index] = training.finish(status)
                    clock.end(index)
        return [ended[index] for index in range(len(trainings))]


def _meter(config: RunConfig, clock: SharedClock, index: int, spent: Sequence[run.SpentFile]) -> Meter:
    rate, seconds = machine_rate(config.hardware), functools.partial(clock.seconds, index)
    if config.hardware.budget is None:
        return Meter(rate, clock=seconds)
    return Meter(rate, Budget.parse(config.hardware.budget), spent[index], clock=seconds)


def _over_budget(meters: Sequence[Meter]) -> bool:
    """Whether all runs together have spent it; every one writes its part first."""
    return [meter.over_budget() for meter in meters][-1]


def _go_on(training: Training, outcome: dict[str, float] | FloatingPointError, seconds: float) -> run.Run | None:
    """What follows an iteration of one run; the run where it is finished."""
    if isinstance(outcome, FloatingPointError):
        raise outcome
    training.after_iteration(outcome, seconds)
    return training.finish("finished") if training.is_complete else None
