"""The policy of a run directory: its judged snapshot, acting by the function that the snapshot names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rl_eval.errors import InputError
from rl_eval.plugins import require_plugins_of_run
from rl_eval.policy._policy import Policy, Spaces


def load_run(path: Path, spaces: Spaces, seed: int, *, trust: bool) -> Policy:
    """The policy of the snapshot that gates judge.

    Raises:
        InputError: no run, a damaged one, one of another environment, or one with plugins that need trust.
    """
    from rl_eval.run import read_checkpoint, read_run
    from rl_eval.target import resolve

    run = read_run(path)
    require_plugins_of_run(path, run.config, trust=trust)
    snapshot = run.judged_snapshot()
    arrays, meta = read_checkpoint(snapshot, "policy")
    try:
        env, shape = meta["env"], tuple(meta["obs_shape"])
        if env != spaces.env or shape != spaces.observation.shape:
            raise InputError(
                f"{path} holds a policy for {env} with observations of shape {shape}, "
                f"not for {spaces.env} with {spaces.observation.shape}: name a run of {spaces.env}"
            )
        if "action_space" in meta:
            action = _from_agents(path, "restore_action_space")(meta["action_space"])
            if action != spaces.action:
                raise InputError(
                    f"{path} holds a policy with actions in {action}, but this {spaces.env} takes {spaces.action}: "
                    "name a run with the same env.kwargs"
                )
        return resolve(meta["_target_"])(arrays, meta, seed=seed)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{snapshot / 'policy.json'} does not describe a policy of ours ({error}): use another snapshot"
        ) from error


def _from_agents(path: Path, name: str) -> Any:
    """A function of `agents.policy`, which the installed package does not hold."""
    from rl_eval.target import resolve

    try:
        return resolve(f"agents.policy.{name}")
    except InputError as error:
        raise InputError(
            f"{path} is a run of train.py, whose networks are only known in its checkout ({error.__cause__}): "
            f"there, `rl-eval export {path} --onnx` writes a file that onnx:<file> names anywhere"
        ) from error
