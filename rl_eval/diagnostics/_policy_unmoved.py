"""A policy that has not changed since the start of training."""

from __future__ import annotations

import math

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._entropy import share_of_uniform
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent

UNMOVED = 1e-3  # nats; total variation of at most 2.2 % (Pinsker: TV ≤ √(KL/2))


@diagnostic
def policy_unmoved(run: DiagnosedRun) -> Finding | None:
    """The policy is the initial one: its KL from the first weights is about 0.

    Reads `initial_kl` (mean KL from the policy with the first weights, on observations of the first rollout) and
    `entropy` / log A. The greedy policy can still look certain: it takes the largest of nearly equal logits.
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
        title="the policy has not changed",
        evidence=evidence,
        meaning="The judged policy has practically the first weights. The gradient does not change it: a tiny learning "
        "rate, advantages that are all equal, or an optimiser that never steps.",
        source="KL(π, π₀) ≤ 10⁻³ nats",
        certainty=0.6,
        data={"initial_kl": float(late.mean()), "entropy_share": random[-1] if random is not None else None},
    )
