"""The contract of a launcher: what it is given to do, how it answers, and the object that a package registers."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from rl_eval.errors import InputError, failure


class LauncherSettings(BaseModel):
    """The `launcher:` section of a config. A launcher's own model adds its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str

    def for_devices(self, devices: int) -> Self:
        """These settings for a machine with a list of devices; each device has one job at a time.

        Args:
            devices: how many; 0: there is no list.
        """
        return self

    def jobs_at_once(self, jobs: int) -> int:
        """How many of a number of jobs share one machine, and so its cost; 1: each has a machine, or a known part."""
        return 1


class WorkerLostError(InputError):
    """The process that made a call ended before it returned; the call can be made again."""


@dataclass(frozen=True)
class Task:
    """A call of a function, as text and JSON values, so that a process anywhere can make it.

    Attributes:
        function: `package.module:name`.
        arguments: its keyword arguments, JSON values.
        name: what messages call it.
        folder: the current folder of the call; by default that of this process.
    """

    function: str
    arguments: Mapping[str, Any]
    name: str = "a task"
    folder: str = field(default_factory=os.getcwd)

    def call(self) -> Any:
        """Make the call, in this process.

        Raises:
            InputError: the folder is not on this machine.
            Exception: any that the function raises.
        """
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise InputError(
                f"{self.name}: the machine {socket.gethostname()} has no folder {self.folder} "
                f"({error.strerror or error}): put the checkout at the same path on every machine, for example on a "
                "shared file system"
            ) from error
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)(**self.arguments)

    def answer(self) -> tuple[bool, Any]:
        """Make the call in a worker: `(True, result)`, or `(False, error)` with an error that can be sent.

        Raises:
            KeyboardInterrupt: a stop signal came.
        """
        try:
            return True, self.call()
        except InputError as error:
            return False, error
        except (Exception, SystemExit) as error:  # of foreign code, and not always one that can be sent
            return False, InputError(f"{self.name} failed with {failure(error)}")


class Launcher(Protocol):
    """Makes calls in other processes.

    Attributes:
        slots: how many calls are made at the same time; more may be submitted, and wait.
    """

    slots: int

    def submit(self, task: Task) -> Future[Any]:
        """Ask for a call; returns at once.

        The future has what the function returned, or the exception that it raised, or `WorkerLostError`.
        """

    def close(self) -> None:
        """Stop what is still being done, as Ctrl-C would, and free what the launcher holds."""


Settings = TypeVar("Settings", bound=LauncherSettings)


def _no_check(settings: Any) -> None:
    pass


@dataclass(frozen=True)
class LauncherPlugin(Generic[Settings]):
    """A launcher that a config can name. A package registers it as an entry point of `rl_eval.launchers`.

    Attributes:
        settings: the model of the `launcher:` section; its `name` is the name of the entry point.
        start: makes the launcher; None: calls are made in this process, one after another.
        check: raises `InputError` where it is known that the launcher cannot work. Called before anything is written.
        shares_terminal: whether what calls print appears on this terminal.
        single_runs: whether a run outside a sweep goes through it too, rather than in this process.
    """

    settings: type[Settings]
    start: Callable[[Settings], Launcher] | None
    check: Callable[[Settings], None] = _no_check
    shares_terminal: bool = False
    single_runs: bool = True
