"""Hidden units that hardly depend on the input."""

from __future__ import annotations

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent

MANY = 0.5


@diagnostic
def dormant_units(run: DiagnosedRun) -> Finding | None:
    """More than half of the hidden units are dormant, or saturated.

    Reads `dormant_share` and `saturated_share` over the last quarter of the rows. A unit is dormant where its mean
    |activation| is at most .025 of its layer's mean (Sokar et al., *The dormant neuron phenomenon in deep
    reinforcement learning*, ICML 2023, definition 3.1). It is saturated where its mean |tanh| is above .95. Try
    `agent.normalize_obs=true`.
    """
    dormant, saturated = run.late("dormant_share"), run.late("saturated_share")
    logged = {"dormant": dormant, "saturated": saturated}
    shares = {name: float(values.mean()) if len(values) else 0.0 for name, values in logged.items()}
    kind = max(shares, key=lambda name: shares[name])
    if shares[kind] <= MANY:
        return None
    return Finding(
        name="dormant_units",
        severity="problem",
        layer="optimisation",
        title=f"most of the network is {kind}",
        evidence=f"{percent(shares[kind], 0)} of the hidden units are {kind}",
        meaning="Such units carry no information and pass no gradient, so they do not recover. Causes: a learning rate "
        "that made the weights too large, or observations of a large scale.",
        change="agent.normalize_obs=true" if not run.setting("agent.normalize_obs") else "agent.network.norm=layer",
        source="Sokar et al. 2023: activation ≤ .025 of the layer's mean; mean |tanh| > .95",
        certainty=0.85,
        data={f"{name}_share": share for name, share in shares.items()},
    )
