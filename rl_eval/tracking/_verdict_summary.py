"""The verdict as flat names and values, for the summary of a tracker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def verdict_summary(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Verdict rows as `verdict/<suite>/<criterion>` -> decision, with its numbers below that name.

    The numbers are `…/estimate`, `…/low` and `…/high` (the ends of the interval), `…/threshold` and `…/units`; those
    that are missing are left out. A verdict on validation is not the gate's, so its names begin `validation_verdict/`.
    """
    summary: dict[str, Any] = {}
    for row in rows:
        kind = "verdict" if row.get("part", "test") == "test" else f"{row['part']}_verdict"
        name = f"{kind}/{row['suite']}/{row['criterion']}"
        summary[name] = row["decision"]
        low, high = row.get("interval") or (None, None)
        numbers = {"estimate": row.get("estimate"), "low": low, "high": high, "threshold": row.get("threshold")}
        numbers["units"] = row.get("units")
        summary |= {f"{name}/{key}": float(value) for key, value in numbers.items() if value is not None}
    return summary
