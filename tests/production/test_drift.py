"""Drift by named features, against scipy and by simulation."""

import numpy as np
import pytest
from scipy import stats

from rl_eval.errors import InputError
from rl_eval.production.drift import drifted_features


def test_distances_are_those_of_scipy():
    rng = np.random.default_rng(0)
    reference, recent = rng.normal(size=(300, 3)), rng.normal(size=(200, 3)) + [0.3, 0.5, 1.0]
    recent[:, 2] = recent[:, 2].round()
    found = drifted_features(reference, recent, share=1e-9, alpha=0.999)
    assert len(found) == 3
    for feature in found:
        column = int(feature.name)
        expected = stats.ks_2samp(reference[:, column], recent[:, column], method="exact")
        assert feature.distance == pytest.approx(expected.statistic)
        # the asymptotic distribution is on the safe side, and close
        assert expected.pvalue <= feature.p <= expected.pvalue**0.9


def test_drifted_features_are_named_furthest_first():
    rng = np.random.default_rng(1)
    reference, recent = rng.normal(size=(2_000, 4)), rng.normal(size=(1_000, 4))
    recent[:, 1] += 0.6
    recent[:, 3] *= 4.0
    found = drifted_features(reference, recent, ["size", "rate", "age", "gap"])
    assert [feature.name for feature in found] == ["gap", "rate"]
    assert found[1].recent - found[1].reference == pytest.approx(0.6, abs=0.15)


def test_without_drift_alarms_are_rare_and_small_drift_is_none():
    alarms = sum(
        bool(drifted_features(*np.random.default_rng([2, i]).normal(size=(2, 500, 10)), share=1e-9)) for i in range(100)
    )
    assert alarms <= 5
    rng = np.random.default_rng(3)
    assert not drifted_features(rng.normal(size=(50_000, 1)), rng.normal(size=(50_000, 1)) + 0.1)  # certain, and slight


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="cannot be compared"):
        drifted_features(np.zeros((3, 2)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="name each"):
        drifted_features(np.zeros((3, 2)), np.zeros((3, 2)), ["a"])
    with pytest.raises(InputError, match="not finite"):
        drifted_features(np.zeros((3, 1)), np.full((3, 1), np.nan))
    assert drifted_features(np.zeros((0, 2)), np.zeros((3, 2))) == []
