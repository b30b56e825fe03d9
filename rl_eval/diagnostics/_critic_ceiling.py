"""A critic against the most that any critic could explain; and the metric of suites that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl_eval.diagnostics._ceiling import Critic, critic_of
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun, read_diagnosed_run
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent
from rl_eval.metrics import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.run import Run

LOW = 0.25  # a ceiling below this leaves three quarters of every advantage to noise
ENOUGH = 0.8  # of the ceiling


@diagnostic
def critic_ceiling(run: DiagnosedRun) -> Finding | None:
    """No critic could explain these targets, since steps are independent yet added up; or this one explains too little.

    Reads γ, λ, `explained_variance`, and the judged policy at play on the validation part. With independent steps no
    V(s) explains more than (1 − γ²λ²) / (1 − γ²λ² + γ² + w) of a GAE(λ) target's variance, w being the reward noise
    over the variance of E[r|s]; with γ = 0 that is 1 / (1 + w), all that the state says of the reward.
    """
    critic = critic_of(run)
    if critic is None:
        return None
    if critic.gamma > 0 and critic.ceiling < LOW and critic.ceiling < 0.5 * critic.without_discount:
        return _unreachable(critic)
    if critic.explained < ENOUGH * critic.ceiling:
        return _short(critic, "agent.vf_coef=1.0" if run.number("agent.vf_coef") is not None else None)
    return None


@metric("training", unit="run", better="higher")
def explained_variance_of_ceiling(run: Run) -> float:
    """The critic's late explained variance as a share of the most that any critic explains; independent steps only."""
    critic = critic_of(read_diagnosed_run(run.path))
    if critic is None:
        raise MetricUndefined(
            f"explained_variance_of_ceiling is undefined: {run.path} does not tell that its steps are independent, "
            "or cannot be played here"
        )
    return max(critic.explained, 0.0) / critic.ceiling


def _unreachable(critic: Critic) -> Finding:
    return Finding(
        name="critic_ceiling",
        severity="problem",
        layer="experience",
        title="no critic can explain these targets: the steps are independent, yet their rewards are added up",
        evidence=f"with gamma {critic.gamma:g} and lambda {critic.gae_lambda:g} at most {percent(critic.ceiling)} of "
        f"the targets' variance depends on the state (explained: {percent(critic.explained)}); with gamma 0 it is "
        f"{percent(critic.without_discount, 0)}",
        meaning="A step's return is its own reward and a sum of later ones that nothing done now has a part in. That "
        "sum is noise in every advantage, and neither a larger value coefficient nor more training removes it.",
        change="agent.gamma=0",
        source="explained variance ≤ (1 − γ²λ²) / (1 − γ²λ² + γ² + w), w = var(r | s) / var E[r | s]",
        certainty=0.95,
        data=vars(critic),
    )


def _short(critic: Critic, change: str | None) -> Finding:
    return Finding(
        name="critic_ceiling",
        severity="warning",
        layer="critic",
        title="the critic explains less than it could",
        evidence=f"it explains {percent(critic.explained)} of its targets' variance late in training, and "
        f"{percent(critic.ceiling)} can be explained",
        meaning="The state says more of the reward than the critic has learned: it trains too little or too slowly.",
        change=change,
        source=f"explained variance ≥ {ENOUGH:g} of (1 − γ²λ²) / (1 − γ²λ² + γ² + w)",
        certainty=0.7,
        data=vars(critic),
    )
