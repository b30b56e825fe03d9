"""Action values that no policy could earn."""

from __future__ import annotations

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic

LATE = 0.25
MEAN_BEYOND = 0.05  # of the bound; a mean over many states has little rounding of its own
MAX_BEYOND = 0.5  # a maximum over a network's errors lies a little above what it approximates


@diagnostic
def overestimation(run: DiagnosedRun) -> Finding | None:
    """Q-values above the largest return there can be.

    Reads `q_mean` (of the best action) and `q_max` over the last quarter of the rows against `q_bound`, the return were
    every reward the largest one met so far: r / (1 − γ), or r itself where no reward is above 0. The maximum over
    noisy estimates is too high on average, and bootstrapping hands it on (Thrun & Schwartz 1993; van Hasselt et al.,
    AAAI 2016). A problem where the mean is more than 5 % above the bound, a warning where the maximum is 50 % above.
    """
    means, largest, bounds = (run.late(name, LATE) for name in ("q_mean", "q_max", "q_bound"))
    if not len(means) or not len(largest) or not len(bounds):
        return None
    mean, most, bound = float(means.mean()), float(largest.mean()), float(bounds.max())
    above = mean > bound + MEAN_BEYOND * abs(bound)
    if not above and most <= bound + MAX_BEYOND * abs(bound):
        return None
    if run.setting("agent.double") is False:
        change = "agent.double=true"
    elif run.setting("agent.target") == "soft":
        change = f"agent.tau={(run.number('agent.tau') or 0.01) / 5:g}"
    else:
        change = f"agent.target_every={round(5 * (run.number('agent.target_every') or 500))}"
    return Finding(
        name="overestimation",
        severity="problem" if above else "warning",
        layer="critic",
        title="Q is above the largest return that there can be",
        evidence=f"late in training the best action is worth {mean:.4g} on average and {most:.4g} at most, by the "
        f"network; no return is above {bound:.4g}",
        meaning="The network follows its own errors upwards: each target is a maximum over estimates, some of them too "
        "high. Its order of the actions means little where values are not possible.",
        change=change,
        source="Q > max r / (1 − γ): mean by 5 %, or maximum by 50 %; van Hasselt et al. 2016",
        certainty=0.95 if above else 0.6,
        data={"q_mean": mean, "q_max": most, "q_bound": bound},
    )
