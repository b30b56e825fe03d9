"""One run of a comparison, read from a run directory, from W&B or from a log of another program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run import RunRecord

MAX_KEYS = 5_000  # of a config; every element of a list counts
MAX_KEY_LENGTH = 200


@dataclass(frozen=True)
class ComparedRun:
    """A training run with one seed.

    Attributes:
        name: how a person names the run in a command.
        source: a run directory, W&B, or the logs of another program than train.py.
        config: dotted key -> value; a list is one value.
        status: as `run.json` says.
        results: the final results on the validation part, by their names in `run.json`.
        curves: column of `metrics.csv` -> `[n]`.
        record: the run directory; None for a run from elsewhere.
        columns: the names in the log of another program.
    """

    name: str
    source: Literal["run", "wandb", "other"]
    config: dict[str, Any] = field(repr=False)
    status: str
    results: dict[str, float] = field(repr=False)
    curves: dict[str, np.ndarray] = field(repr=False)
    record: RunRecord | None = field(default=None, repr=False)
    columns: tuple[str, ...] = field(default=(), repr=False)

    @property
    def seed(self) -> int | None:
        """The seed of training; None if the config has none."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) and not isinstance(seed, bool) else None

    def section(self, name: str) -> dict[str, Any]:
        """A part of the config, such as `env`, nested again."""
        nested: dict[str, Any] = {}
        for key, value in self.config.items():
            first, *path = key.split(".")
            if first != name or not path:
                continue
            parent = nested
            for part in path[:-1]:
                child = parent.setdefault(part, {})
                if not isinstance(child, dict):
                    break
                parent = child
            else:
                parent[path[-1]] = value
        return nested


def flat_config(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Nested mappings as dotted keys, in their order.

    Raises:
        InputError: there are more values than a config can have, for example from YAML aliases.
    """
    flat: dict[str, Any] = {}
    stack: list[tuple[str | None, Any]] = [("", values)]  # values with the key None are only counted
    count = 0
    while stack:
        key, value = stack.pop()
        count += 1
        if count > MAX_KEYS or (key and len(key) > MAX_KEY_LENGTH):
            raise InputError(
                f"{where} has more than {MAX_KEYS:,} keys, or names too long: it is not the config of a run"
            )
        if isinstance(value, Mapping) and key is not None and (value or not key):
            children = [(f"{key}.{name}" if key else str(name), child) for name, child in value.items()]
            stack += reversed(children)
        else:
            if key is not None:
                flat[key] = value
            inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
            stack += [(None, item) for item in inner]
    return flat


def finite_numbers(values: Any) -> dict[str, float]:
    """The values of a mapping that are finite numbers; empty where `values` is not a mapping."""
    if not isinstance(values, Mapping):
        return {}
    numbers = {str(key): value for key, value in values.items() if isinstance(value, int | float)}
    return {key: float(value) for key, value in numbers.items() if abs(value) < 1e300 and math.isfinite(value)}
