"""What is drawn from a replay buffer: too old, or the same over and over."""

from __future__ import annotations

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent
from rl_eval.run import finite

LATE = 0.25
FULL = 0.95  # final observations and the latest steps keep it from 1
COLLAPSED = 0.3


@diagnostic
def stale_replay(run: DiagnosedRun) -> Finding | None:
    """The replay buffer takes in nothing new, or has never been full.

    Reads `replay_age`, the mean age in env steps of what was drawn, and `replay_fill`, over the last quarter of the
    rows. In a ring of M transitions none is older than M env steps, and a uniform draw is M / 2 old on average: a mean
    age above what the buffer holds is that of a buffer which is no longer written. A note where the ring has never
    been full: the first random steps are then drawn to the end (Fedus et al., *Revisiting fundamentals of experience
    replay*, ICML 2020, on what old policies cost).
    """
    ages, fills = run.late("replay_age", LATE), run.late("replay_fill", LATE)
    size, steps = run.number("agent.buffer_size"), finite(run.info.get("env_steps"))
    if not len(ages) or not len(fills) or not size or not steps:
        return None
    age, fill = float(ages.mean()), float(fills.max())
    data = {"replay_age": age, "replay_fill": fill, "buffer_size": size, "env_steps": steps}
    if age > min(max(fill, 0.01) * size * 1.05, steps):
        return Finding(
            name="stale_replay",
            severity="problem",
            layer="experience",
            title="the replay buffer takes in nothing new",
            evidence=f"what is drawn is {age:,.0f} env steps old on average, and the buffer holds {fill * size:,.0f}",
            meaning="The agent learns from what an early policy did, and never sees what its own decisions lead to.",
            source="mean age of a draw > transitions in the ring",
            certainty=0.95,
            data=data,
        )
    if fill >= FULL or steps < 2 * size * fill * FULL:
        return None if fill >= FULL else _never_full(fill, size, steps, data)
    return Finding(
        name="stale_replay",
        severity="warning",
        layer="experience",
        title="transitions are missing from the replay buffer",
        evidence=f"after {steps:,.0f} env steps it holds {fill * size:,.0f} of {size:,.0f} transitions",
        meaning="Steps were taken that were not stored, or a slot in two holds what an episode ended on: episodes of "
        "one step that are truncated.",
        source="fill < .95 after twice as many steps as it holds",
        certainty=0.6,
        data=data,
    )


def _never_full(fill: float, size: float, steps: float, data: dict) -> Finding:
    return Finding(
        name="stale_replay",
        severity="note",
        layer="experience",
        title="the replay buffer has never been full",
        evidence=f"{percent(fill, 0)} of {size:,.0f} slots after {steps:,.0f} env steps",
        meaning="Nothing is ever forgotten: the random steps of the beginning are drawn as often as the latest. A "
        "smaller buffer learns more from what the present policy does.",
        change=f"agent.buffer_size={max(1000, round(steps / 4)):d}",
        source="fill < .95 at the end of training; Fedus et al. 2020",
        certainty=0.4,
        data=data,
    )


@diagnostic
def priorities_collapsed(run: DiagnosedRun) -> Finding | None:
    """A few transitions take nearly all of the draws.

    Reads `replay_distinct` over the last quarter of the rows: how many different transitions an iteration drew, over
    how many uniform draws would have. Below .3 most updates repeat a few transitions, whose noise is learned by heart
    (Schaul et al., ICLR 2016, section 3.3, on the loss of diversity).
    """
    late = run.late("replay_distinct", LATE)
    if not len(late) or late.mean() >= COLLAPSED:
        return None
    alpha = run.number("agent.priority_alpha")
    return Finding(
        name="priorities_collapsed",
        severity="problem" if late.mean() < COLLAPSED / 3 else "warning",
        layer="experience",
        title="a few transitions take nearly all of the draws",
        evidence=f"{percent(late.mean(), 0)} as many different transitions as uniform draws would give"
        + (f", with agent.priority_alpha={alpha:g}" if alpha is not None else ""),
        meaning="Their TD errors stay large whatever is learned: they are noise, or far out of the range of the rest.",
        change="agent.priority_alpha=0.4" if alpha is not None and alpha > 0.4 else "agent.prioritized=false",
        source="different transitions drawn / expected of uniform draws < .3",
        certainty=0.8,
        data={"replay_distinct": float(late.mean()), "priority_alpha": alpha},
    )
