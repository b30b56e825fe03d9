"""What a diagnostic may read of a run; nothing of a run directory is trusted, and nothing in it is run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.diagnostics._table import read_table
from rl_eval.errors import InputError

if TYPE_CHECKING:
    from rl_eval.diagnostics._playing import Played
    from rl_eval.domains import EnvConfig

MAX_CONFIG_BYTES = 256 << 10


@dataclass(frozen=True)
class Reading:
    """A run as its diagnostics see it; whatever is missing is None or empty, and the diagnostic says nothing.

    Attributes:
        path: the run directory, or the file that was read.
        info: `run.json`.
        config: `config.yaml`.
        curves: the columns of `metrics.csv`, each `[rows]`.
        trust: whether an environment that the run names may import a module.
        missing: a sentence on each thing that could not be read; grows as things are asked for.
    """

    path: Path
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    curves: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    trust: bool = False
    missing: list[str] = field(default_factory=list, repr=False)

    def setting(self, dotted: str) -> Any:
        """A value of the config by its dotted name, such as `agent.gamma`; None where there is none."""
        value: Any = self.config
        for part in dotted.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        return value

    def number(self, dotted: str) -> float | None:
        """A finite number of the config by its dotted name; None where there is none."""
        return finite(self.setting(dotted))

    def curve(self, name: str) -> np.ndarray:
        """The finite values of a column, in order; empty where there are none."""
        values = self.curves.get(name)
        return np.zeros(0) if values is None else values[np.isfinite(values)]

    def late(self, name: str, share: float = 0.25) -> np.ndarray:
        """The finite values of a column in the last `share` of the rows, one row at least."""
        values = self.curves.get(name)
        if values is None or not len(values):
            return np.zeros(0)
        last = values[-max(1, round(len(values) * share)) :]
        return last[np.isfinite(last)]

    @cached_property
    def environment(self) -> EnvConfig | None:
        """The checked environment of the run; None where this version does not know it, or trust is needed."""
        from pydantic import ValidationError

        from rl_eval.domains import needs_trust, validate

        try:
            found = validate(self.config["env"])
        except (KeyError, TypeError, ValidationError, InputError):
            return None
        if not self.trust and (why := needs_trust(found)):
            self.missing.append(f"{why}: add --trust to have it played")
            return None
        return found

    @cached_property
    def preprocessing(self) -> Mapping[str, Any]:
        """`preprocessing.json`; empty where there is none, or where it cannot be read."""
        from rl_eval.run import read_json

        file = self.path / "preprocessing.json"
        try:
            if file.is_symlink():
                raise InputError(f"{file} is a link, which may lead out of the run: put the file itself there")
            return read_json(file) if file.is_file() else {}
        except InputError as error:
            self.missing.append(str(error))
            return {}

    @cached_property
    def snapshot(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The arrays and the metadata of the policy that gates judge; None where the run holds none."""
        from rl_eval.run import Run, read_checkpoint

        if not (self.path / "snapshots").is_dir():
            return None
        try:
            judged = Run(self.path, dict(self.info), dict(self.config)).judged_snapshot()
            return read_checkpoint(judged, "policy")
        except InputError as error:
            self.missing.append(str(error))
            return None

    @cached_property
    def played(self) -> Played | None:
        """The judged policy, greedy, on episodes that no gate plays; None where it cannot be played here."""
        return self._play(greedy=True)

    @cached_property
    def sampled(self) -> Played | None:
        """The same with sampled actions, as in training."""
        return self._play(greedy=False)

    def _play(self, *, greedy: bool) -> Played | None:
        from rl_eval.diagnostics._playing import play

        if self.environment is None or self.snapshot is None:
            return None
        try:
            return play(self.path, self.environment, self.seed, greedy=greedy)
        except InputError as error:
            said = str(error)
        except Exception as error:  # an environment or data of somebody else
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if f"the policy at play: {said}" not in self.missing:
            self.missing.append(f"the policy at play: {said}")
        return None

    @property
    def seed(self) -> int:
        """The run's seed; 0 where its config names none."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) and 0 <= seed < 1 << 63 else 0


def finite(value: Any) -> float | None:
    """A number as float; None for anything else, NaN and infinities included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 and math.isfinite(value) else None


def read_run_directory(path: Path, *, trust: bool = False) -> Reading:
    """A run directory of train.py.

    Raises:
        InputError: it is no run, or its files are damaged, links, or too large.
    """
    from rl_eval.run import read_run

    for name in ("run.json", "config.yaml"):
        if (path / name).is_symlink():
            raise InputError(f"{path / name} is a link, which may lead out of the run: put the file itself there")
    file = path / "config.yaml"
    if file.is_file() and file.stat().st_size > MAX_CONFIG_BYTES:
        raise InputError(f"{file} is larger than {MAX_CONFIG_BYTES >> 10} KiB, so it is not a config of ours")
    run = read_run(path)
    missing: list[str] = []
    curves: dict[str, np.ndarray] = {}
    if (path / "metrics.csv").exists():
        curves = read_table(path / "metrics.csv")
    else:
        missing.append(f"{path / 'metrics.csv'} is not there, so there are no curves")
    return Reading(path, run.info, run.config, curves, trust, missing)
