"""The same run once more, from its config alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rl_eval import config as configs
from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.tracking import open_tracker
from rl_eval.training._initial import read_copy
from rl_eval.training._loop import Training

ALL = 10**9  # snapshots; what the run itself has dropped by now does not matter


def replay(original: run.Run, directory: Path, *, trust: bool, on_step: Callable[..., None]) -> run.Run:
    """Train again in an empty directory: a finished run to its end, any other as far as its last snapshot.

    Args:
        trust: whether the environment may come from a module that the run names.
        on_step: called after every iteration with env steps, mean return and selection score.

    Raises:
        InputError: the run cannot be trained here, or holds no snapshot to go to.
    """
    env_id = str(original.config["env"].get("id", ""))
    if ":" in env_id and not trust:
        raise InputError(
            f"{original.path} names env.id={env_id!r}, which imports and runs code: "
            "add --trust if you trust where it comes from"
        )
    if original.config["env"].get("base_url") is not None:
        raise InputError(
            f"{original.path} learned from the service at {original.config['env']['base_url']!r}, whose answers and "
            "times no replay gives again: only runs on the embedded one can be verified"
        )
    snapshots = original.snapshots()
    if not snapshots:
        raise InputError(f"{original.path} holds no snapshot, so there is nothing to compare: train on first")
    until = None if original.finished else run.step_of(snapshots[-1])
    config = configs.load({**original.config, "keep_snapshots": ALL, "tracker": {"name": "none"}, "resume": None})
    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    training = Training(config, directory, tracker, on_step, read_copy(original.path))
    hardware = original.info.get("hardware")
    known = hardware if isinstance(hardware, dict) else {}
    training.made.require({"backend": original.info.get("backend"), **known}, original.path)
    training.begin()
    return training.to_the_end(lambda: until is not None and training.agent.env_steps >= until)
