"""No tracker: the run directory says it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.tracking._plots import Plot


class Nowhere:
    """Takes everything and keeps nothing."""

    def log(self, row: Mapping[str, Any], env_steps: int) -> None:
        """Nothing."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def draw(self, plots: Sequence[Plot]) -> None:
        """Nothing."""

    def keep(self, kind: str, files: Mapping[str, Path]) -> None:
        """Nothing."""

    def close(self, status: str) -> None:
        """Nothing."""
