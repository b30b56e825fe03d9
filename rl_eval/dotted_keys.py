"""Nested mappings as dotted keys, and the keys whose values differ between configs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Names and paths of a run say nothing about what was varied.
IGNORED_KEYS = re.compile(r"^(name|resume|hydra(\..*)?|paths?(\..*)?|tracker(\..*)?|.*_dir|outputs?(_.*)?)$")


def flatten(values: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """`{"agent": {"gamma": .99}}` as `{"agent.gamma": .99}`. A list is one value; an empty mapping leaves nothing.

    Dotted keys are what a person types to Hydra, and what W&B's parallel coordinates can draw.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}{separator}{inner}": v for inner, v in flatten(value, separator).items()})
        else:
            flat[str(key)] = value
    return flat


def all_keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every dotted key of a nested mapping, those of its sections included."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from all_keys(value, f"{prefix}{key}.")


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The dotted keys whose values differ between configs, in the order of the configs.

    It leaves out names and paths of the runs; a key that repeats another with the same last part (`agent.lr` and
    `lr`); and, where a group's `name` differs, the keys of the group that depend only on it (with `agent=ppo,a2c`, a
    key that is the same in every PPO run and the same in every A2C run).
    """
    flats = [{key: _comparable(value) for key, value in flatten(config).items()} for config in configs]
    columns = {key: tuple(flat.get(key) for flat in flats) for flat in flats for key in flat}
    varied = {k: column for k, column in columns.items() if len(set(column)) > 1 and not IGNORED_KEYS.match(k)}
    selected: dict[str, tuple[str | None, ...]] = {}
    for key, column in sorted(varied.items(), key=lambda item: item[0].count(".")):
        repeats = any(column == other and _last_part(key) == _last_part(name) for name, other in selected.items())
        group_name = varied.get(f"{key.split('.')[0]}.name") if "." in key and not key.endswith(".name") else None
        depends = group_name is not None and len(set(zip(group_name, column, strict=True))) == len(set(group_name))
        if not repeats and not depends:
            selected[key] = column
    return [key for key in columns if key in selected]


def _comparable(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))  # 1 and 1.0 are one value, and NaN equals itself
    return json.dumps(value, sort_keys=True, default=str)


def _last_part(key: str) -> str:
    return key.rsplit(".", 1)[-1]
