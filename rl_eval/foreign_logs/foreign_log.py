"""`ForeignLog`: what a log of another program holds, under our names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ForeignLog:
    """The log of one run.

    Attributes:
        path: the file or folder that was read.
        curves: name of a column -> `[rows]`, NaN where a row has no value; our names, and those of the log.
        columns: the names that the log itself has.
        settings: what it says of the run, such as `seed` and `env_id`.
        counts: steps that it counts under the names of `run.json`: `env_steps`, `steps_finished`.
    """

    path: Path
    curves: Mapping[str, np.ndarray] = field(repr=False)
    columns: tuple[str, ...] = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    counts: Mapping[str, int] = field(default_factory=dict)
