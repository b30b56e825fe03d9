"""Launchers make calls elsewhere: in processes of this machine, on a Ray cluster, under Slurm, or another package's.

The jobs of a sweep, the trials of a search and the episodes of a gate are such calls. What a call returns does not
depend on where it is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from rl_eval.errors import InputError, nearest
from rl_eval.launchers import _none, _processes, _ray, _slurm
from rl_eval.launchers._shared_folder import require_shared
from rl_eval.launchers.plugin import Launcher, LauncherPlugin, LauncherSettings, Task, WorkerLostError
from rl_eval.registry import Registry

__all__ = [
    "LAUNCHERS",
    "Launcher",
    "LauncherPlugin",
    "LauncherSettings",
    "Task",
    "WorkerLostError",
    "as_they_end",
    "launcher_plugin",
    "require_shared",
]

LAUNCHERS: Registry[LauncherPlugin[Any]] = Registry("rl_eval.launchers", "a launcher", LauncherPlugin)
LAUNCHERS.register("none", _none.PLUGIN)
LAUNCHERS.register("processes", _processes.PLUGIN)
LAUNCHERS.register("ray", _ray.PLUGIN)
LAUNCHERS.register("slurm", _slurm.PLUGIN)
LAUNCHERS.mark_built_in(*LAUNCHERS)

TRIES = 4  # of a call whose worker is lost each time: most likely the call itself ends its process


def launcher_plugin(name: object) -> LauncherPlugin[Any]:
    """The launcher of that name.

    Raises:
        InputError: there is none, or its package cannot be loaded.
    """
    if name not in LAUNCHERS:
        choices = ", ".join(LAUNCHERS)
        raise InputError(f"launcher={name!r} is not a launcher: {nearest(str(name), LAUNCHERS)}choose {choices}")
    return LAUNCHERS.get(str(name))


def as_they_end(launcher: Launcher, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
    """Make every call, and give `(index, result)` of each as it ends; the result of one that raised is the exception.

    A call whose worker is lost is made again, up to `TRIES` times in all.
    """
    running: dict[Future[Any], tuple[int, int]] = {launcher.submit(task): (i, 1) for i, task in enumerate(tasks)}
    while running:
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            index, tries = running.pop(future)
            error = future.exception()
            if isinstance(error, WorkerLostError) and tries < TRIES:
                running[launcher.submit(tasks[index])] = index, tries + 1
            else:
                yield index, future.result() if error is None else error
