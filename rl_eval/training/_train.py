"""`train`: train a new run in a directory, or resume the run that is in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rl_eval import run
from rl_eval.config import RunConfig
from rl_eval.cost import Meter
from rl_eval.dry_run import dry_run
from rl_eval.errors import InputError
from rl_eval.memory import out_of_memory
from rl_eval.stop_signals import stop_requests
from rl_eval.tracking import Tracker
from rl_eval.training._init_from_run import read_copy, take_over
from rl_eval.training._ranks import leading
from rl_eval.training._training_loop import SMALLER, Training


def train(
    config: RunConfig,
    directory: Path,
    *,
    tracker: Tracker,
    on_step: Callable[..., None] = lambda *_: None,
    notice: Callable[[str], None] = lambda _: None,
    resume: bool = False,
    meter: Meter | None = None,
) -> run.Run:
    """Train as `config` says, in a directory that exists already and that no other process trains in.

    Args:
        tracker: gets every row of metrics.
        on_step: called after every iteration with env steps, mean return and validation score.
        notice: called with a sentence on what is damaged, could not be taken over from another run, or has no score.
        resume: continue the run in the directory.
        meter: of what it costs; None: the price of the machine is unknown, and there is no budget.

    Returns:
        The run, finished, interrupted (Ctrl-C, SIGTERM), stopped at its budget, or failed (a number that is not
        finite, a full disk).

    Raises:
        InputError: the config cannot be trained here, or the run cannot be resumed.
        KeyboardInterrupt: a stop signal came, and the iteration did not end soon.
    """
    with stop_requests() as stop_requested:
        if resume:
            initial = read_copy(directory)
        else:
            initial, config, notices = take_over(config)
            for sentence in notices:
                notice(sentence)
        try:
            if resume:  # a new run was checked before its directory was made
                dry_run(config)
            with leading(config, directory) as leader:
                training = Training(config, directory, tracker, on_step, initial, leader, meter)
                training.restore(notice) if resume else training.begin()
                ended = training.run_to_end(stop_requested)
                if (reason := training.validation.undefined) is not None:
                    notice(f"snapshots without a score on the validation part are never the best: {reason}")
                return ended
        except (OSError, MemoryError, RuntimeError) as error:
            reason = run.storage_error(error)
            if reason is None and (out := out_of_memory(error)) is not None:
                raise InputError(f"{out}: {SMALLER}") from error
            if reason is None:
                raise
            if not (directory / "run.json").exists():  # nothing has been trained
                raise InputError(f"{reason}: make room, or name another folder with hydra.run.dir=...") from error
            return training.fail(f"{reason}; after fixing that, continue with `{run.resume_command(directory)}`")
