"""How many processes step the copies of an environment, and whether another process can make it."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from typing import Any

from gymnasium.envs.registration import EnvSpec


def process_count(workers: str | int, spec: EnvSpec, kwargs: dict[str, Any], num_envs: int, *, slow_steps: bool) -> int:
    """How many processes are to step the copies, this one included.

    `auto`: two where the environment's steps are slow and this process has two cores and works for no other one;
    otherwise one.
    """
    if workers != "auto":
        return max(1, min(int(workers), num_envs))
    pays = slow_steps and num_envs > 1 and cores() > 1 and not is_worker()
    return 2 if pays and can_move(spec, kwargs) else 1


def can_move(spec: EnvSpec, kwargs: dict[str, Any]) -> bool:
    """Whether another process can make the same environment from JSON, on a system that has what it takes."""
    try:
        same = json.loads(json.dumps(kwargs)) == kwargs and EnvSpec.from_json(spec.to_json()) == spec
    except (TypeError, ValueError):
        return False
    return same and hasattr(socket, "send_fds") and hasattr(os, "sched_yield")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_worker() -> bool:
    """Whether this process works for another one: joblib, multiprocessing, pytest-xdist."""
    return multiprocessing.parent_process() is not None or "PYTEST_XDIST_WORKER" in os.environ
