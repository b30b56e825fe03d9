"""No launcher: everything is done in this process, one after another."""

from __future__ import annotations

from typing import Literal

from rl_eval.launchers.plugin import LauncherPlugin, LauncherSettings


class NoLauncher(LauncherSettings):
    """`launcher.name=none`."""

    name: Literal["none"] = "none"


PLUGIN = LauncherPlugin(settings=NoLauncher, start=None)
