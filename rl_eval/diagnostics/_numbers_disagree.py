"""Numbers of one run that cannot all be true."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import numpy as np

from rl_eval.diagnostics._criteria import criteria
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.diagnostics._replayed_results import replayed_returns, same_machine
from rl_eval.errors import InputError
from rl_eval.metrics import disagreements, lookup
from rl_eval.run import finite, step_name

COUNTERS = ("episodes", "gradient_steps")
MAX_FAULTS = 4


@diagnostic
def numbers_disagree(run: DiagnosedRun) -> Finding | None:
    """The numbers of the run contradict each other: counts, final results, curves, verdict, snapshots.

    Reads `run.json`, the last row of `metrics.csv`, `verdict.json` and `snapshots/`, and plays the judged snapshot on
    its validation episodes again, up to 30,000 steps. With the same versions and kind of machine the mean return must
    be the one in `results`, to the bit. No setting helps: `rl-eval verify RUN` says what the bytes should be.
    """
    faults = disagreeing(run)
    if not faults:
        return None
    more = f"; and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
    return Finding(
        name="numbers_disagree",
        severity="problem",
        layer="record",
        title="the numbers of the run contradict each other",
        evidence="; ".join(faults[:MAX_FAULTS]) + more,
        meaning="At least one number is not what this training gave: a file was changed or copied from another run, or "
        "a counter is wrong. Do not rely on the other numbers of the run either: `rl-eval verify` trains it again.",
        source="finished + in flight + cut steps = env_steps; last row = run.json; mean and std possible between min "
        "and max; the judged snapshot, played again, gives its results",
        certainty=0.9,
        data={"faults": faults},
    )


def disagreeing(run: DiagnosedRun) -> list[str]:
    """A sentence for each contradiction; empty if the run is not finished, or not ours."""
    if run.info.get("status") != "finished":
        return []
    logged = run.curves.get("env_steps")
    faults = chain(
        disagreements(run.info, run.config, logged),
        _counters(run),
        _snapshots(run),
        _validation_scores(run),
        _verdict(run),
        _results(run),
    )
    return list(dict.fromkeys(faults))


def _counters(run: DiagnosedRun) -> list[str]:
    faults = []
    for name in COUNTERS:
        column, count = run.curves.get(name), finite(run.info.get(name))
        if column is not None and len(column) and count is not None and column[-1] != count:
            faults.append(f"run.json says {count:,.0f} {name}, but the last of metrics.csv is {column[-1]:,.0f}")
    steps = run.curves.get("env_steps")
    if steps is not None and len(steps) > 1 and (np.diff(steps) < 0).any():
        faults.append("env_steps falls within metrics.csv")
    return faults


def _snapshots(run: DiagnosedRun) -> list[str]:
    name = run.info.get("snapshot")
    if not isinstance(name, str):
        return []
    if not any(path.name == name for path in run.snapshots()):
        return [f"run.json names {name!r} as its policy, but snapshots/ does not contain it"]
    if run.snapshot is None:
        return []
    env_steps = run.snapshot[1].get("env_steps")
    if isinstance(env_steps, int) and step_name(env_steps) == name:
        return []
    return [f"the metadata of {name} says {env_steps} env_steps"]


def _validation_scores(run: DiagnosedRun) -> list[str]:
    """No score in the curves is better than that of the judged snapshot, where the curves are about its choice."""
    trials = run.info.get("trials")
    if isinstance(trials, Mapping) and trials.get("judged") == "the first policy":
        return []  # it was there before the curves, and is judged although it may have a lower score
    scores, best = run.curve("validation_score"), finite(run.info.get("validation_score"))
    try:
        better = lookup(str(run.setting("validation.metric"))).better
    except InputError:
        return []
    if not len(scores) or best is None or better is None:
        return []
    logged = float(scores.max() if better == "higher" else scores.min())
    if (logged > best) if better == "higher" else (logged < best):
        return [f"run.json says {best:.6g} as its best validation_score, but metrics.csv has {logged:.6g}"]
    return []


def _verdict(run: DiagnosedRun) -> list[str]:
    """Criteria on `training.<key>` have the numbers of run.json."""
    faults = []
    for criterion in criteria(run):
        metric, estimate = criterion.get("metric"), finite(criterion.get("estimate"))
        if not isinstance(metric, str) or not metric.startswith("training.") or estimate is None:
            continue
        value: object = run.info
        for part in metric.removeprefix("training.").split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        recorded = finite(value)
        if recorded is not None and recorded != estimate:
            faults.append(
                f"verdict.json was decided on a {metric} of {estimate:.6g}, and run.json now says {recorded:.6g}"
            )
    return faults


def _results(run: DiagnosedRun) -> list[str]:
    """The judged snapshot, played on the same episodes, has the mean return in `results`."""
    returns = replayed_returns(run)
    results = run.info.get("results")
    if returns is None or not isinstance(results, Mapping):
        return []
    mean, std = finite(results.get("mean")), finite(results.get("std"))
    if mean is None or std is None:
        return []
    error = 4 * max(std, float(returns.std())) / max(len(returns), 1) ** 0.5
    slack = 1e-6 * max(1.0, abs(mean)) if same_machine(run) else max(error, 1e-3 * abs(mean))
    if abs(float(returns.mean()) - mean) <= slack:
        return []
    return [
        f"run.json says a mean return of {mean:.6g} in results, and the judged snapshot has {returns.mean():.6g} on "
        "the same episodes"
    ]
