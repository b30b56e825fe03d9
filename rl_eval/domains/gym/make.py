"""Make copies of a Gymnasium environment: find its spec, choose the back end and the number of processes."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from rl_eval.domains.base import Part
from rl_eval.domains.gym.config import DEFAULT_EPISODE_STEPS, Config
from rl_eval.envs import envpool_vector
from rl_eval.envs.copies import make_copies, require_flat
from rl_eval.envs.gymnasium_vector import GymnasiumVector
from rl_eval.envs.parallel_env import PREFIX, parallel_spec
from rl_eval.envs.process_count import process_count, spec_to_send
from rl_eval.envs.space_values import has_arrays
from rl_eval.envs.workers_vector import WorkersVector
from rl_eval.errors import InputError, nearest
from rl_eval.extras import require_extra
from rl_eval.plugins import hint_on_path

# Pygame greets on the terminal, and SDL complains where there is no screen or loudspeaker.
_QUIET = {"PYGAME_HIDE_SUPPORT_PROMPT": "1", "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}


def _spec(config: Config) -> gym.envs.registration.EnvSpec:
    if config.id.startswith(PREFIX):
        return parallel_spec(config.id)
    module, _, env_id = config.id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except Exception as error:  # foreign code raises anything
            raise InputError(
                f"env.id={config.id!r}: the module {module!r} cannot be imported ({_line(error)})"
                f"{hint_on_path(module, error)}"
            ) from error
    try:
        return gym.spec(env_id)
    except gym.error.Error as error:
        ids = [name for name in gym.registry if not name.startswith(("phys2d/", "tabular/"))]
        raise InputError(
            f"env.id={config.id!r} is not registered with Gymnasium: {nearest(env_id, ids)}"
            "list the ids with `python -c 'import gymnasium; gymnasium.pprint_registry()'`"
        ) from error


def _line(error: Exception) -> str:
    """Another library's message on one line, with the kind of error where the message says little on its own."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if isinstance(error, LookupError) or not text else text


def code_identity(config: Config) -> str | None:
    """The registration of an id as JSON; None if its code is not Gymnasium's own, or the config names a file.

    Raises:
        InputError: unknown id.
    """
    texts = [value for value in config.kwargs.values() if isinstance(value, str)]
    foreign_wrapper = any(":" in name for name, _ in config.named_wrappers())
    if ":" in config.id or foreign_wrapper or any(os.path.exists(os.path.expanduser(text)) for text in texts):
        return None
    spec = _spec(config)
    wrappers = [wrapper.entry_point for wrapper in spec.additional_wrappers]
    for entry_point in (spec.entry_point, *filter(None, [spec.vector_entry_point]), *wrappers):
        if not isinstance(entry_point, str) or not entry_point.startswith("gymnasium."):
            return None
    try:
        return json.dumps([dataclasses.asdict(spec), config.named_wrappers()], sort_keys=True)
    except TypeError:  # an argument that is an object
        return None


def episodes_identity(config: Config) -> str:
    """The id, its registration, the arguments and the step limit, as JSON; objects in arguments count by their type.

    Raises:
        InputError: unknown id, or arguments with a wrong step limit.
    """
    spec = _spec(config)
    kwargs = {**spec.kwargs, **_bounded_kwargs(config, spec)}
    values = {
        "id": spec.id,
        "entry_point": spec.entry_point,
        "max_episode_steps": kwargs.pop("max_episode_steps", spec.max_episode_steps),
        "kwargs": kwargs,
        "wrappers": [(wrapper.entry_point, wrapper.kwargs) for wrapper in spec.additional_wrappers],
    }
    if config.wrappers:
        values["applied"] = config.named_wrappers()
    return json.dumps(values, sort_keys=True, default=_type_name)


def own_modules(config: Config) -> list[str]:
    """The modules outside Gymnasium whose code id, registration and wrappers name."""
    names = [config.id.removeprefix(PREFIX), *(name for name, _ in config.named_wrappers())]
    modules = {name.partition(":")[0] for name in names if ":" in name}
    spec = gym.registry.get(config.id.rpartition(":")[2])
    if spec is not None:
        entry = spec.entry_point
        modules.add(entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", ""))
    return sorted(module for module in modules if module and not module.startswith("gymnasium."))


def _type_name(value: object) -> str:
    named = value if hasattr(value, "__qualname__") else type(value)  # a class or a function, or an object of a class
    return f"{named.__module__}:{named.__qualname__}"


def has_limit(config: Config) -> bool:
    """Whether the environment, or its config, says how long an episode may be.

    Raises:
        InputError: unknown id.
    """
    limits = (config.max_episode_steps, config.kwargs.get("max_episode_steps"), _spec(config).max_episode_steps)
    return _has_time_limit(config) or any(limit is not None for limit in limits)


def _has_time_limit(config: Config) -> bool:
    return any(name == "TimeLimit" for name, _ in config.named_wrappers())


def _bounded_kwargs(config: Config, spec: gym.envs.registration.EnvSpec) -> dict[str, Any]:
    """The kwargs of `gymnasium.make`, with the step limit that the environment does not have of its own.

    Raises:
        InputError: the kwargs hold a limit that is not valid, or another one than the config.
    """
    if "max_episode_steps" in config.kwargs:
        limit = config.kwargs["max_episode_steps"]
        if config.max_episode_steps is not None or isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InputError(
                f"env.kwargs.max_episode_steps={limit!r}: name the step limit, a whole number from 1, once, with "
                "env.max_episode_steps=..."
            )
        return config.kwargs
    own_limit = spec.max_episode_steps
    needs_one = (own_limit is None or own_limit < 1) and not _has_time_limit(config)
    limit = config.max_episode_steps or (DEFAULT_EPISODE_STEPS if needs_one else None)
    return config.kwargs if limit is None else {**config.kwargs, "max_episode_steps": limit}


def _task(config: Config, spec: gym.envs.registration.EnvSpec) -> str | None:
    """The id of the environment in EnvPool, if EnvPool steps it.

    Raises:
        InputError: `env.backend=envpool`, and EnvPool is not installed, has no such environment or cannot record facts.
    """
    if config.backend == "gymnasium":
        return None
    if config.backend == "auto" and (config.outcome or config.wrappers or not envpool_vector.installed()):
        return None
    if config.outcome:
        raise InputError("env.outcome cannot be recorded by EnvPool: use env.backend=gymnasium")
    if config.wrappers:
        raise InputError("env.wrappers cannot be applied to EnvPool: use env.backend=gymnasium")
    require_extra("fast", "env.backend=envpool", "envpool")
    task = envpool_vector.task_of(spec, config.kwargs)
    if task is None and config.backend == "envpool":
        raise InputError(
            f"env.backend=envpool: EnvPool has no environment that is known to equal env.id={config.id!r} with "
            f"env.kwargs={config.kwargs!r}: use env.backend=gymnasium"
        )
    return task


def make(config: Config, *, n_envs: int, part: Part, autoreset: bool, slow_steps: bool) -> VectorEnv:
    """N copies of the environment.

    Args:
        part: seeds keep the parts apart; but only training may be stepped by EnvPool, with NEXT_STEP autoreset.
        slow_steps: whether a step is slow enough for a second process to pay.

    Raises:
        InputError: unknown id, wrong kwargs, missing dependency, a space that is not supported, or a back end
            that is not there.
    """
    spec = _spec(config)
    if str(spec.entry_point).startswith("gymnasium.envs.box2d."):
        require_extra("box2d", f"env.id={config.id!r}", "Box2D")
    kwargs = _bounded_kwargs(config, spec)
    task = _task(config, spec) if part == "train" and autoreset else None
    try:
        if task is not None:
            (env,) = make_copies(spec, kwargs, 1)
            require_flat(env)
            return envpool_vector.EnvPoolVector(task, env, n_envs, envpool_vector.threads(n_envs))
        count = process_count(config.workers, spec, kwargs, n_envs, slow_steps=slow_steps)
        if count > 1:
            try:
                spec = spec_to_send(spec, kwargs)
            except ValueError as error:
                raise InputError(
                    f"env.workers={config.workers}: another process cannot make env.id={config.id!r}: {error}, or use "
                    "env.workers=1"
                ) from error
        share = make_copies(spec, kwargs, n_envs // count, config.named_wrappers())
    except InputError:
        raise
    except Exception as error:  # environments raise anything on wrong kwargs
        raise InputError(
            f"env.id={config.id!r} with env.kwargs={config.kwargs!r} cannot be made: {_line(error)}"
        ) from error
    for kind, space in (("observations", share[0].observation_space), ("actions", share[0].action_space)):
        if count > 1 and not has_arrays(space):
            raise InputError(
                f"env.workers={config.workers}: {kind} of {type(space).__name__}, as env.id={config.id!r} has, are not "
                "shared with other processes: use env.workers=1"
            )
    if count == 1:
        return GymnasiumVector(share, autoreset=autoreset, facts=config.outcome)
    return WorkersVector(
        share,
        spec=spec,
        kwargs=kwargs,
        wrappers=config.named_wrappers(),
        module=config.id.rpartition(":")[0],
        num_envs=n_envs,
        processes=count,
        autoreset=autoreset,
        facts=config.outcome,
    )


def renderer(config: Config) -> gym.Env | None:
    """One copy that draws frames; None if the environment does not."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        spec = _spec(config)
        (env,) = make_copies(
            spec, {**_bounded_kwargs(config, spec), "render_mode": "rgb_array"}, 1, config.named_wrappers()
        )
    except Exception:  # environments raise anything on unknown kwargs
        return None
    if "rgb_array" not in (env.metadata.get("render_modes") or ()):
        env.close()
        return None
    return env
