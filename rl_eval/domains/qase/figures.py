"""The report figure of failures found over cases run; APFD is the area under the curve."""

from __future__ import annotations

import numpy as np

from rl_eval.report import charts
from rl_eval.report.behaviour import Behaviour
from rl_eval.report.figure import Figure
from rl_eval.report.html_page import number, percent
from rl_eval.rollout import Episodes

GRID = np.linspace(0.0, 1.0, 51)


def found_by_share(episodes: Episodes) -> np.ndarray:
    """Mean share of failures found by the first 0, 2, … 100 % of the cases of a cycle, `[51]`.

    Cases with equal scores find their failures evenly, which is the mean over all ways to break ties.
    """
    curves = []
    for cycle in range(len(episodes)):
        rows = episodes.episode == cycle
        score, failed = episodes.outcome["score"][rows], episodes.outcome["verdict"][rows] == 1
        if not failed.any():
            continue
        levels, score_index = np.unique(-score, return_inverse=True)
        cases = np.concatenate([[0], np.cumsum(np.bincount(score_index, minlength=len(levels)))])
        failures_shown = np.concatenate(
            [[0], np.cumsum(np.bincount(score_index, weights=failed, minlength=len(levels)))]
        )
        curves.append(np.interp(GRID, cases / cases[-1], failures_shown / failures_shown[-1]))
    return np.mean(curves, axis=0) if curves else np.full(len(GRID), np.nan)


def figures(behaviour: Behaviour) -> list[Figure]:
    """Failures found over cases run, for the policy and the shown baselines."""
    ends = behaviour.episodes.outcome["cycle_end"]
    played = {"this policy": behaviour.episodes, **behaviour.baselines}
    series, apfd_texts = [], []
    for colour, (name, episodes) in enumerate(played.items(), 1):
        series.append(charts.Series(name, 100 * GRID, 100 * found_by_share(episodes), colour=colour))
        apfd_texts.append(f"{name} {number(float(np.nanmean(episodes.outcome['apfd'][ends])))}")
    quarter = float(np.interp(25.0, series[0].x, series[0].y)) / 100
    summary = (
        f"The first quarter of the cases shows {percent(quarter, 0)} of the failures. A straight line would be chance. "
        f"APFD: {', '.join(apfd_texts)}"
    )
    chart = charts.curves(series, f"Failures found over cases run. {summary}.", x_label="% of the cases run")
    legend = charts.legend([(s.label, s.colour) for s in series])
    return [Figure("Failures found", f"{summary}.", chart=chart, legend=legend)]
