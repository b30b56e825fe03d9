"""The contract of a tracker: what it receives, and the object that a package registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from rl_eval.tracking._plots import Plot


class TrackerSettings(BaseModel):
    """The `tracker:` section of a config. A tracker's own model adds its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str


@dataclass(frozen=True)
class TrackedRun:
    """The run that is tracked.

    Attributes:
        directory: the run directory.
        config: the resolved config; trackers show it with dotted keys.
        group: what the runs of a sweep have in common, usually the name of its directory; None for a single run.
    """

    directory: Path
    config: Mapping[str, Any] = field(repr=False)
    group: str | None = None


class Tracker(Protocol):
    """Receives the numbers of one run. Calls come from one thread, which is not the training's."""

    def log(self, row: Mapping[str, float], env_steps: int) -> None:
        """One row of `metrics.csv`."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """Final results and the verdict. Nested names are joined with `/`."""

    def log_plots(self, plots: Sequence[Plot]) -> None:
        """Plots of the final results."""

    def log_files(self, kind: str, files: Mapping[str, Path]) -> None:
        """Files of the run by name. `kind` says what they are together, such as `policy`."""

    def close(self, status: str) -> None:
        """The run has ended; `status` is that of `run.json`: `finished`, `failed` or `interrupted`."""


Settings = TypeVar("Settings", bound=TrackerSettings)


def _no_check(settings: Any) -> None:
    pass


@dataclass(frozen=True)
class TrackerPlugin(Generic[Settings]):
    """A tracker that a config can name. A package registers it as an entry point of `rl_eval.trackers`.

    Attributes:
        settings: the model of the `tracker:` section; its `name` is the name of the entry point.
        start: opens the tracker, in a thread of its own; None if there is nothing to open.
        check: raises `InputError` where it is known that the tracker cannot work. Called before a run directory exists.
        timeout: seconds that the end of a run waits for the tracker; default: 30.
        draws: whether the tracker shows plots. If not, they are not made.
    """

    settings: type[Settings]
    start: Callable[[Settings, TrackedRun], Tracker] | None
    check: Callable[[Settings], None] = _no_check
    timeout: Callable[[Settings], float] = lambda settings: 30.0
    draws: bool = False
