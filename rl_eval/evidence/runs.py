"""Mean and spread over training runs, where each run gives one number and there are few of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.bounds import checked
from rl_eval.evidence.decision import Decision, Verdict
from rl_eval.evidence.direction import Direction, check_direction, meets, wants_above
from rl_eval.evidence.two_sided import check_alpha

Method = Literal["normal", "bootstrap"]
# How far ahead it is worth saying how many runs would decide.
_MOST_RUNS = 1000


def mean_bounds(
    values: np.ndarray, alpha: float = 0.05, method: Method = "normal", replicates: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Lower and upper 1−α bounds of the mean over runs to come.

    `normal`: x̄ ± t(1−α; R−1) · s/√R, exact if runs are normal (Student 1908). `bootstrap`: the α and 1−α quantiles of
    the mean of runs drawn with replacement (Efron 1979), which assumes no shape but is too narrow with few runs.

    Args:
        values: `[R]`, R ≥ 2.

    Raises:
        InputError: fewer than 2 runs, or a value is not finite.
    """
    values = _several(values)
    check_alpha(alpha)
    if method == "bootstrap":
        return _bootstrap(values, lambda draws: draws.mean(axis=1), alpha, replicates, seed)
    return _student(float(values.mean()), float(values.std(ddof=1)), len(values), alpha)


def variance_bounds(
    values: np.ndarray, alpha: float = 0.05, method: Method = "normal", replicates: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Lower and upper 1−α bounds of the variance over runs to come.

    `normal`: (R−1)s² / χ²(1−α; R−1) and (R−1)s² / χ²(α; R−1), exact if runs are normal (Fisher 1925). `bootstrap`: the
    α and 1−α quantiles of s² of runs drawn with replacement, which is much too narrow with few runs.

    Args, raises: as `mean_bounds`.
    """
    values = _several(values)
    check_alpha(alpha)
    if method == "bootstrap":
        return _bootstrap(values, lambda draws: draws.var(axis=1, ddof=1), alpha, replicates, seed)
    low, high = _chi_square_factors(len(values), alpha)
    variance = float(values.var(ddof=1))
    return variance * low, variance * high


def power_note(runs: int, alpha: float = 0.05) -> str:
    """What so few runs can show of a variance, in one sentence.

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
    method: Method = "normal",
    seed: int = 0,
) -> Decision:
    """PASS or FAIL where the bound on the near side of the estimate has passed the threshold, else INCONCLUSIVE.

    Unlike the tests on episodes this is for a number of runs fixed beforehand: looking again after every further run
    would raise the error.

    Args:
        values: `[R]` one number a run, R ≥ 2.
        theta: the threshold of the statistic.

    Raises:
        InputError: fewer than 2 runs, or a value is not finite.
    """
    check_direction(direction)
    values = _several(values)
    root = np.sqrt if statistic == "std" else float
    if statistic == "mean":
        estimate, bounds = float(values.mean()), mean_bounds(values, alpha, method, seed=seed)
    else:
        low, high = variance_bounds(values, alpha, method, seed=seed)
        estimate, bounds = float(root(values.var(ddof=1))), (float(root(low)), float(root(high)))
    passed = meets(bounds[0 if wants_above(direction) else 1], theta, direction)
    failed = not meets(bounds[1 if wants_above(direction) else 0], theta, direction)
    verdict: Verdict = "PASS" if passed else "FAIL" if failed else "INCONCLUSIVE"
    more = _more_runs(values, theta, statistic, alpha, method) if verdict == "INCONCLUSIVE" else None
    return Decision(verdict, len(values), estimate, bounds, more)


def _more_runs(values: np.ndarray, theta: float, statistic: str, alpha: float, method: Method) -> int | None:
    """How many further runs would decide if the estimates stayed what they are."""
    if method != "normal":
        return None
    mean, std = float(values.mean()), float(values.std(ddof=1))
    for runs in range(len(values) + 1, _MOST_RUNS + 1):
        if statistic == "mean":
            low, high = _student(mean, std, runs, alpha)
        else:
            factors = _chi_square_factors(runs, alpha)
            low, high = (std**2 * factor if statistic == "variance" else std * factor**0.5 for factor in factors)
        if low > theta or high < theta:
            return runs - len(values)
    return None


def _several(values: np.ndarray) -> np.ndarray:
    values = checked(values, "run")
    if len(values) < 2:
        raise InputError(f"a spread over runs needs at least 2 runs, not {len(values)}: train more")
    return values


def _student(mean: float, std: float, runs: int, alpha: float) -> tuple[float, float]:
    from scipy.special import stdtrit  # start-up must not pay for scipy

    half = float(stdtrit(runs - 1, 1 - alpha)) * std / runs**0.5
    return mean - half, mean + half


def _chi_square_factors(runs: int, alpha: float) -> tuple[float, float]:
    """What s² is multiplied with for the lower and the upper bound of a variance."""
    from scipy.special import chdtri  # of the upper tail; start-up must not pay for scipy

    return (runs - 1) / float(chdtri(runs - 1, alpha)), (runs - 1) / float(chdtri(runs - 1, 1 - alpha))


def _bootstrap(
    values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], alpha: float, replicates: int, seed: int
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    draws = values[rng.integers(0, len(values), (replicates, len(values)))]
    low, high = np.quantile(statistic(draws), [alpha, 1 - alpha])
    return float(low), float(high)
