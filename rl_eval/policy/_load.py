"""From the string that names a policy to the policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rl_eval.domains import domain
from rl_eval.errors import InputError, nearest
from rl_eval.policy._acting import Policy, Spaces
from rl_eval.policy._controls import Constant, Random, Untrained
from rl_eval.policy._function import load_function
from rl_eval.policy._http import load_http
from rl_eval.policy._onnx import load_onnx
from rl_eval.policy._sb3 import load_sb3

# What stands before the first colon of a policy that is no run directory.
KINDS = ("random", "constant", "untrained", "baseline", "onnx", "http", "https", "python", "sb3")


def names_policy(spec: str) -> bool:
    """Whether `spec` names a policy rather than a run directory, going by its first word alone."""
    kind, colon, _ = spec.partition(":")
    return kind in KINDS if colon else spec in ("random", "untrained") and not Path(spec).exists()


def load(spec: str, spaces: Spaces, config: Any, *, seed: int = 0, trust: bool = False) -> Policy:
    """The policy that `spec` names, fitted to an environment.

    Args:
        spec: a run directory, `random`, `constant:<a>`, `untrained[:<k>]`, `baseline:<name>`, `onnx:<file>`,
            `http://127.0.0.1:<port>/<path>`, `python:<module>:<callable>` or
            `sb3:<algo>:<zip>[+<vecnormalize.pkl>]`.
        spaces: what the policy must fit.
        config: the environment's config, for its baselines.
        seed: of the policy's own draws.
        trust: whether the person allowed code from elsewhere to run (`sb3:` unpickles, `python:` imports)
            and observations to leave the machine (`http:` to another host).

    Raises:
        InputError: the policy does not exist, does not fit, or needs `--trust`.
    """
    kind, _, rest = spec.partition(":")
    if kind == "random" and not rest:
        return Random(spaces.action, seed)
    if kind == "constant" and rest:
        return Constant(spaces.action, rest)
    if kind == "untrained":
        return _untrained(spaces, rest, seed)
    if kind == "baseline":
        return _baseline(rest, config)
    if kind == "onnx" and rest:
        return load_onnx(rest, spec, spaces, seed)
    if kind in ("http", "https") and rest:
        return load_http(spec, spaces, trust)
    if kind == "python":
        _needs_trust(spec, trust, "imports and runs code")
        return load_function(rest, spec, spaces)
    if kind == "sb3":
        _needs_trust(spec, trust, "is a pickle, which can run code when it is read")
        return load_sb3(rest, spec, spaces)
    if Path(spec).exists():
        return _run(Path(spec), spaces, seed)
    raise InputError(
        f"policy {spec!r} is neither a run directory nor a policy: give a run directory, random, constant:<a>, "
        "untrained, baseline:<name>, onnx:<file>, http://127.0.0.1:<port>/<path>, python:<module>:<callable> "
        "or sb3:<algo>:<zip>[+<vecnormalize.pkl>]"
    )


def _needs_trust(spec: str, trust: bool, why: str) -> None:
    if not trust:
        raise InputError(f"policy {spec!r} {why}: add --trust if you trust where it comes from")


def _run(path: Path, spaces: Spaces, seed: int) -> Policy:
    from rl_eval.run import read_checkpoint, read_run
    from rl_eval.target import resolve

    snapshot = read_run(path).judged_snapshot()
    arrays, meta = read_checkpoint(snapshot, "policy")
    try:
        env, shape = meta["env"], tuple(meta["obs_shape"])
        if env != spaces.env or shape != spaces.observation.shape:
            raise InputError(
                f"{path} holds a policy for {env} with observations of shape {shape}, "
                f"not for {spaces.env} with {spaces.observation.shape}: name a run of {spaces.env}"
            )
        if "action_space" in meta:
            action = _networks(path, "restore_action_space")(meta["action_space"])
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


def _networks(path: Path, name: str) -> Any:
    """What knows our own networks; the installed package holds the judging side alone."""
    from rl_eval.target import resolve

    try:
        return resolve(f"agents.policy.{name}")
    except InputError as error:
        raise InputError(
            f"{path} is a run of train.py, whose networks are only known in its checkout ({error.__cause__}): "
            f"there, `rl-eval export {path} --onnx` writes a file that onnx:<file> names anywhere"
        ) from error


def _untrained(spaces: Spaces, which: str, seed: int) -> Policy:
    if not re.fullmatch("[0-9]{0,9}", which):
        raise InputError(f"policy untrained:{which} is not one: give untrained, or untrained:<k> with k = 0, 1, 2, …")
    return Untrained(spaces.observation, spaces.action, int(which or 0), seed)


def _baseline(name: str, config: Any) -> Policy:
    baselines = domain(config.name).baselines
    if name not in baselines:
        choices = f"it has {', '.join(baselines)}" if baselines else "it has none"
        raise InputError(f"baseline:{name} is not a baseline of {config.name}: {nearest(name, baselines)}{choices}")
    return baselines[name](config)
