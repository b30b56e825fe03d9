"""Plots as data. Each tracker draws them in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LinePlot:
    """Lines over one x-axis.

    Attributes:
        name: path of the plot in the tracker, with `/`.
        x: `[n]` values of the x-axis, whose label is `x_name`.
        series: name -> `[n]` values.
    """

    name: str
    title: str
    x_name: str
    x: tuple[float, ...]
    series: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class ConfusionTable:
    """A confusion matrix.

    Attributes:
        counts: (actual class, predicted class) -> number of cases.
    """

    name: str
    title: str
    counts: dict[tuple[str, str], int]


Plot = LinePlot | ConfusionTable


def evidence_plots(rows: Iterable[Mapping[str, Any]]) -> list[Plot]:
    """How the evidence grew for each criterion that was judged by evidence: the interval, and the capital of both bets.

    Args:
        rows: verdict rows, whose `history` is an `EvidenceHistory` as a mapping, or None.
    """
    plots: list[Plot] = []
    for row in rows:
        history = row.get("history")
        if not history:
            continue
        name, units = f"{row['suite']}/{row['criterion']}", f"{row.get('unit') or 'unit'}s"
        part = row.get("part", "test")
        name += "" if part == "test" else f" ({part})"
        threshold = row.get("threshold")
        ends = {"lower": tuple(history["lower"]), "upper": tuple(history["upper"])}
        if threshold is not None:
            ends["threshold"] = (float(threshold),) * len(history["units"])
        capital = {"for passing": tuple(history["for_pass"]), "for failing": tuple(history["for_fail"])}
        x = tuple(history["units"])
        plots.append(LinePlot(f"interval/{name}", f"{name}: values that are not ruled out", units, x, ends))
        plots.append(LinePlot(f"evidence/{name}", f"{name}: evidence (log capital of the bets)", units, x, capital))
    return plots


def confusion_plot(tp: int, fp: int, fn: int, tn: int, part: str) -> ConfusionTable:
    """The confusion matrix of a binary decision.

    Args:
        part: the part of the data that was played, such as `validation`.
    """
    counts = {
        ("positive", "flagged"): tp,
        ("positive", "not flagged"): fn,
        ("negative", "flagged"): fp,
        ("negative", "not flagged"): tn,
    }
    return ConfusionTable(f"confusion/{part}", f"Cases and decisions ({part})", counts)
