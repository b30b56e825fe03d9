"""Trackers receive the numbers of a run: Weights & Biases, TensorBoard, none, or another package's.

Metric names are the columns of `metrics.csv` and the x-axis is `env_steps`, for every tracker. A tracker works in a
thread of its own and reports its failures on stderr: training neither waits for it nor stops because of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError, nearest
from rl_eval.registry import Registry
from rl_eval.tracking._background import BackgroundTracker
from rl_eval.tracking._null import NullTracker
from rl_eval.tracking._plots import confusion_plot, evidence_plots
from rl_eval.tracking._verdict_summary import verdict_summary
from rl_eval.tracking.plugin import TrackedRun, Tracker, TrackerPlugin, TrackerSettings

__all__ = [
    "TRACKERS",
    "TrackedRun",
    "Tracker",
    "TrackerPlugin",
    "TrackerSettings",
    "check_tracker",
    "confusion_plot",
    "evidence_plots",
    "open_tracker",
    "settings_model",
    "verdict_summary",
]

TRACKERS: Registry[TrackerPlugin[Any]] = Registry("rl_eval.trackers", "a tracker")


def settings_model(name: object) -> type[TrackerSettings]:
    """The model of the `tracker:` section with this name.

    Raises:
        InputError: there is no such tracker, or its package cannot be loaded.
    """
    if name not in TRACKERS:
        choices = ", ".join(TRACKERS)
        raise InputError(f"tracker={name!r} is not a tracker: {nearest(str(name), TRACKERS)}choose {choices}")
    return _plugin(str(name)).settings


def check_tracker(settings: TrackerSettings) -> None:
    """Check everything that can be checked before a run directory is made.

    Raises:
        InputError: the tracker cannot work, for example because its package is missing.
    """
    _plugin(settings.name).check(settings)


def open_tracker(
    settings: TrackerSettings, *, run_dir: Path, config: Mapping[str, Any], group: str | None = None
) -> BackgroundTracker | NullTracker:
    """Start tracking the run in `run_dir`; returns at once.

    Args:
        settings: the checked `tracker:` section.
        config: the resolved config.
        group: what the runs of a sweep have in common.
    """
    plugin = _plugin(settings.name)
    start = plugin.start
    if start is None:
        return NullTracker()
    run = TrackedRun(run_dir, dict(config), group)
    return BackgroundTracker(
        settings.name, lambda: start(settings, run), timeout=plugin.timeout(settings), draws=plugin.draws
    )


def _plugin(name: str) -> TrackerPlugin[Any]:
    plugin = TRACKERS.get(name)
    if not isinstance(plugin, TrackerPlugin):
        kind = type(plugin).__name__
        raise InputError(f"the tracker {name!r} is of the type {kind}: its entry point must name a TrackerPlugin")
    return plugin
