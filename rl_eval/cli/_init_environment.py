"""The environment that `rl-eval init` is asked for: an id, or a class that a module may have registered."""

from __future__ import annotations

import importlib
import re
import sys

from rl_eval.errors import InputError, failure, nearest

NESTED = ("ensemble", "agents")  # policies of several
EXTRAS_OF_POLICIES = ("sb3", "onnx", "sklearn")


def is_class(env: str) -> bool:
    """Whether it names a class, rather than an id, which ends in a version, or an environment of PettingZoo."""
    from rl_eval.envs.parallel_env import PREFIX

    return ":" in env and not env.startswith(PREFIX) and not re.search(r"-v[0-9]+$", env)


def registered_id(env: str) -> str | None:
    """The id under which its module has registered a class; None if it has not.

    Raises:
        InputError: there is no such class, or it has several ids.
    """
    import gymnasium as gym

    module, _, name = env.rpartition(":")
    if not (module and name.isidentifier()):
        raise InputError(f"--env {env} is neither an id, such as Acrobot-v1, nor a class, such as my_env:MyEnv")
    try:
        contents = vars(importlib.import_module(module))
    except (Exception, SystemExit) as error:  # foreign code raises anything
        raise InputError(f"--env {env}: the module {module!r} cannot be imported: {failure(error)}") from error
    if (value := contents.get(name)) is None:
        classes = [other for other, value in contents.items() if isinstance(value, type)]
        raise InputError(f"--env {env}: {module} has no {name!r}: {nearest(name, classes)}name a class in it")
    ids = sorted(spec.id for spec in gym.registry.values() if _makes(spec.entry_point, env, value))
    if len(ids) > 1:
        raise InputError(
            f"--env {env} is registered as {', '.join(ids)}: name the one to judge, such as --env {module}:{ids[0]}"
        )
    return ids[0] if ids else None


def _makes(entry_point: object, env: str, value: object) -> bool:
    """Whether an entry point is a class, by its name or another name of it."""
    if not isinstance(entry_point, str):
        return entry_point is value
    module, _, name = entry_point.partition(":")
    return entry_point == env or (module in sys.modules and getattr(sys.modules[module], name, None) is value)


def register(env: str, env_id: str) -> None:
    """Register a class.

    Raises:
        InputError: something else has the id.
    """
    import gymnasium as gym

    if env_id in gym.registry:
        raise InputError(
            f"--env {env}: the id {env_id}, which the class would get, is registered with "
            f"{gym.registry[env_id].entry_point}: register the class with another id, such as My{env_id}, and name it, "
            f"such as --env {env.rpartition(':')[0]}:My{env_id}"
        )
    gym.register(env_id, entry_point=env)


def requirements(env_id: str, policy: str) -> tuple[list[str], list[str]]:
    """(extras of this package, other packages) that an environment and a policy need."""
    prefix, _, rest = policy.partition(":")
    prefixes = set(re.findall(r"(?:^|[+=])(\w+):", rest)) if prefix in NESTED else {prefix}
    extras = [extra for extra in EXTRAS_OF_POLICIES if extra in prefixes]
    from rl_eval.envs.parallel_env import PREFIX

    if env_id.startswith(PREFIX):
        extras.append("pettingzoo")
    elif _entry_point(env_id).startswith("gymnasium.envs.box2d."):
        extras.append("box2d")
    return extras, ["torch"] if "torchscript" in prefixes else []


def _entry_point(env_id: str) -> str:
    import gymnasium as gym

    return str(gym.spec(env_id.rpartition(":")[2]).entry_point)
