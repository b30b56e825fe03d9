"""Whether test episodes repeat training starts by chance, since an environment has few start states."""

from __future__ import annotations

import numpy as np

# Repeats that chance explains no better than this are taken for a leak.
UNLIKELY = 1e-3


def explained_by_chance(repeated: np.ndarray, counts: np.ndarray, test_starts: np.ndarray) -> bool:
    """Whether test episodes begin where training episodes did because there are only so many start states.

    If both draw from one distribution, Turing's formula estimates from T earlier episodes how likely a new one is
    to begin where one of them did: 1 - (starts that occurred once) / T (Good 1953). Where start
    states never repeat it is 0, so any repeat is a leak. Far more repeats than it predicts are leaks too; so are
    far fewer, since training then drew from a narrower set than the test set, to which the repeats belong.

    Args:
        repeated: bool `[G]`, which test episodes begin where one of training or validation did.
        counts: `[U]` how often each start occurred there.
        test_starts: `[G]` fingerprints of the test episodes' own starts.
    """
    count, drawn, total = int(repeated.sum()), int(counts.sum()), len(repeated)
    if count == 0 or drawn == 0:
        return False
    once = int((counts == 1).sum())
    _, test_counts = np.unique(test_starts, return_counts=True)
    likely = max(1.0 - once / drawn, 1.0 - int((test_counts == 1).sum()) / total)
    if likely == 0.0:
        return False
    # the estimate itself is uncertain, by about two standard deviations of the count it rests on
    at_least = max(0.0, 1.0 - (once + 2.0 * once**0.5 + 3.0) / drawn)
    too_many = binomial_tail(total, likely, count) < UNLIKELY
    too_few = binomial_tail(total, 1.0 - at_least, total - count) < UNLIKELY
    return not (too_many or too_few)


def binomial_tail(total: int, probability: float, count: int) -> float:
    """P(X >= count) of a binomial X."""
    if count <= 0 or probability >= 1.0:
        return 1.0
    if probability <= 0.0:
        return 0.0
    i = np.arange(1, total + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((total - i + 1) / i))])
    wins = np.arange(total + 1)
    logs = ways + wins * np.log(probability) + (total - wins) * np.log1p(-probability)
    return float(min(1.0, np.exp(logs[count:]).sum()))
