"""A sign of life for supervisors that a process without a port gives."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

VARIABLE = "RL_EVAL_ALIVE"  # names a file that is touched in each turn


def beat() -> None:
    """Say that this process works, where somebody wants to know; a full disk is no reason to end."""
    if name := os.environ.get(VARIABLE):
        with contextlib.suppress(OSError):
            Path(name).touch()
