"""Action values above any possible return."""

from __future__ import annotations

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic

LATE = 0.25
MEAN_BEYOND = 0.05  # of the bound; the mean over many states has small errors
MAX_BEYOND = 0.5  # the maximum over the errors of a network is above what it approximates


@diagnostic
def overestimation(run: DiagnosedRun) -> Finding | None:
    """Q-values above the largest possible return.

    Reads `q_mean` (of the best action), `q_max` and `q_bound` over the last quarter of the rows. `q_bound` is the
    return if every reward were the largest one so far: r / (1 − γ), or r if no reward is above 0. The maximum over
    noisy estimates is too high on average, and bootstrapping propagates it (Thrun & Schwartz 1993; van Hasselt et al.,
    AAAI 2016). A problem if the mean is more than 5 % above the bound, a warning if the maximum is 50 % above. Try
    `agent.double=true`, else a slower target network.
    """
    means, largest, bounds = (run.late(name, LATE) for name in ("q_mean", "q_max", "q_bound"))
    if not len(means) or not len(largest) or not len(bounds):
        return None
    mean, maximum, bound = float(means.mean()), float(largest.mean()), float(bounds.max())
    above = mean > bound + MEAN_BEYOND * abs(bound)
    if not above and maximum <= bound + MAX_BEYOND * abs(bound):
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
        title="Q is above the largest possible return",
        evidence=f"late in training the network values the best action at {mean:.4g} on average and {maximum:.4g} at "
        f"most; no return is above {bound:.4g}",
        meaning="The network amplifies its own errors: each target is a maximum over estimates, and some are too "
        "high. Its order of the actions means little if the values are impossible.",
        change=change,
        source="Q > max r / (1 − γ): mean by 5 %, or maximum by 50 %; van Hasselt et al. 2016",
        certainty=0.95 if above else 0.6,
        data={"q_mean": mean, "q_max": maximum, "q_bound": bound},
    )
