"""How many processes step the copies of an environment, and whether another process can make it."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import socket
import sys
from typing import Any

from gymnasium.envs.registration import EnvSpec


def process_count(workers: str | int, spec: EnvSpec, kwargs: dict[str, Any], num_envs: int, *, slow_steps: bool) -> int:
    """How many processes should step the copies, this one included.

    `auto`: two where the environment's steps are slow and this process has two cores and works for no other one;
    otherwise one.
    """
    if workers != "auto":
        return max(1, min(int(workers), num_envs))
    pays = slow_steps and num_envs > 1 and cores() > 1 and not is_worker()
    return 2 if pays and _can_move(spec, kwargs) else 1


def spec_to_send(spec: EnvSpec, kwargs: dict[str, Any]) -> EnvSpec:
    """The spec from which another process makes the same environment; a class or function is named by its module.

    Raises:
        ValueError: another process cannot make it; says why.
    """
    if not (hasattr(socket, "send_fds") and hasattr(os, "sched_yield")):
        raise ValueError("this system cannot share memory with other processes")
    if not _is_json(kwargs):
        raise ValueError(f"env.kwargs={kwargs!r} are not plain JSON")
    if not isinstance(spec.entry_point, str):
        spec = copy.copy(spec)
        spec.entry_point = _import_path(spec.entry_point)
    try:
        same = EnvSpec.from_json(spec.to_json()) == spec
    except (TypeError, ValueError):
        same = False
    if not same:
        raise ValueError("its registration is not plain JSON")
    return spec


def _can_move(spec: EnvSpec, kwargs: dict[str, Any]) -> bool:
    try:
        spec_to_send(spec, kwargs)
    except ValueError:
        return False
    return True


def _is_json(values: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(values)) == values)
    except (TypeError, ValueError):
        return False


def _import_path(entry_point: Any) -> str:
    """`module:name` of a class or function at the top level of a module."""
    module, name = getattr(entry_point, "__module__", None), getattr(entry_point, "__qualname__", "")
    imported = None if module in (None, "__main__") else getattr(sys.modules.get(module), name, None)
    if imported is not entry_point:
        raise ValueError(
            f"its entry_point {entry_point!r} is not at the top level of a module that can be imported: define it there"
        )
    return f"{module}:{name}"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_worker() -> bool:
    """Whether this process works for another one: joblib, multiprocessing, pytest-xdist."""
    return multiprocessing.parent_process() is not None or "PYTEST_XDIST_WORKER" in os.environ
