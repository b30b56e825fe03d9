"""On-policy updates on experience of an older policy."""

from __future__ import annotations

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent
from rl_eval.run import finite

CLIP_RANGE = 0.2
MAX_EPOCHS = 50
EXACT = 1e-4  # nats; the float32 rounding of a KL that is 0


@diagnostic
def stale_experience(run: DiagnosedRun) -> Finding | None:
    """On-policy updates on old data: a buffer that does not change, or one that is used too often.

    Reads `repeated` (the rollout equals the one before), `stale_kl` (KL of the policy before the update from the one
    that collected) and `behaviour_kl` (after it). At the clip range ε of the ratio ρ, Schulman's estimate
    (ρ − 1) − log ρ is about ε²/2. A policy beyond that is no longer close to the one that collected, and the clipped
    objective has no gradient there (Schulman et al. 2017, arXiv 1707.06347, eq. 7). Published settings use each
    rollout 3 to 20 times (their tables 3 to 5; Andrychowicz et al., ICLR 2021, section 3.5); more than 50 is a finding.
    Try `agent.n_epochs=10`.
    """
    clip = run.number("agent.clip_range") or CLIP_RANGE
    clip_kl = clip * clip / 2
    repeated, before, after = (run.late(name, 0.5) for name in ("repeated", "stale_kl", "behaviour_kl"))
    epochs = passes(run)
    change = None
    if len(repeated) and repeated.mean() > 0.5:
        evidence = f"{percent(repeated.mean(), 0)} of the compared rollouts are equal to the one before"
        meaning = "The buffer is never refilled: the agent memorises one rollout."
        certainty = 1.0
    elif len(before) and np.median(before) > max(EXACT, clip_kl / 10):
        evidence = f"before an update the policy is already {np.median(before):.3g} nats from the one that collected"
        meaning = "An older policy collected the data, so the on-policy gradient is wrong."
        certainty = 0.95
    elif epochs is not None and epochs > MAX_EPOCHS:
        evidence = f"each rollout is used {epochs:,.0f} times; the clip range {clip:g} is {clip_kl:.3g} nats"
        if len(after):
            evidence += (
                f", and after the last pass the policy is {np.median(after):.3g} nats from the one that collected"
            )
        meaning = (
            "After the first passes the ratios leave the clip range; then only the noise of this rollout is learned."
        )
        change, certainty = "agent.n_epochs=10", 0.9
    else:
        return None
    return Finding(
        name="stale_experience",
        severity="problem",
        layer="experience",
        title="updates on stale experience",
        evidence=evidence,
        meaning=meaning,
        change=change,
        source="KL(π, π_collect) ≤ ε²/2 at ratios of 1 ± ε; 3 to 20 passes (Schulman 2017; Andrychowicz 2021)",
        certainty=certainty,
        data={
            "epochs": epochs,
            "repeated": mean(repeated),
            "stale_kl": mean(before),
            "behaviour_kl": mean(after),
            "clip_range_kl": clip_kl,
        },
    )


def passes(run: DiagnosedRun) -> float | None:
    """How often each rollout was used, from the counters; None if they are missing."""
    n_envs, n_steps = run.number("agent.n_envs"), run.number("agent.n_steps")
    epochs, steps = finite(run.info.get("training_epochs")), finite(run.info.get("env_steps"))
    if not n_envs or not n_steps or not steps or epochs is None:
        return None
    return epochs * n_envs * n_steps / steps


def mean(values: np.ndarray) -> float | None:
    """The mean; None if there are no values."""
    return float(values.mean()) if len(values) else None
