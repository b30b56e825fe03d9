"""`tracker=none`: a tracker that does nothing, since the run directory contains everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rl_eval.tracking._plots import Plot
from rl_eval.tracking.plugin import TrackerPlugin, TrackerSettings


class NullSettings(TrackerSettings):
    """`tracker: {name: none}`."""

    name: Literal["none"] = "none"


class NullTracker:
    """Ignores everything."""

    draws = False

    def log(self, row: Mapping[str, Any], env_steps: int) -> None:
        """Ignored."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """Ignored."""

    def log_plots(self, plots: Sequence[Plot]) -> None:
        """Ignored."""

    def log_files(self, kind: str, files: Mapping[str, Path]) -> None:
        """Ignored."""

    def close(self, status: str) -> None:
        """Ignored."""


PLUGIN = TrackerPlugin(settings=NullSettings, start=None)
