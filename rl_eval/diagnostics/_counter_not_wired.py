"""A counter of environment steps that does not count."""

from __future__ import annotations

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.run import finite


@diagnostic
def counter_not_wired(run: DiagnosedRun) -> Finding | None:
    """env_steps stays the same, or is below the sum of the episode lengths.

    Reads `env_steps` of the curves, and `env_steps` and `steps_finished` of run.json. Steps only rise, and they include
    those of all finished episodes. Budgets, schedules and comparisons depend on this counter: add the number of copies
    at every vector step.
    """
    steps = run.curve("env_steps")
    counted, finished = finite(run.info.get("env_steps")), finite(run.info.get("steps_finished"))
    if len(steps) > 1 and steps[0] == steps[-1]:
        evidence = f"env_steps is {steps[0]:,.0f} in all {len(steps):,} rows"
    # A run that failed did so before its last iteration was counted.
    elif run.info.get("status") != "failed" and counted is not None and finished is not None and counted < finished:
        evidence = f"env_steps is {counted:,.0f}, but the finished episodes have {finished:,.0f} steps"
    elif len(steps) > 1 and (np.diff(steps) < 0).any() and not run.info:
        evidence = "env_steps falls from one row to the next"
    else:
        return None
    return Finding(
        name="counter_not_wired",
        severity="problem",
        layer="record",
        title="the counter of environment steps does not count",
        evidence=evidence,
        meaning="Every schedule, budget and comparison in env steps is wrong: learning rates do not decay, and runs "
        "are not compared at equal experience. Add the number of copies at every vector step.",
        source="env_steps ≥ Σ episode lengths, and it rises with every row",
        certainty=1.0,
        data={"env_steps": counted, "steps_finished": finished, "rows": len(steps)},
    )
