"""No tracker: the run directory says it all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Nowhere:
    """Takes everything and keeps nothing."""

    def log(self, row: Mapping[str, Any], env_steps: int) -> None:
        """Nothing."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def close(self, status: str) -> None:
        """Nothing."""
