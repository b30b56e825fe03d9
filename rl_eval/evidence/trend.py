"""Did training get better? A test of a trend that allows for autocorrelated returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.betting import check_alpha
from rl_eval.evidence.bounds import finite_vector

MIN_VALUES = 6
_MOST_CORRELATED = 0.98
# A mean of more episodes than this weighs little more: what the policy itself drifts does not average out.
_EPISODES = 25
_PARTS = 6  # the best of them is compared with the end
# A series whose last values, this share of all, lost more than half of what it had gained does not rise.
_END = 0.05


@dataclass(frozen=True)
class Trend:
    """Whether a series rises.

    Attributes:
        rises: later values beat earlier ones, p ≤ α.
        p_value: the chance of a rise as steep if the series had no trend; 1 where most of a rise was lost again.
        slope: change from the first value to the last along the least-squares line, in the units of the values.
        correlation: of neighbouring values, as the test allowed for it.
    """

    rises: bool
    p_value: float
    slope: float
    correlation: float


def trend(values: np.ndarray, alpha: float = 0.05, episodes: np.ndarray | None = None) -> Trend:
    """Test of "later training returns beat earlier ones".

    Without a trend the series is taken for a stationary Gaussian AR(1) process with a correlation ρ of neighbouring
    values. The slope by generalised least squares, over its standard error, has Student's distribution for a known ρ.
    ρ is not known, and the sample correlation of a short series is too low. So it is corrected for its bias (Marriott
    and Pope 1954, here with a quadratic trend taken out) and raised by 1.3 + 8/T standard errors √((1 − ρ²) / T); and
    the degrees of freedom are those of T (1 − ρ) / (1 + ρ) independent values, at least 3.

    The factor comes from simulation: of series of 12 to 1,000 values with a correlation of at most .9, no more than .05
    are called a rise. With .95 it is .07 of series of 20 to 30 values, with .97 .08.

    A mean over n episodes is weighted as n · 25 / (n + 25): the noise of its episodes shrinks with n, the drift of the
    policy does not. With the counts of a short run, 60 episodes per row at first and 1 to 5 later, the error is at most
    .05 up to a correlation of .5, and .1 at .8.

    A rise that is followed by a collapse is not a rise: the last twentieth must keep half of what the best sixth
    gained.

    Args:
        values: `[T]` in the order of training.
        episodes: `[T]`, the number that each value is the mean of, at least 1; None: all values count alike.

    Raises:
        InputError: there are fewer than MIN_VALUES values, one is not finite, or a count is below 1.
    """
    check_alpha(alpha)
    values = finite_vector(values, "value")
    count = len(values)
    if count < MIN_VALUES:
        raise InputError(
            f"a trend over {count} values cannot be distinguished from chance: it takes at least {MIN_VALUES}; "
            "lower log_every, or train for more steps"
        )
    weights = np.ones(count) if episodes is None else _weights(episodes, count)
    centred = values - np.average(values, weights=weights)
    time = np.linspace(-1.0, 1.0, count)
    from_middle = time - np.average(time, weights=weights)
    slope = 2 * float((weights * from_middle) @ centred) / float(weights @ from_middle**2)
    roots = np.sqrt(weights)
    correlation = _correlation(centred, time, roots)

    def mean(rows: np.ndarray | slice) -> float:
        return float(np.average(centred[rows], weights=weights[rows]))

    parts = np.array([mean(rows) for rows in np.array_split(np.arange(count), _PARTS)])
    end = mean(slice(-max(3, round(_END * count)), None))
    if end <= parts[0] or end - parts[0] < 0.5 * (parts.max() - parts[0]):
        return Trend(False, 1.0, slope, correlation)
    p_value = _p_value(centred, time, correlation, roots)
    return Trend(p_value <= alpha, p_value, slope, correlation)


def _weights(episodes: np.ndarray, count: int) -> np.ndarray:
    """`[T]` the precision of means over these counts of episodes, on average 1."""
    episodes = finite_vector(episodes, "count of episodes")
    if len(episodes) != count or episodes.min() < 1:
        raise InputError(f"episodes must hold a count of at least 1 for each of {count} values")
    precision = episodes * _EPISODES / (episodes + _EPISODES)
    return precision / precision.mean()


def _correlation(centred: np.ndarray, time: np.ndarray, roots: np.ndarray) -> float:
    """The correlation of neighbouring values to allow for; `roots` `[T]` of the weights."""
    count = len(centred)
    basis = np.linalg.qr(np.stack([np.ones(count), time, time**2], axis=1) * roots[:, None])[0]
    scaled = roots * centred
    residual = scaled - basis @ (basis.T @ scaled)
    power = float(residual @ residual)
    sample = float(residual[1:] @ residual[:-1]) / power if power > 1e-18 * float(scaled @ scaled) else 0.0
    # E[r] is near ρ − (3 + 5ρ)/T
    unbiased = min(max((sample * count + 3) / (count - 5), 0.0), 0.999)
    return float(min(unbiased + (1.3 + 8 / count) * np.sqrt((1 - unbiased**2) / count), _MOST_CORRELATED))


def _p_value(centred: np.ndarray, time: np.ndarray, correlation: float, roots: np.ndarray) -> float:
    """One-sided p of the slope by generalised least squares, for a known correlation and `roots` `[T]` of weights."""
    from scipy.special import stdtr  # imported here to keep start-up fast

    count = len(centred)
    rows = np.stack([np.ones(count), time, centred]) * roots
    white = np.concatenate(
        [rows[:, :1] * np.sqrt(1 - correlation**2), rows[:, 1:] - correlation * rows[:, :-1]], axis=1
    )
    design, target = white[:2].T, white[2]
    inverse = np.linalg.inv(design.T @ design)
    fit = inverse @ (design.T @ target)
    residual = target - design @ fit
    variance = float(residual @ residual) / (count - 2)
    if variance <= 1e-12 * float(target @ target):  # a straight line
        return 0.0 if fit[1] > 0 else 1.0
    degrees = max(count * (1 - correlation) / (1 + correlation), 3.0)
    return float(stdtr(degrees, -fit[1] / np.sqrt(variance * inverse[1, 1])))
