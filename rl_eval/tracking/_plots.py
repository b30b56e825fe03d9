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
        rows: verdict rows, whose `history` is an `EvidenceHistory` as a mapping, or None.
    """
    plots: list[Plot] = []
    for row in rows:
        history = row.get("history")
        if not history:
            continue
        name, units = f"{row['suite']}/{row['criterion']}", f"{row.get('unit') or 'unit'}s"
        threshold = row.get("threshold")
        ends = {"lower": tuple(history["lower"]), "upper": tuple(history["upper"])}
        if threshold is not None:
            ends["threshold"] = (float(threshold),) * len(history["units"])
        bets = {"for passing": tuple(history["for_pass"]), "for failing": tuple(history["for_fail"])}
        x = tuple(history["units"])
        plots.append(Lines(f"interval/{name}", f"{name}: what is not ruled out", units, x, ends))
        plots.append(Lines(f"evidence/{name}", f"{name}: evidence (log of the bets)", units, x, bets))
    return plots


def confusion_plot(tp: int, fp: int, fn: int, tn: int, part: str) -> Table:
    """A yes-or-no decision on cases.

    Args:
        part: what was played, such as `validation`.
    """
    counts = {
        ("positive", "flagged"): tp,
        ("positive", "not flagged"): fn,
        ("negative", "flagged"): fp,
        ("negative", "not flagged"): tn,
    }
    return Table(f"confusion/{part}", f"Cases and decisions ({part})", counts)
