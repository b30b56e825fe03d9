"""The policy of a run directory: its judged snapshot, loaded by the agent that the snapshot names."""

from __future__ import annotations

import json
from pathlib import Path

from rl_eval.agent_registry import agent, agents
from rl_eval.envs.space_values import space_text
from rl_eval.errors import InputError
from rl_eval.override_text import shell_word
from rl_eval.plugins import require_plugins_of_run
from rl_eval.policy._policy import Policy, Spaces, action_space_json


def load_run(path: Path, spaces: Spaces, seed: int, *, trust: bool) -> Policy:
    """The policy of the snapshot that gates judge.

    Raises:
        InputError: no run, a damaged one, one of another environment, or one with plugins that need trust.
    """
    from rl_eval.run import read_checkpoint, read_run

    run = read_run(path)
    require_plugins_of_run(path, run.config, trust=trust)
    snapshot = run.judged_snapshot()
    arrays, meta = read_checkpoint(snapshot, "policy")
    try:
        env, shape = meta["env"], tuple(meta["obs_shape"])
        if env != spaces.env or shape != spaces.observation.shape:
            raise InputError(
                f"{path} holds a policy for {env} with observations of shape {shape}, "
                f"not for {spaces.title} with {spaces.observation.shape}: name a run of {spaces.title}"
            )
        expected = action_space_json(spaces.action)
        if (recorded := meta.get("action_space", expected)) != expected:
            raise InputError(
                f"{path} holds a policy for other actions ({json.dumps(recorded)[:200]}), but this {spaces.env} takes "
                f"{space_text(spaces.action)}: name a run with the same env.kwargs"
            )
        _require_agents(path)
        return agent(meta["agent"]).load_policy(arrays, meta, seed=seed)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{snapshot / 'policy.json'} does not describe a policy of this project ({error}): use another snapshot"
        ) from error


def _require_agents(path: Path) -> None:
    try:
        agents()
    except InputError as error:
        raise InputError(
            f"{path} is a run of train.py, whose networks are only in a checkout ({error.__cause__}): there, `rl-eval "
            f"export {shell_word(path)} --onnx` writes a file that can be used anywhere as onnx:<file>"
        ) from error
