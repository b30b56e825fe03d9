"""Replay buffers whose samples are too old, or always the same."""

from __future__ import annotations

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent
from rl_eval.run import finite

LATE = 0.25
FULL = 0.95  # padding and unfinished steps keep it below 1
COLLAPSED = 0.3


@diagnostic
def stale_replay(run: DiagnosedRun) -> Finding | None:
    """The replay buffer stores nothing new, or was never full.

    Reads `replay_age`, the mean age of samples in env steps, and `replay_fill`, over the last quarter of the rows. In a
    ring of M transitions none is older than M env steps, and a uniform sample is M / 2 old on average. A mean age above
    the size of the buffer means that it is no longer written. A note if the ring was never full: the first random steps
    are then sampled to the end (Fedus et al., *Revisiting fundamentals of experience replay*, ICML 2020, on the cost of
    old policies).
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
            title="the replay buffer stores nothing new",
            evidence=f"samples are {age:,.0f} env steps old on average, and the buffer has "
            f"{fill * size:,.0f} transitions",
            meaning="The agent learns from the actions of an early policy, and never sees the results of its own.",
            source="mean age of a sample > transitions in the ring",
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
        evidence=f"after {steps:,.0f} env steps it has {fill * size:,.0f} of {size:,.0f} transitions",
        meaning="Steps were not stored, or every second slot holds the final observation of an episode: truncated "
        "episodes of one step.",
        source="fill < .95 after twice as many steps as its size",
        certainty=0.6,
        data=data,
    )


def _never_full(fill: float, size: float, steps: float, data: dict) -> Finding:
    return Finding(
        name="stale_replay",
        severity="note",
        layer="experience",
        title="the replay buffer was never full",
        evidence=f"{percent(fill, 0)} of {size:,.0f} slots after {steps:,.0f} env steps",
        meaning="Nothing is ever removed: the random steps of the beginning are sampled as often as the latest. With a "
        "smaller buffer the agent learns more from its present policy.",
        change=f"agent.buffer_size={max(1000, round(steps / 4)):d}",
        source="fill < .95 at the end of training; Fedus et al. 2020",
        certainty=0.4,
        data=data,
    )


@diagnostic
def priorities_collapsed(run: DiagnosedRun) -> Finding | None:
    """A few transitions make up nearly all samples.

    Reads `replay_distinct` over the last quarter of the rows: the number of different transitions that an iteration
    sampled, divided by that of uniform sampling. Below .3 most updates repeat a few transitions, and the agent
    memorises their noise (Schaul et al., ICLR 2016, section 3.3, on the loss of diversity). Try
    `agent.priority_alpha=0.4`.
    """
    late = run.late("replay_distinct", LATE)
    if not len(late) or late.mean() >= COLLAPSED:
        return None
    alpha = run.number("agent.priority_alpha")
    return Finding(
        name="priorities_collapsed",
        severity="problem" if late.mean() < COLLAPSED / 3 else "warning",
        layer="experience",
        title="a few transitions make up nearly all samples",
        evidence=f"{percent(late.mean(), 0)} as many different transitions as with uniform sampling"
        + (f", with agent.priority_alpha={alpha:g}" if alpha is not None else ""),
        meaning="Their TD errors stay large despite learning: they are noise, or far outside the usual range.",
        change="agent.priority_alpha=0.4" if alpha is not None and alpha > 0.4 else "agent.prioritized=false",
        source="different transitions sampled / expected with uniform sampling < .3",
        certainty=0.8,
        data={"replay_distinct": float(late.mean()), "priority_alpha": alpha},
    )
