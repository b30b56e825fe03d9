"""Where a run's numbers also go: Weights & Biases, TensorBoard, or nowhere but the run directory.

Metric names are the columns of `metrics.csv`, as they are, and the x-axis is `env_steps`, whatever the
tracker. A tracker works in a thread of its own and its failures end with a sentence on stderr: training
neither waits for it nor stops because of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rl_eval.tracking import _tensorboard, _wandb
from rl_eval.tracking._background import InBackground, Tracker
from rl_eval.tracking._config import NoTracker, TensorBoardTracker, TrackerConfig, WandbTracker
from rl_eval.tracking._names import verdict_summary
from rl_eval.tracking._none import Nowhere
from rl_eval.tracking._plots import confusion_plot, evidence_plots

__all__ = [
    "NoTracker",
    "TensorBoardTracker",
    "Tracker",
    "TrackerConfig",
    "WandbTracker",
    "check_tracker",
    "confusion_plot",
    "evidence_plots",
    "open_tracker",
    "verdict_summary",
]


def check_tracker(settings: TrackerConfig) -> None:
    """Refuse what can be known to fail, before a run directory is made.

    Raises:
        InputError: the tracker's package is missing, or `mode: online` without an API key.
    """
    if isinstance(settings, WandbTracker):
        _wandb.check(settings)
    elif isinstance(settings, TensorBoardTracker):
        _tensorboard.check()


def open_tracker(
    settings: TrackerConfig, *, run_dir: Path, config: Mapping[str, Any], group: str | None = None
) -> Tracker:
    """Start tracking the run in `run_dir`; returns at once.

    Args:
        settings: the validated `tracker:` section.
        config: the resolved config; trackers show it with dotted keys.
        group: what a sweep's runs have in common, by custom the name of its directory.
    """
    config = dict(config)
    if isinstance(settings, WandbTracker):
        start = partial(_wandb.start, settings, run_dir=run_dir, config=config, group=group)
        return InBackground("wandb", start, patience=settings.finish_timeout + _wandb.START_TIMEOUT)
    if isinstance(settings, TensorBoardTracker):
        return InBackground("tensorboard", partial(_tensorboard.start, run_dir=run_dir, config=config), patience=30.0)
    return Nowhere()
