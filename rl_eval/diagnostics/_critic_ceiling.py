"""A critic compared with the most that any critic could explain, as a diagnostic and as a metric."""

from __future__ import annotations

from rl_eval.diagnostics._ceiling import Critic, critic_of
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun, read_diagnosed_run
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent
from rl_eval.metrics import MetricUndefined, metric
from rl_eval.run import Run

LOW = 0.25  # with a lower ceiling, three quarters of every advantage are noise
ENOUGH = 0.8  # of the ceiling
NOTHING = 0.02  # a ceiling below this counts as 0: the state does not say what reward follows


@diagnostic
def critic_ceiling(run: DiagnosedRun) -> Finding | None:
    """No critic can explain these targets, because rewards of independent steps are summed; or it explains too little.

    Reads γ, λ, `explained_variance`, and the judged policy at play on the validation part. With independent steps no
    V(s) explains more than (1 − γ²λ²) / (1 − γ²λ² + γ² + w) of the variance of GAE(λ) targets, where w is the reward
    noise divided by the variance of E[r|s]. With γ = 0 that is 1 / (1 + w), all that the state says about the reward.
    Steps are independent if the environment says so (`independent_cases`), or if neither rewards nor observations
    correlate with those of the next step. w is exact if the outcome has the posterior of the label; otherwise it comes
    from a cross-fitted ridge regression. One-step Q-learning counts as λ = 0.

    A problem if the ceiling is below .25 and below half of that with γ = 0: try `agent.gamma=0`. A warning if the last
    quarter of training explains less than .8 of the ceiling. Below .02 there is nothing to explain, and no finding.
    """
    critic = critic_of(run)
    if critic is None:
        return None
    if critic.gamma > 0 and critic.ceiling < LOW and critic.ceiling < 0.5 * critic.without_discount:
        return _unreachable(critic)
    if critic.ceiling >= NOTHING and critic.explained < ENOUGH * critic.ceiling:
        return _short(critic, "agent.vf_coef=1.0" if run.number("agent.vf_coef") is not None else None)
    return None


@metric("training", unit="run", better="higher")
def explained_variance_of_ceiling(run: Run) -> float:
    """Explained variance late in training, divided by the most any critic can explain; independent steps only."""
    critic = critic_of(read_diagnosed_run(run.path))
    if critic is None:
        raise MetricUndefined(
            f"explained_variance_of_ceiling is undefined: {run.path} does not show that its steps are independent, "
            "or cannot be played here"
        )
    if critic.ceiling < NOTHING:
        raise MetricUndefined(
            f"explained_variance_of_ceiling is undefined: at most {percent(critic.ceiling)} of the variance of the "
            f"targets of {run.path} can be explained, which is too little"
        )
    return max(critic.explained, 0.0) / critic.ceiling


def _unreachable(critic: Critic) -> Finding:
    return Finding(
        name="critic_ceiling",
        severity="problem",
        layer="experience",
        title="no critic can explain these targets: rewards of independent steps are summed",
        evidence=f"with gamma {critic.gamma:g} and lambda {critic.gae_lambda:g} at most {percent(critic.ceiling)} of "
        f"the variance of the targets depends on the state (explained: {percent(critic.explained)}); with gamma 0 it "
        f"is {percent(critic.without_discount, 0)}",
        meaning="The return of a step is its own reward plus later rewards that do not depend on it. Their sum is "
        "noise in every advantage. A larger value coefficient or more training does not remove it.",
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
        evidence=f"it explains {percent(critic.explained)} of the variance of its targets late in training, and "
        f"{percent(critic.ceiling)} can be explained",
        meaning="The state says more about the reward than the critic has learned: it trains too little or too slowly.",
        change=change,
        source=f"explained variance ≥ {ENOUGH:g} of (1 − γ²λ²) / (1 − γ²λ² + γ² + w)",
        certainty=0.7,
        data=vars(critic),
    )
