"""Updates that change the policy too much, or not at all."""

from __future__ import annotations

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._entropy import COLLAPSED, share_of_uniform
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent

LARGE_KL, LARGE_CLIPPED = 0.1, 0.5
ANOTHER_POLICY = 1.0
SMALL_KL = 1e-7
MOVED = 1e-2


def sizes(run: DiagnosedRun) -> np.ndarray:
    """KL of each logged update, `[rows]`: Schulman's estimate, or the measured KL for agents without it."""
    estimated = run.curve("approx_kl")
    return estimated if len(estimated) else run.curve("behaviour_kl")


@diagnostic
def updates_too_large(run: DiagnosedRun) -> Finding | None:
    """Each update changes the policy too much.

    Reads `approx_kl` (of A2C `behaviour_kl`) and `clip_fraction`: their medians after the first fifth of training,
    and the largest single update, since one can be enough. Published target KLs are .01 to .03 (Stable-Baselines3 and
    Spinning Up); .1 is several clip ranges, and 1 nat is a different policy. Half of the ratios beyond the clip range
    is a finding too. Try a tenth of the learning rate.
    """
    kl = sizes(run)
    if not len(kl):
        return None
    largest, kl = float(kl.max()), kl[len(kl) // 5 :]
    clipped = run.curve("clip_fraction")
    clipped = clipped[len(clipped) // 5 :]
    often = np.median(kl) >= LARGE_KL or (len(clipped) > 0 and np.median(clipped) >= LARGE_CLIPPED)
    if not often and largest < ANOTHER_POLICY:
        return None
    evidence = (
        f"half of the updates change the policy by {np.median(kl):.2g} nats or more, the largest by {largest:.2g}"
    )
    if len(clipped):
        evidence += f"; {percent(np.median(clipped), 0)} of the ratios are beyond the clip range"
    lr = run.curve("lr")
    rate = float(lr[0]) if len(lr) else run.number("agent.lr")
    return Finding(
        name="updates_too_large",
        severity="problem",
        layer="optimisation",
        title="updates are too large",
        evidence=evidence + (f", at a learning rate of {rate:g}" if rate else ""),
        meaning="After an update the policy differs much from the one that collected the data, so each iteration "
        "destroys what the last one learned.",
        change=f"lr={_rounded(rate / 10)}" if rate else "agent.target_kl=0.02",
        source="median KL ≥ .1 nats, one of 1 nat, or median clip fraction ≥ .5; usual target KLs are .01 to .03",
        certainty=0.92,
        data={
            "approx_kl": float(np.median(kl)),
            "largest": largest,
            "clip_fraction": float(np.median(clipped)) if len(clipped) else None,
        },
    )


@diagnostic
def updates_too_small(run: DiagnosedRun) -> Finding | None:
    """Updates do not change the policy.

    Reads `approx_kl` (of A2C `behaviour_kl`): its median over the first half of training, before a schedule ends,
    is below 10⁻⁷ nats. The KL of N small updates in one direction is N² times as large, so `initial_kl`, if logged,
    must also be below a hundredth of a nat. Causes: a tiny learning rate, equal advantages, or an optimiser without the
    weights of the policy.
    """
    kl, moved = sizes(run), run.late("initial_kl")
    kl = np.abs(kl[: max(1, len(kl) // 2)])
    if len(kl) < 2 or np.median(kl) >= SMALL_KL or (len(moved) and moved.mean() > MOVED):
        return None
    phases = share_of_uniform(run)
    if phases is not None and phases[0] <= COLLAPSED:
        return None  # a deterministic policy hardly changes with any update
    lr = run.curve("lr")
    rate = float(lr[0]) if len(lr) else run.number("agent.lr")
    change = "lr=3e-4" if rate is not None and rate < 1e-5 else None
    return Finding(
        name="updates_too_small",
        severity="problem",
        layer="optimisation",
        title="updates are too small",
        evidence=f"half of the updates change the policy by less than {max(np.median(kl), 1e-12):.1g} nats"
        + (f", at a learning rate of {rate:g}" if rate is not None else ""),
        meaning="The policy does not change with any data: the learning rate is tiny, the advantages are all "
        "equal, or the optimiser does not have the weights of the policy.",
        change=change,
        source="median KL of an update < 10⁻⁷ nats",
        certainty=0.9,
        data={"approx_kl": float(np.median(kl)), "lr": rate},
    )


def _rounded(rate: float) -> str:
    return f"{float(f'{rate:.1g}'):g}"
