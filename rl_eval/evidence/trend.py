"""Did training get better? A test of a trend that allows for autocorrelated returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.betting import check_alpha
from rl_eval.evidence.bounds import finite_vector

MIN_VALUES = 6
# The chance that the true correlation is above `correlation_bound`; it is part of the p-value.
MISSED_CORRELATION = 0.01
_PARTS = 6  # the first and the last of them are compared
_CORRELATIONS = 60  # that are tried
# A series whose last values, this share of all, lost more than half of what it had gained does not rise.
_END = 0.05


@dataclass(frozen=True)
class Trend:
    """Whether a series rises.

    Attributes:
        rises: later values beat earlier ones, p ≤ α.
        p_value: the chance of a rise as steep if the series had no trend; 1 where most of a rise was lost again. It is
            never below `MISSED_CORRELATION`.
        slope: change from the first value to the last along the least-squares line, in the units of the values.
        correlation: the largest correlation of neighbouring values that the test allowed for.
    """

    rises: bool
    p_value: float
    slope: float
    correlation: float


def trend(values: np.ndarray, alpha: float = 0.05) -> Trend:
    """Test of "later training returns beat earlier ones".

    Without a trend the series is taken for a stationary Gaussian AR(1) process with a correlation 0 ≤ ρ < 1 of
    neighbouring values. For a known ρ two statistics have Student's distribution: the slope, by generalised least
    squares with an intercept and a quadratic term, and the mean of the last sixth minus that of the first, divided by
    its standard error. Both must be large. As ρ is unknown,

        p = β + max over ρ ≤ ρ̄ of both p-values,    ρ̄ a 1−β upper bound of ρ,    β = MISSED_CORRELATION

    (Berger and Boos, *P values maximized over a confidence set for the nuisance parameter*, JASA 1994). At ρ near 1
    this compares the rise with a random walk, which few short series can exceed unless nearly every step goes up.

    A rise that is followed by a collapse is no rise: the last twentieth must keep half of what the best sixth gained.

    Args:
        values: `[T]` in the order of training.

    Raises:
        InputError: there are fewer than MIN_VALUES values, or one is not finite.
    """
    check_alpha(alpha)
    values = finite_vector(values, "value")
    count = len(values)
    if count < MIN_VALUES:
        raise InputError(
            f"a trend over {count} values cannot be distinguished from chance: it takes at least {MIN_VALUES}; "
            "lower log_every, or train for more steps"
        )
    centred = values - values.mean()
    time = np.linspace(-1.0, 1.0, count)
    slope = 2 * float(time @ centred) / float(time @ time)
    bound, correlations = _correlations(centred, time)
    parts = np.array([part.mean() for part in np.array_split(centred, _PARTS)])
    end = centred[-max(3, round(_END * count)) :].mean()
    if end <= parts[0] or end - parts[0] < 0.5 * (parts.max() - parts[0]):
        return Trend(False, 1.0, slope, bound)
    p_value = min(1.0, MISSED_CORRELATION + _largest_p(centred, time, correlations))
    return Trend(p_value <= alpha, p_value, slope, bound)


def _correlations(centred: np.ndarray, time: np.ndarray) -> tuple[float, np.ndarray]:
    """An upper bound of the correlation of neighbouring values, and the correlations from it down to 0.

    The sample correlation r after a quadratic is taken out is too low, most of all for correlations near 1: r is below
    ρ by more than q(c) / T with probability MISSED_CORRELATION at most, c = T·(1 − ρ). q is an upper envelope of the
    quantiles of 20,000 simulated series of 20 to 1,000 values; tests repeat that.
    """
    count = len(centred)
    basis = np.linalg.qr(np.stack([np.ones(count), time, time**2], axis=1))[0]
    residual = centred - basis @ (basis.T @ centred)
    power = float(residual @ residual)
    sample = float(residual[1:] @ residual[:-1]) / power if power > 1e-18 * float(centred @ centred) else 0.0
    gaps = np.geomspace(0.01, count, _CORRELATIONS)  # c
    quantiles = np.maximum(39 * count / (count + 12), 12 + 2.576 * np.sqrt(gaps * (2 - gaps / count)))
    possible = np.flatnonzero(count * (1 - sample) - gaps <= quantiles)
    smallest = max(int(possible[0]) - 1, 0) if len(possible) else len(gaps) - 1  # one more, for those in between
    correlations = 1 - gaps[smallest:] / count
    return float(correlations[0]), correlations


def _largest_p(centred: np.ndarray, time: np.ndarray, correlations: np.ndarray) -> float:
    """The largest of the p-values of the slope and of the gain from the first sixth to the last."""
    from scipy.special import stdtr  # imported here to keep start-up fast

    # Rows z_t − ρ z_(t−1) of [time, 1, time², values] are differences plus (1 − ρ) times the row before; written so,
    # nothing cancels as ρ approaches 1. The first row is scaled to the variance of the others.
    rows = np.stack([time, np.ones_like(time), time**2, centred], axis=1)
    steps, before = np.diff(rows, axis=0), rows[:-1]
    gap = (1 - correlations)[:, None, None]
    mixed = steps.T @ before
    first = np.outer(rows[0], rows[0]) * gap * (2 - gap)
    products = first + steps.T @ steps + gap * (mixed + mixed.T) + gap**2 * (before.T @ before)
    design, with_values, power = products[:, :3, :3], products[:, :3, 3], products[:, 3, 3]
    inverse = np.linalg.inv(design)
    fit = (inverse @ with_values[:, :, None])[:, :, 0]
    degrees = len(centred) - 3
    variance = np.maximum(power - (fit * with_values).sum(axis=1), 1e-12 * power) / degrees
    length = max(1, len(centred) // _PARTS)
    gain = float(centred[-length:].mean() - centred[:length].mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        slope_t = fit[:, 0] / np.sqrt(variance * inverse[:, 0, 0])
        gain_t = gain / np.sqrt(variance * _gain_variance(len(centred), length, correlations))
    smallest = float(np.nan_to_num(np.minimum(slope_t, gain_t), nan=0.0).min())
    return float(stdtr(degrees, -smallest))


def _gain_variance(count: int, length: int, correlations: np.ndarray) -> np.ndarray:
    """The variance of the mean of the last `length` values minus that of the first, for innovations of variance 1."""
    gap = 1 - correlations
    with np.errstate(divide="ignore"):
        log = np.log1p(-gap)  # minus infinity at ρ = 0
    fraction = -np.expm1(length * log) / gap  # 1 + ρ + … + ρ^(length − 1)
    within = length * (1 + correlations) / gap - 2 * correlations * fraction / gap
    between = np.exp((count - 2 * length + 1) * log) * fraction**2
    return 2 * (within - between) / length**2 / (gap * (2 - gap))
