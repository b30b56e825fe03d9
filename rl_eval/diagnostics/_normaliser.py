"""Observation statistics that differ between evaluation and training."""

from __future__ import annotations

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.errors import InputError
from rl_eval.run import finite, read_arrays, step_directories, step_of

NAMES = ("obs.count", "obs.mean", "obs.m2")
RESTORE = "Restore the original snapshot, or train again: without these statistics the network gets other inputs."


@diagnostic
def normaliser_not_restored(run: DiagnosedRun) -> Finding | None:
    """The observation statistics of the judged snapshot are missing, stale, or not those of training.

    Reads the judged snapshot and the resume point of the same env step. With `agent.normalize_obs=true` a snapshot has
    count, mean and M2 of the observations, and the count equals its env step. Restore the snapshot, or train again.
    """
    expected, snapshot = run.setting("agent.normalize_obs"), run.snapshot
    if not isinstance(expected, bool) or snapshot is None:
        return None
    arrays, meta = snapshot
    count = _number(arrays.get("obs.count"))
    if expected and not arrays.keys() >= set(NAMES):
        return _finding(
            "agent.normalize_obs=true, and the judged snapshot has no observation statistics",
            "The policy learned on normalised observations and is judged on raw ones. " + RESTORE,
        )
    if not expected:
        if count is None:
            return None
        return _finding(
            "agent.normalize_obs=false, and the judged snapshot normalises observations",
            "The policy learned on raw observations and is judged on normalised ones. " + RESTORE,
        )
    steps = finite(meta.get("env_steps"))
    if count is not None and steps is not None and count != steps:
        return _finding(
            f"the statistics are of {count:,.0f} observations, and the snapshot was taken after {steps:,.0f} env steps",
            "They are from another time than the weights, or changed after training. " + RESTORE,
        )
    differing = _differs_from_resume_point(run, arrays, steps)
    if differing is None:
        return None
    return _finding(differing, "Evaluation does not use the statistics that training ended with. " + RESTORE)


def _differs_from_resume_point(run: DiagnosedRun, arrays: dict[str, np.ndarray], steps: float | None) -> str | None:
    """Whether the snapshot and the resume point of the same env step have different statistics, and which."""
    points = [path for path in step_directories(run.path / "resume") if steps and step_of(path) == steps]
    if not points:
        return None
    try:
        state = read_arrays(
            points[-1], "state", [f"agent.{name}" for name in NAMES]
        )  # the file may also hold a replay buffer
    except InputError as error:
        run.missing.append(str(error))
        return None
    for name in NAMES:
        other = state.get(f"agent.{name}")
        if other is not None and not np.array_equal(other, arrays[name]):
            return f"{name} of the judged snapshot differs from resume/{points[-1].name}, taken at the same env step"
    return None


def _finding(evidence: str, meaning: str) -> Finding:
    return Finding(
        name="normaliser_not_restored",
        severity="problem",
        layer="record",
        title="evaluation uses other observation statistics than training",
        evidence=evidence,
        meaning=meaning,
        source="a snapshot has the count, mean and M2 of all observations up to its env step, frozen",
        certainty=1.0,
    )


def _number(array: np.ndarray | None) -> float | None:
    return None if array is None or array.size != 1 else float(np.asarray(array).reshape(()))
