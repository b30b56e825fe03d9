"""Plots as data, which a tracker draws with means of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Lines:
    """Lines over a common x.

    Attributes:
        name: where it is kept, with `/`.
        x: `[n]`, called `x_name`.
        lines: name -> `[n]`.
    """

    name: str
    title: str
    x_name: str
    x: tuple[float, ...]
    lines: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Table:
    """How many cases of each kind were taken for which.

    Attributes:
        counts: (what they are, what they were taken for) -> cases.
    """

    name: str
    title: str
    counts: dict[tuple[str, str], int]


Plot = Lines | Table


def evidence_plots(rows: Iterable[Mapping[str, Any]]) -> list[Plot]:
    """How the evidence on each criterion grew, of those that evidence decided: the interval, and the two bets.

    Args:
        rows: verdict rows, whose `path` is an `evidence.Path` as a mapping, or None.
    """
    plots: list[Plot] = []
    for row in rows:
        path = row.get("path")
        if not path:
            continue
        name, units = f"{row['suite']}/{row['criterion']}", f"{row.get('unit') or 'unit'}s"
        threshold = row.get("threshold")
        ends = {"lower": tuple(path["lower"]), "upper": tuple(path["upper"])}
        if threshold is not None:
            ends["threshold"] = (float(threshold),) * len(path["units"])
        bets = {"for passing": tuple(path["for_pass"]), "for failing": tuple(path["for_fail"])}
        x = tuple(path["units"])
        plots.append(Lines(f"interval/{name}", f"{name}: what is not ruled out", units, x, ends))
        plots.append(Lines(f"evidence/{name}", f"{name}: evidence (log of the bets)", units, x, bets))
    return plots


def confusion_plot(tp: int, fp: int, fn: int, tn: int, part: str) -> Table:
    """A yes-or-no decision on cases.

    Args:
        part: what was played, such as `select`.
    """
    counts = {
        ("positive", "flagged"): tp,
        ("positive", "not flagged"): fn,
        ("negative", "flagged"): fp,
        ("negative", "not flagged"): tn,
    }
    return Table(f"confusion/{part}", f"Cases and decisions ({part})", counts)
