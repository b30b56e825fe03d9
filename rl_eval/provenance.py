"""What made a run: the commit and the versions it was trained with."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version

import numpy as np

from rl_eval import __version__


def git_revision() -> str | None:
    """The commit that is checked out; None outside a repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def versions() -> dict[str, str]:
    """What a run's bytes depend on beside its config."""
    import gymnasium

    return {
        "rl_eval": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),  # importing it takes a second, and a reader may not need it
        "numpy": np.__version__,
        "gymnasium": gymnasium.__version__,
    }
