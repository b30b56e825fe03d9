"""A policy that is still the one it started as."""

from __future__ import annotations

import math

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._entropy import share_of_uniform
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent

UNMOVED = 1e-3  # nats; a policy this near answers alike in 997 of 1,000 cases (Pinsker: TV ≤ √(KL/2))


@diagnostic
def policy_unmoved(run: DiagnosedRun) -> Finding | None:
    """The policy is where it began: its KL from the first weights is about 0, and it is as random as then.

    Reads `initial_kl` (mean KL from the policy of the first weights, on observations of the first rollout) and
    `entropy` over log A. A greedy policy can look decided all the same: the largest of nearly equal logits wins.
    """
    late = run.late("initial_kl")
    if not len(late) or late.mean() > UNMOVED:
        return None
    random = share_of_uniform(run)
    greedy = run.late("greedy_share")
    evidence = f"KL from the initial policy {late.mean():.2g} nats at the end of training"
    if random is not None and math.isfinite(random[-1]):
        evidence += f", entropy {percent(random[-1])} of a uniform choice"
    if len(greedy):
        evidence += f", while one action is the most likely in {percent(greedy.mean(), 0)} of the steps"
    return Finding(
        name="policy_unmoved",
        severity="problem",
        layer="policy",
        title="the policy has not moved",
        evidence=evidence,
        meaning="What is judged is the policy of the first weights. The gradient does not reach it: a learning rate of "
        "next to nothing, advantages that are all equal, or an optimiser that never steps.",
        source="KL(π, π₀) ≤ 10⁻³ nats",
        certainty=0.6,
        data={"initial_kl": float(late.mean()), "entropy_share": random[-1] if random is not None else None},
    )
