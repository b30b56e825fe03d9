"""`resolve`: import the object that a `_target_` string in a config names, if that is allowed."""

from __future__ import annotations

import importlib
from typing import Any

from rl_eval.errors import InputError
from rl_eval.plugins import is_plugin

ALLOWED = "rl_eval."


def resolve(target: str) -> Any:
    """The object that a dotted path names.

    Configs may come from anyone, so only this package is imported, and plugins that a person consented to.

    Raises:
        InputError: the path is outside `rl_eval.` and plugins, or names nothing.
    """
    module, _, attribute = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    if not attribute or not (target.startswith(ALLOWED) or is_plugin(module)):
        raise InputError(
            f"_target_={target!r} is not allowed: only names in rl_eval and in imported plugins are loaded"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"_target_={target!r} cannot be loaded: {error}") from error
