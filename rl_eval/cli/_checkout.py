"""Where the checkout is: some commands train, which the installed package cannot do on its own."""

from __future__ import annotations

from pathlib import Path

from rl_eval.errors import InputError


def checkout(command: str) -> Path:
    """The folder with train.py and conf/: the current one, or that which holds this package.

    Args:
        command: as a person types it.

    Raises:
        InputError: there is none.
    """
    for root in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (root / "train.py").is_file() and (root / "conf" / "config.yaml").is_file():
            return root
    raise InputError(f"{command} trains, which needs a checkout of the project: run it in one")
