"""Turn a `_target_` string from a config or a run into the object it names."""

from __future__ import annotations

import importlib
from typing import Any

from rl_eval.errors import InputError

ALLOWED = ("agents.", "rl_eval.")


def resolve(target: str) -> Any:
    """The object that a dotted path names.

    Configs and run directories may come from anyone, so only this project's own packages are
    ever imported from them.

    Raises:
        InputError: the path lies outside `agents.` and `rl_eval.`, or names nothing.
    """
    if not isinstance(target, str) or not target.startswith(ALLOWED):
        raise InputError(f"_target_={target!r} is not allowed: only names under agents. or rl_eval. are loaded")
    module, _, attribute = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"_target_={target!r} cannot be loaded: {error}") from error
