"""Train a run again from its config, so that `rl-eval verify` can compare the bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rl_eval import config as configs
from rl_eval import domains, run
from rl_eval.dry_run import dry_run
from rl_eval.errors import InputError
from rl_eval.plugins import require_plugins_of_run
from rl_eval.tracking import open_tracker
from rl_eval.training._init_from_run import read_copy
from rl_eval.training._ranks import leading
from rl_eval.training._training_loop import Training

ALL_SNAPSHOTS = 10**9  # also those that the run itself has dropped by now


def replay(original: run.Run, directory: Path, *, trust: bool, on_step: Callable[..., None]) -> run.Run:
    """Train again in an empty directory: a finished run to its end, any other up to its last snapshot.

    Args:
        trust: whether the environment may come from a module that the run names.
        on_step: called after every iteration with env steps, mean return and validation score.

    Raises:
        InputError: the run cannot be trained here, or holds no snapshot to go to.
    """
    require_plugins_of_run(original.path, original.config, trust=trust)
    settings = {"keep_snapshots": ALL_SNAPSHOTS, "tracker": {"name": "none"}, "resume": None}
    recorded = configs.load({**original.config, **settings})
    config = configs.without_servers(recorded)
    domain = domains.domain(config.env.name)
    reason = domain.not_repeatable(config.env) or getattr(recorded.agent, "not_repeatable", None)
    if reason is not None:
        raise InputError(f"{original.path} cannot be trained again to the same bytes: {reason}")
    if not trust and (reason := domain.needs_trust(config.env)) is not None:
        raise InputError(f"{original.path}: {reason}: add --trust if you trust where it comes from")
    snapshots = original.snapshots()
    if not snapshots:
        raise InputError(f"{original.path} has no snapshot, so there is nothing to compare: continue training first")
    until = None if original.finished else run.step_of(snapshots[-1])
    dry_run(config)
    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    with leading(config, directory) as leader:
        training = Training(config, directory, tracker, on_step, read_copy(original.path), leader)
        hardware = original.info.get("hardware")
        hardware = hardware if isinstance(hardware, dict) else {}
        training.execution.require_same({"backend": original.info.get("backend"), **hardware}, original.path)
        training.begin()
        return training.run_to_end(lambda: until is not None and training.agent.env_steps >= until)
