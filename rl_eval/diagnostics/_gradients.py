"""Gradients that explode or vanish, and losses that are not finite."""

from __future__ import annotations

import re

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic

EXPLODES = 1e3  # times the norm that gradients are clipped to
VANISHES = 1e-7


@diagnostic
def gradients_explode(run: DiagnosedRun) -> Finding | None:
    """Gradients a thousand times the clipping norm, or a run that ended because a number was not finite.

    Reads `grad_norm` (before clipping), `agent.max_grad_norm`, and the reason of a failed run. Clipping keeps the
    direction (Pascanu et al., ICML 2013), but such a gradient is almost entirely that of the critic. Try
    `agent.normalize_reward=true`, or a tenth of the learning rate.
    """
    norms, limit = run.curve("grad_norm"), run.number("agent.max_grad_norm") or 0.5
    reason = run.info.get("reason")
    reason = reason if isinstance(reason, str) else ""
    failed = re.search(r"\b(nan|inf|not finite)\b", reason) is not None
    large = len(norms) > 0 and float(np.median(norms)) > EXPLODES * limit
    if not failed and not large:
        return None
    evidence = f"the run ended: {reason[:200]}" if failed else ""
    if len(norms):
        norm = f"gradients have a norm of {np.median(norms):.3g} before they are clipped to {limit:g}"
        evidence += f"; {norm}, the last {norms[-1]:.3g}" if evidence else norm
    scaled = run.setting("agent.normalize_reward") is True or run.setting("agent.normalize_return") is True
    lr = run.curve("lr")
    rate = float(lr[0]) if len(lr) else run.number("agent.lr")
    lower = f"lr={float(f'{rate / 10:.1g}'):g}" if rate else None
    return Finding(
        name="gradients_explode",
        severity="problem",
        layer="optimisation",
        title="gradients or losses explode",
        evidence=evidence,
        meaning="Rewards or targets are too large for the network, or the learning rate is too high. The clipped "
        "gradient is almost entirely that of the critic, so the policy learns nothing.",
        change=lower if scaled else "agent.normalize_reward=true",
        source="‖g‖ > 1000 · max_grad_norm; a loss or weight that is not finite",
        certainty=0.95,
        data={"grad_norm": float(np.median(norms)) if len(norms) else None, "reason": reason or None},
    )


@diagnostic
def gradients_vanish(run: DiagnosedRun) -> Finding | None:
    """No gradient: ‖g‖ < 10⁻⁷ before clipping, median of the second half of training.

    Reads `grad_norm`. Saturated or dead units pass no gradient; equal advantages and a perfect critic give none.
    """
    norms = run.late("grad_norm", 0.5)
    if not len(norms) or np.median(norms) >= VANISHES:
        return None
    return Finding(
        name="gradients_vanish",
        severity="problem",
        layer="optimisation",
        title="there is no gradient",
        evidence=f"gradients have a norm of {np.median(norms):.1g}",
        meaning="The weights do not change: all units are dead or saturated, or the reward never changes.",
        source="‖g‖ < 10⁻⁷",
        certainty=0.9,
        data={"grad_norm": float(np.median(norms))},
    )
