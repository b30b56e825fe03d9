"""Exploration that ends before anything is learned."""

from __future__ import annotations

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic


@diagnostic
def exploration_ends_early(run: DiagnosedRun) -> Finding | None:
    """ε reaches its floor before learning starts.

    Reads `agent.exploration_fraction` of `total_steps`, the env steps over which ε falls, and `agent.learning_starts`.
    If ε stops falling first, an untrained policy collects the experience, and the few random actions that remain must
    find everything.
    """
    names = ("exploration_fraction", "epsilon_start", "epsilon_end", "learning_starts")
    fraction, start, end, starts = (run.number(f"agent.{name}") for name in names)
    total = run.number("total_steps")
    if fraction is None or start is None or end is None or not starts or not total:
        return None
    over = fraction * total
    if start <= end or over > starts:
        return None
    fraction_to_try = min(1.0, max(0.1, 5 * starts / total))
    return Finding(
        name="exploration_ends_early",
        severity="problem" if end < 0.1 else "warning",
        layer="experience",
        title="exploration is over before learning starts",
        evidence=f"ε is at {end:g} from env step {over:,.0f} on, and the first update comes after {starts:,.0f}",
        meaning="From then on an untrained policy collects nearly all experience, and it hardly varies.",
        change=f"agent.exploration_fraction={fraction_to_try:.2g}",
        source="exploration_fraction · total_steps ≤ learning_starts",
        certainty=0.9,
        data={"epsilon_end": end, "epsilon_falls_until": over, "learning_starts": starts},
    )
