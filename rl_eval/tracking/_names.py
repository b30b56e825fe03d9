"""One name for one number, whichever tracker shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def flatten(values: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """`{"agent": {"gamma": .99}}` as `{"agent.gamma": .99}`; lists stay whole, an empty mapping leaves nothing.

    Dotted keys are what a person types to Hydra, and what W&B's parallel coordinates can draw.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}{separator}{below}": v for below, v in flatten(value, separator).items()})
        else:
            flat[str(key)] = value
    return flat


def verdict_summary(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Verdict rows as `verdict/<suite>/<criterion>` -> decision and `…/estimate` -> number, where there is one."""
    summary: dict[str, Any] = {}
    for row in rows:
        name = f"verdict/{row['suite']}/{row['criterion']}"
        summary[name] = row["decision"]
        if row.get("estimate") is not None:
            summary[f"{name}/estimate"] = float(row["estimate"])
    return summary
