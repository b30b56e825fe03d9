"""How soon an order of test cases shows the failures: the picture that APFD is the area of."""

from __future__ import annotations

import numpy as np

from rl_eval.report import charts
from rl_eval.report.behaviour import Behaviour
from rl_eval.report.figure import Figure
from rl_eval.report.page import number, percent
from rl_eval.rollout import Episodes

GRID = np.linspace(0.0, 1.0, 51)


def found_by_share(episodes: Episodes) -> np.ndarray:
    """The mean share of a cycle's failures that the first share of its cases shows, `[51]` for 0, 2, … 100 %.

    Cases of one score show their failures evenly, as they do on average over all ways to break the tie.
    """
    curves = []
    for cycle in range(len(episodes)):
        rows = episodes.episode == cycle
        score, failed = episodes.outcome["score"][rows], episodes.outcome["verdict"][rows] == 1
        if not failed.any():
            continue
        levels, place = np.unique(-score, return_inverse=True)
        cases = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=len(levels)))])
        found = np.concatenate([[0], np.cumsum(np.bincount(place, weights=failed, minlength=len(levels)))])
        curves.append(np.interp(GRID, cases / cases[-1], found / found[-1]))
    return np.mean(curves, axis=0) if curves else np.full(len(GRID), np.nan)


def figures(behaviour: Behaviour) -> list[Figure]:
    """Failures found over cases run, of the policy and of the baselines shown beside it."""
    ends = behaviour.episodes.outcome["cycle_end"]
    played = {"this policy": behaviour.episodes, **behaviour.baselines}
    series, told = [], []
    for colour, (name, episodes) in enumerate(played.items(), 1):
        series.append(charts.Series(name, 100 * GRID, 100 * found_by_share(episodes), colour=colour))
        told.append(f"{name} {number(float(np.nanmean(episodes.outcome['apfd'][ends])))}")
    quarter = float(np.interp(25.0, series[0].x, series[0].y)) / 100
    said = (
        f"The first quarter of the cases shows {percent(quarter, 0)} of the failures. A straight line would be chance. "
        f"APFD: {', '.join(told)}"
    )
    chart = charts.curves(series, f"Failures found over cases run. {said}.", x_label="% of the cases run")
    legend = charts.legend([(s.label, s.colour) for s in series])
    return [Figure("Failures found", f"{said}.", chart=chart, legend=legend)]
