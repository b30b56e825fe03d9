"""One run as a comparison sees it, wherever it was read from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run import Run

MOST_KEYS = 5_000  # of a config, lists counted by their elements
LONGEST_NAME = 200


@dataclass(frozen=True)
class Entry:
    """A run of one seed.

    Attributes:
        name: as a person would name it again.
        source: a run directory, or W&B.
        config: dotted key -> value, lists whole.
        status: as `run.json` says.
        results: the final results on the selection part, by their names in `run.json`.
        curves: column of `metrics.csv` -> `[n]`.
        run: the run directory, for what only that holds; None for one from W&B.
    """

    name: str
    source: Literal["run", "wandb"]
    config: dict[str, Any] = field(repr=False)
    status: str
    results: dict[str, float] = field(repr=False)
    curves: dict[str, np.ndarray] = field(repr=False)
    run: Run | None = field(default=None, repr=False)

    @property
    def seed(self) -> int | None:
        """Of training."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) and not isinstance(seed, bool) else None

    def section(self, name: str) -> dict[str, Any]:
        """A part of the config, such as `env`, nested again."""
        nested: dict[str, Any] = {}
        for key, value in self.config.items():
            first, *path = key.split(".")
            if first != name or not path:
                continue
            place = nested
            for part in path[:-1]:
                below = place.setdefault(part, {})
                if not isinstance(below, dict):
                    break
                place = below
            else:
                place[path[-1]] = value
        return nested


def flat_config(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Nested mappings as dotted keys, in their order.

    Raises:
        InputError: there is more than a config of ours could hold, as where YAML aliases multiply.
    """
    flat: dict[str, Any] = {}
    open_: list[tuple[str | None, Any]] = [("", values)]
    count = 0
    while open_:
        key, value = open_.pop()
        count += 1
        if count > MOST_KEYS or (key and len(key) > LONGEST_NAME):
            raise InputError(f"{where} has more than {MOST_KEYS:,} keys, or names too long: it is not a config of ours")
        if isinstance(value, Mapping) and key is not None and (value or not key):
            inner = [(f"{key}.{name}" if key else str(name), each) for name, each in value.items()]
            open_ += reversed(inner)
        else:
            if key is not None:
                flat[key] = value
            inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
            open_ += [(None, each) for each in inside]  # counted alone
    return flat


def finite_numbers(values: Any) -> dict[str, float]:
    """The entries of a mapping that are finite numbers; nothing where it is no mapping."""
    if not isinstance(values, Mapping):
        return {}
    numbers = {str(key): each for key, each in values.items() if isinstance(each, int | float)}
    return {key: float(each) for key, each in numbers.items() if abs(each) < 1e300 and math.isfinite(each)}
