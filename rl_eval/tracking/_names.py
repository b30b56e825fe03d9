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
    """Verdict rows as `verdict/<suite>/<criterion>` -> decision, and its numbers below that name, where there are any.

    They are `…/estimate`, `…/low` and `…/high` (the ends of the interval), `…/threshold` and `…/units`.
    """
    summary: dict[str, Any] = {}
    for row in rows:
        name = f"verdict/{row['suite']}/{row['criterion']}"
        summary[name] = row["decision"]
        low, high = row.get("interval") or (None, None)
        numbers = {"estimate": row.get("estimate"), "low": low, "high": high, "threshold": row.get("threshold")}
        numbers["units"] = row.get("units")
        summary |= {f"{name}/{key}": float(value) for key, value in numbers.items() if value is not None}
    return summary
