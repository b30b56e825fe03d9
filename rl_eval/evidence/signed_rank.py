"""Whether paired differences are above zero, by their ranks: a few very large ones do not decide."""

from __future__ import annotations

import numpy as np

from rl_eval.evidence.bounds import finite_vector


def signed_rank_p(differences: np.ndarray) -> float:
    """The one-sided p-value of Wilcoxon's signed-rank test that paired differences `[n]` are around 0, not above.

    Zeros are left out; without any other difference it is 1. Exact up to 50 differences without ties.

    Wilcoxon, *Individual comparisons by ranking methods*, Biometrics Bulletin 1945.

    Raises:
        InputError: there is none, or one is not finite.
    """
    from scipy.stats import wilcoxon

    differences = finite_vector(differences, "difference")
    differences = differences[differences != 0]
    return float(wilcoxon(differences, alternative="greater").pvalue) if len(differences) else 1.0
