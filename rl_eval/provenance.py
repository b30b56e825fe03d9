"""The git commit and the package versions that a run is trained with."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from rl_eval import __version__


def git_revision() -> str | None:
    """The checked-out commit; None outside a repository."""
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def installed_version(package: str) -> str | None:
    """The version of a package, without importing it; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """The versions that the bytes of a run depend on, in addition to its config."""
    return {
        "rl_eval": __version__,
        "python": platform.python_version(),
        "torch": installed_version("torch"),
        "numpy": np.__version__,
        "gymnasium": installed_version("gymnasium"),
    }
