"""The preset that a search ends with: a file that `train.py tuned=<name>` takes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rl_eval import run as runs
from rl_eval.errors import InputError
from rl_eval.formatting import number, quantity
from rl_eval.tuning._search import SearchResult, TrialResult

MARK = "# Written by `rl-eval tune`"
# Sections and keys of a config that a preset sets, in addition to those of the agent.
_KEYS = ("total_steps", "validation")


def require_free(path: Path) -> None:
    """Check that a preset may be written there.

    Raises:
        InputError: the name does not end in `.yaml`, or a file is there that no search wrote.
    """
    if path.suffix != ".yaml":
        raise InputError(f"--out {path} is not the name of a preset: it must end in .yaml")
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").partition("\n")[2].startswith(MARK):
        raise InputError(f"--out {path} exists, but no search wrote it: name another file")


def preset_text(
    result: SearchResult,
    best: TrialResult,
    config: Mapping[str, Any],
    defaults: Mapping[str, Any],
    seeds: Sequence[int],
) -> str:
    """The preset as YAML.

    Args:
        config: the composed config of the best trial.
        defaults: that of the agent and environment without any preset.
    """
    states = [trial.state for trial in result.trials]
    comments = [
        "# @package _global_",
        f"{MARK} on {datetime.date.today().isoformat()}: the best of {quantity(len(states), 'trial')}, of which "
        f"{states.count('pruned')} were stopped early.",
        f"# {result.metric} on the validation part: {number(best.value)}, mean of seeds {', '.join(map(str, seeds))}. "
        "It was chosen for this score,",
        "# which is therefore a little optimistic: train again with other seeds before you rely on it.",
    ]
    values: dict[str, Any] = {key: config[key] for key in _KEYS if config[key] != defaults[key]}
    values["agent"] = _changed(config["agent"], defaults["agent"])
    if config.get("lr") is not None:
        values["agent"]["lr"] = config["lr"]
    return "\n".join(comments) + "\n" + yaml.safe_dump(values, sort_keys=False)


def write_preset(path: Path, text: str) -> None:
    """Write a preset, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.write_text(path, text)


def _changed(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The keys whose value differs, nested ones by themselves."""
    changed: dict[str, Any] = {}
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            if inner := _changed(value, default):
                changed[key] = inner
        elif value != default:
            changed[key] = value
    return changed
