"""Diagnostics of threat triage: a reward that prices decisions otherwise than what they cost."""

from __future__ import annotations

from rl_eval.diagnostics import DiagnosedRun, Finding, diagnostic
from rl_eval.domains.threat.config import Config
from rl_eval.domains.threat.rewards import price_difference
from rl_eval.errors import InputError
from rl_eval.rewards import RewardFunction


@diagnostic
def prices_differ(run: DiagnosedRun) -> Finding | None:
    """The reward makes other decisions best than `env.costs` does."""
    if not isinstance(run.environment, Config):
        return None
    try:
        reward = RewardFunction.from_config(run.setting("reward.terms"))
    except InputError:
        return None
    difference = price_difference(reward.terms, run.environment.costs)
    if difference is None:
        return None
    return Finding(
        name="prices_differ",
        severity="note",
        layer="reward",
        title="the reward prices decisions otherwise than the costs do",
        evidence=difference,
        meaning="The agent learns decisions that are not the cheapest ones, and mean_cost is what it is judged by. "
        "That is right if the reward is shaped on purpose, and wrong if only env.costs was changed.",
        change="reward=threat_costs",
        source="the action of least expected cost and that of largest expected reward, for 1,001 values of P(threat)",
        certainty=1.0,
    )


DIAGNOSTICS = (prices_differ,)
