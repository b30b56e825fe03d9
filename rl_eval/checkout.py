"""Where the checkout is: training needs it, since the installed package cannot train on its own."""

from __future__ import annotations

import tomllib
from pathlib import Path

from rl_eval.errors import InputError


def checkout(command: str) -> Path:
    """The folder with train.py and conf/: the current one, or that which holds this package.

    Args:
        command: as a person types it.

    Raises:
        InputError: there is none.
    """
    for root in (Path.cwd(), Path(__file__).resolve().parents[1]):
        if is_checkout(root):
            return root
    raise InputError(f"{command} trains, which needs a checkout of the project: run it in one")


def is_checkout(folder: Path) -> bool:
    """Whether a folder is a checkout of this project, and not another one that has a train.py too."""
    if not (folder / "train.py").is_file():
        return False
    try:
        return bool(tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"] == "rl_eval")
    except (OSError, ValueError, LookupError, TypeError):
        return False
