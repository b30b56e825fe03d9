"""`--rl-workers`: who plays the episodes of gates."""

from __future__ import annotations

import re

from rl_eval.errors import InputError
from rl_eval.launchers import LauncherSettings, launcher_plugin

_CLUSTER = re.compile(r"ray://(?:auto|[\w.\-]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5})")
MAX_PROCESSES = 1024


def workers_settings(text: str) -> LauncherSettings:
    """The launcher that the option names.

    Raises:
        InputError: it is neither a number of processes nor a Ray cluster, or Ray is not installed.
    """
    if re.fullmatch("[0-9]{1,4}", text) and 1 <= int(text) <= MAX_PROCESSES:
        return _checked("processes", count=int(text))
    if text == "ray":
        return _checked("ray", address=None)
    if _CLUSTER.fullmatch(text):
        return _checked("ray", address="auto" if text == "ray://auto" else text)
    raise InputError(
        f"--rl-workers={text!r} is not valid: give a number of processes from 1 to {MAX_PROCESSES:,}, ray for a new "
        "local cluster, or ray://HOST:PORT for a running one"
    )


def _checked(name: str, **values: object) -> LauncherSettings:
    plugin = launcher_plugin(name)
    settings = plugin.settings.model_validate({"name": name, **values})
    plugin.check(settings)
    return settings
