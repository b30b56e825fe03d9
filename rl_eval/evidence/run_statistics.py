"""Bounds on the mean and the variance over training runs. Each run gives one number, and there are few runs."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.betting import check_alpha
from rl_eval.evidence.bounded_runs import decide_bounded_runs
from rl_eval.evidence.bounds import finite_vector
from rl_eval.evidence.direction import Direction, check_direction, meets, wants_above
from rl_eval.evidence.result import EvidenceResult, Verdict

# The search for the number of runs that would decide ends here.
_MOST_RUNS = 1000


def mean_bounds(values: np.ndarray, alpha: float = 0.05) -> tuple[float, float]:
    """Lower and upper 1−α bounds of the mean over future runs.

    x̄ ± t(1−α; R−1) · s/√R, exact if runs are normal (Student 1908).

    Args:
        values: `[R]`, R ≥ 2.

    Raises:
        InputError: fewer than 2 runs, or a value is not finite.
    """
    values = _several_runs(values)
    check_alpha(alpha)
    return _student_bounds(float(values.mean()), float(values.std(ddof=1)), len(values), alpha)


def variance_bounds(values: np.ndarray, alpha: float = 0.05) -> tuple[float, float]:
    """Lower and upper 1−α bounds of the variance over future runs.

    (R−1)s² / χ²(1−α; R−1) and (R−1)s² / χ²(α; R−1), exact if runs are normal (Fisher 1925).

    Args, raises: as `mean_bounds`.
    """
    values = _several_runs(values)
    check_alpha(alpha)
    low, high = _chi_square_factors(len(values), alpha)
    variance = float(values.var(ddof=1))
    return variance * low, variance * high


def power_note(runs: int, alpha: float = 0.05) -> str:
    """One sentence on the bounds of a variance that this number of runs can show.

    Raises:
        InputError: fewer than 2 runs.
    """
    if runs < 2:
        raise InputError(f"a variance needs at least 2 runs, not {runs}")
    factor, doubled = _chi_square_factors(runs, alpha)[1], _chi_square_factors(2 * runs, alpha)[1]
    level = f"{100 * (1 - alpha):g} %"
    return (
        f"with {runs} runs the upper {level} bound of a variance is {factor:.1f}·s², "
        f"with {2 * runs} it would be {doubled:.1f}·s²"
    )


def decide_over_runs(
    values: np.ndarray,
    theta: float,
    statistic: Literal["mean", "variance", "std"] = "mean",
    alpha: float = 0.05,
    direction: Direction = "at_least",
    bounds: tuple[float, float] | None = None,
) -> EvidenceResult:
    """PASS or FAIL where the bound that faces the threshold has passed it, else INCONCLUSIVE.

    With bounds of the values no distribution is assumed (`bounded_runs`). Without them runs are assumed to be normal.
    Unlike the tests on episodes this needs a number of runs that is fixed beforehand: testing again after every
    further run would raise the error.

    Args:
        values: `[R]` one number per run, R ≥ 2.
        theta: the threshold of the statistic.
        bounds: the least and the most that a run can have; None: runs are normal.

    Raises:
        InputError: fewer than 2 runs, or a value is not finite, or outside the bounds.
    """
    check_direction(direction)
    check_alpha(alpha)
    values = _several_runs(values)
    if bounds is not None:
        return decide_bounded_runs(values, theta, bounds, statistic, alpha, direction)
    transform = np.sqrt if statistic == "std" else float
    if statistic == "mean":
        estimate, bounds = float(values.mean()), mean_bounds(values, alpha)
    else:
        low, high = variance_bounds(values, alpha)
        estimate, bounds = float(transform(values.var(ddof=1))), (float(transform(low)), float(transform(high)))
    passed = meets(bounds[0 if wants_above(direction) else 1], theta, direction)
    failed = not meets(bounds[1 if wants_above(direction) else 0], theta, direction)
    verdict: Verdict = "PASS" if passed else "FAIL" if failed else "INCONCLUSIVE"
    more = _more_runs(values, theta, statistic, alpha) if verdict == "INCONCLUSIVE" else None
    decided_at = None if verdict == "INCONCLUSIVE" else len(values)
    return EvidenceResult(verdict, decided_at, len(values), estimate, bounds, more)


def _more_runs(values: np.ndarray, theta: float, statistic: str, alpha: float) -> int | None:
    """How many further runs would decide if the estimates stayed what they are."""
    mean, std = float(values.mean()), float(values.std(ddof=1))
    for runs in range(len(values) + 1, _MOST_RUNS + 1):
        if statistic == "mean":
            low, high = _student_bounds(mean, std, runs, alpha)
        else:
            factors = _chi_square_factors(runs, alpha)
            low, high = (std**2 * factor if statistic == "variance" else std * factor**0.5 for factor in factors)
        if low > theta or high < theta:
            return runs - len(values)
    return None


def _several_runs(values: np.ndarray) -> np.ndarray:
    values = finite_vector(values, "run")
    if len(values) < 2:
        raise InputError(f"a spread over runs needs at least 2 runs, not {len(values)}: train more")
    return values


def _student_bounds(mean: float, std: float, runs: int, alpha: float) -> tuple[float, float]:
    from scipy.special import stdtrit  # imported here to keep start-up fast

    half = float(stdtrit(runs - 1, 1 - alpha)) * std / runs**0.5
    return mean - half, mean + half


def _chi_square_factors(runs: int, alpha: float) -> tuple[float, float]:
    """The factors of s² for the lower and the upper bound of a variance."""
    from scipy.special import chdtri  # upper tail; imported here to keep start-up fast

    return (runs - 1) / float(chdtri(runs - 1, alpha)), (runs - 1) / float(chdtri(runs - 1, 1 - alpha))
