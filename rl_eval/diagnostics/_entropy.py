"""Entropy over training: a policy that stops exploring at once, or never stops."""

from __future__ import annotations

import math
import re

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent

PHASES = 5
COLLAPSED = 0.05
ONE_ACTION = 0.98
UNIFORM = 0.95


def share_of_uniform(run: DiagnosedRun) -> list[float] | None:
    """Entropy divided by log A in each fifth of training; None if actions are not discrete, or it is not logged."""
    actions = sum(bool(re.fullmatch("action/[0-9]+", name)) for name in run.curves)
    entropy = run.curves.get("entropy")
    if actions < 2 or entropy is None or len(entropy) < PHASES or not np.isfinite(entropy).any():
        return None
    phases = np.array_split(entropy, PHASES)
    means = [float(np.mean(part[np.isfinite(part)])) if np.isfinite(part).any() else math.nan for part in phases]
    return [value / math.log(actions) for value in means]


@diagnostic
def entropy_collapse(run: DiagnosedRun) -> Finding | None:
    """Exploration ends before anything is learned: hardly any entropy in the first fifth, and a single action.

    Reads `entropy` / log A by fifths of training, and `greedy_share`, the share of steps whose most likely action
    is the most frequent one. A policy may become certain. If it is certain of one action from the start, it never tried
    the others (Ahmed et al., *Understanding the impact of entropy on policy optimization*, ICML 2019). The thresholds
    are .05 of log A and 98 % of the last steps. Increase `agent.ent_coef`.
    """
    phases, greedy = share_of_uniform(run), run.late("greedy_share")
    if phases is None or not len(greedy) or not phases[0] <= COLLAPSED or greedy.mean() < ONE_ACTION:
        return None
    return Finding(
        name="entropy_collapse",
        severity="problem",
        layer="policy",
        title="exploration ended before anything was learned",
        evidence=f"entropy by fifths of training: {_join(phases)} of a uniform choice; one action is the most likely "
        f"in {percent(greedy.mean(), 0)} of the last steps",
        meaning="The policy was certain of one action before it had tried the others, so it cannot learn that they are "
        "better.",
        change=f"agent.ent_coef={max(0.01, 3 * (run.number('agent.ent_coef') or 0.0)):g}",
        source="H / log A ≤ .05 in the first fifth of training",
        certainty=0.8,
        data={"entropy_share": phases, "greedy_share": float(greedy.mean())},
    )


@diagnostic
def entropy_never_falls(run: DiagnosedRun) -> Finding | None:
    """The policy stays almost uniformly random to the end, with an entropy bonus.

    Reads `entropy` / log A by fifths of training and `agent.ent_coef`: H / log A ≥ .95 in the last fifth. Decrease
    `agent.ent_coef`.
    """
    phases, weight = share_of_uniform(run), run.number("agent.ent_coef")
    if phases is None or not weight or weight <= 0 or not phases[-1] >= UNIFORM:
        return None
    return Finding(
        name="entropy_never_falls",
        severity="problem" if weight >= 0.1 else "warning",
        layer="policy",
        title="the policy never settles",
        evidence=f"entropy by fifths of training: {_join(phases)} of a uniform choice, with agent.ent_coef={weight:g}",
        meaning="The entropy bonus outweighs the reward. The most likely action of an almost uniform policy is decided "
        "by rounding.",
        change=f"agent.ent_coef={weight / 10 if weight < 0.1 else 0.01:g}",
        source="H / log A ≥ .95 in the last fifth of training",
        certainty=0.9 if weight >= 0.1 else 0.5,
        data={"entropy_share": phases, "ent_coef": weight},
    )


def _join(phases: list[float]) -> str:
    return ", ".join(f"{percent(share, 0)}" for share in phases)
