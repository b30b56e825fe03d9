"""Training that ended while the policy was still improving."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rl_eval.diagnostics._criteria import criteria
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._extrapolation import MIN_POINTS, Crossing, averaged, crossing
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.errors import InputError
from rl_eval.evidence import trend
from rl_eval.run import finite

P_RISES = 0.05
MORE = 10  # times as many steps to try, if there is no upper bound; stopped when the threshold is reached
NOTABLE_GAIN = 0.1  # of the total gain; a smaller gain in the last half means that the curve has settled
SOURCE = (
    "trend test of the last half of the curve, p <= .05; a line through the last half and a - b*exp(-t/T) "
    "through the full curve, residuals resampled in blocks (Kunsch 1989), 95 % interval"
)


@dataclass(frozen=True)
class Goal:
    """A curve and its threshold.

    Attributes:
        sign: 1 if higher is better, else -1.
    """

    column: str
    threshold: float
    sign: float


@diagnostic
def needs_more_steps(run: DiagnosedRun) -> Finding | None:
    """The curve still rises at the end, below its threshold: about how many steps are needed.

    Reads `validation_score` if a criterion on that metric failed; else `episode_return_mean`, if the reward is that of
    the environment and `env.success_return` is set. The last half must rise by a trend test at .05 that allows for
    autocorrelation. Two shapes are extrapolated: a straight line through the last half, and a − b·exp(−t/T) through the
    full curve, with residuals resampled in blocks (Künsch 1989). The estimate goes from the lower 2.5 % of both to the
    upper 97.5 % of the second. Often there is no upper bound, because a straight line does not show where it will stop.
    Without a threshold the finding is a note that the return still rose.
    """
    if reached(run):
        return None
    goal = goal_of(run)
    column = goal.column if goal else "episode_return_mean"
    curves = run.curves
    if column not in curves or "env_steps" not in curves:
        return None
    steps, values = averaged(curves["env_steps"], curves[column] * (goal.sign if goal else 1.0))
    if len(steps) < MIN_POINTS:
        return None
    late = values[len(values) // 2 :]
    p_value, gained = _rise(late)
    last = float(late[-max(1, len(late) // 6) :].mean())
    if p_value > P_RISES or gained <= 0 or (goal and last >= goal.threshold * goal.sign):
        return None
    if goal is None:
        return _without_goal(steps, values, p_value, gained)
    expected = crossing(steps, values, goal.threshold * goal.sign, seed=run.seed)
    return _with_goal(run, goal, expected, float(steps[-1]), last, p_value)


def goal_of(run: DiagnosedRun) -> Goal | None:
    """The goal of the run: a criterion of its validation metric, or the return of a successful episode.

    The logged return is that of the training reward. It says something about success only if that is the environment's
    own reward.
    """
    metric = run.setting("validation.metric")
    for criterion in criteria(run):
        threshold, direction = finite(criterion.get("threshold")), criterion.get("direction")
        if criterion.get("metric") != metric or threshold is None or direction not in ("at_least", "at_most"):
            continue
        scores = run.curves.get("validation_score")
        if scores is not None and len(np.unique(scores[np.isfinite(scores)])) >= MIN_POINTS:
            return Goal("validation_score", threshold, 1.0 if direction == "at_least" else -1.0)
    success = run.number("env.success_return")
    terms = run.setting("reward.terms")
    native = isinstance(terms, dict) and list(terms) == ["native"] and run.number("reward.terms.native.weight") == 1
    return Goal("episode_return_mean", success, 1.0) if success is not None and native else None


def reached(run: DiagnosedRun) -> bool:
    """Whether the judged policy is good enough: by criteria of the validation metric, or by its mean return."""
    metric = run.setting("validation.metric")
    decisions = [criterion.get("decision") for criterion in criteria(run) if criterion.get("metric") == metric]
    if decisions:
        return all(decision == "PASS" for decision in decisions)
    results, success = run.info.get("results"), run.number("env.success_return")
    mean = finite(results.get("mean_return")) if isinstance(results, dict) else None
    return mean is not None and success is not None and mean >= success


def _rise(late: np.ndarray) -> tuple[float, float]:
    """The p-value of a rise, and the gain."""
    try:
        rise = trend(late)
    except InputError:
        return 1.0, 0.0
    return rise.p_value, rise.slope


def _with_goal(
    run: DiagnosedRun, goal: Goal, crossing_steps: Crossing, done: float, last: float, p_value: float
) -> Finding:
    bounded = math.isfinite(crossing_steps.high)
    if bounded:
        expected = (
            f"it reaches {goal.threshold:g} after {crossing_steps.low:,.0f} to {crossing_steps.high:,.0f} env steps"
        )
        total = _round_up(crossing_steps.high)
    else:
        expected = (
            f"at least {crossing_steps.low:,.0f} env steps are needed to reach {goal.threshold:g}. There is "
            "no upper bound: the curve has not bent yet, or bends below it"
        )
        total = _round_up(max(MORE * done, 2 * crossing_steps.low))
    return Finding(
        name="needs_more_steps",
        severity="warning",
        layer="outcome",
        title="training ended while the policy was still improving",
        evidence=f"{goal.column} was {goal.sign * last:.4g} after {done:,.0f} env steps and was still improving "
        f"(p = {p_value:.2g}); {expected}",
        meaning="Perhaps only the budget is too small. Train longer, and stop when the validation part reaches the "
        "threshold. A learning rate that falls to zero over the budget will then fall more slowly.",
        change=f"total_steps={total}" + _stop_at(run, goal),
        source=SOURCE,
        certainty=0.9 if bounded else 0.7,
        data={
            "column": goal.column,
            "threshold": goal.threshold,
            "steps_low": crossing_steps.low,
            "steps_high": crossing_steps.high if bounded else None,
            "p_value": p_value,
        },
    )


def _without_goal(steps: np.ndarray, values: np.ndarray, p_value: float, gained: float) -> Finding | None:
    if gained < NOTABLE_GAIN * float(np.ptp(values)):
        return None
    return Finding(
        name="needs_more_steps",
        severity="note",
        layer="outcome",
        title="the return was still rising at the end",
        evidence=f"episode_return_mean rose by {gained:.4g} over the last half of {steps[-1]:,.0f} env steps "
        f"(p = {p_value:.2g}), and there is no threshold to reach",
        meaning="More steps may help. With env.success_return, or a criterion of the validation metric in a suite, "
        "the steps needed are estimated.",
        change=f"total_steps={_round_up(2 * float(steps[-1]))}",
        source=SOURCE,
        certainty=0.5,
        data={"gained": gained, "p_value": p_value},
    )


def _stop_at(run: DiagnosedRun, goal: Goal) -> str:
    if run.setting("validation.stop_at") is not None:
        return ""
    metric = run.setting("validation.metric")
    is_validation_metric = goal.column == "validation_score" or metric == "mean_return"
    return f" validation.stop_at={goal.threshold:g}" if is_validation_metric else ""


def _round_up(steps: float) -> int:
    """Round to two digits, since more would look too precise."""
    unit = 10 ** max(0, math.floor(math.log10(max(steps, 1.0))) - 1)
    return math.ceil(steps / unit) * unit
