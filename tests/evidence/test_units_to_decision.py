"""How many units a decision takes on average."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evidence import simulated_policies as policies
from tests.evidence.simulated_gates import decide_f1, decide_means

SIZES = [1_000, pytest.param(5_000, marks=pytest.mark.verify)]


@pytest.mark.parametrize("gates", SIZES)
@pytest.mark.parametrize(("mean", "verdict", "bar"), [(241, "PASS", 82), (252, "PASS", 65), (172, "FAIL", 175)])
def test_episodes_on_returns(mean, verdict, bar, gates, record_figure):
    xs = policies.lander_returns(np.random.default_rng(mean), gates, 400, float(mean))
    decisions = decide_means(xs, policies.THRESHOLD, policies.LOW, policies.HIGH, 0.05)
    record_figure(f"episodes until a true mean of {mean} is decided (gate 200)", decisions.stopped_at.mean())
    assert decisions.share(verdict) > 0.99
    assert decisions.stopped_at.mean() <= bar * slack(gates)


def slack(gates):
    """Few gates have a noisy mean: three standard errors of a stopping time with a deviation near its mean."""
    return 1.0 if gates >= 1_000 else 1 + 3 * 0.7 / gates**0.5


@pytest.mark.parametrize("gates", SIZES)
@pytest.mark.parametrize(
    ("prevalence", "f1", "bar", "most"),
    [(0.5, 0.903, 129, 1_500), (0.5, 0.952, 51, 1_500), (0.109, 0.903, 604, 6_000), (0.109, 0.952, 236, 3_000)],
)
def test_cases_on_f1(prevalence, f1, bar, most, gates, record_figure):
    """Bars: the aGRAPA bet at .903, and 15 % above it at .952."""
    label, flagged = policies.detections(np.random.default_rng(23), gates, most, prevalence, f1)
    informative = [np.flatnonzero(row) for row in label | flagged]
    decisions = decide_f1(label & flagged, label | flagged, 0.8, 0.05, limit=40_000)
    record_figure(
        f"cases until a true F1 of {f1} is accepted at a prevalence of {prevalence}", decisions.stopped_at.mean()
    )
    assert min(len(rows) for rows in informative) > 0
    assert decisions.share("PASS") > 0.99
    assert decisions.stopped_at.mean() <= bar * slack(gates)


@pytest.mark.parametrize("gates", [600, pytest.param(3_000, marks=pytest.mark.verify)])
@pytest.mark.parametrize(
    ("true", "bar", "limit", "share"),
    [(0.85, 0.8, 400, 0.70), (0.83, 0.8, 400, 0.33), (0.93, 0.9, 1_000, 0.89)],
    ids=["success .85/.8", "success .83/.8", "FPR .07/.1"],
)
def test_decided_rightly_within_the_limit(true, bar, limit, share, gates, record_figure):
    xs = np.random.default_rng(31).random((gates, limit)) < true
    decided = decide_means(xs.astype(float), bar).share("PASS")
    record_figure(f"{true:g} against {bar:g} decided within {limit}", decided)
    assert decided >= share - 3 * 0.5 / gates**0.5 * (gates < 1_000)


@pytest.mark.parametrize("gates", [600, pytest.param(3_000, marks=pytest.mark.verify)])
def test_returns_of_215_within_400_episodes(gates, record_figure):
    xs = policies.lander_returns(np.random.default_rng(37), gates, 400, 215.0, -500.0, 330.0)
    decided = decide_means(xs, 200.0, -500.0, 330.0).share("PASS")
    record_figure("returns of 215 against 200 decided within 400", decided)
    assert decided >= 0.92 - 0.06 * (gates < 1_000)


@pytest.mark.verify
@pytest.mark.parametrize(
    ("true", "bar", "limit", "mean"),
    [(0.93, 0.9, 20_000, 760), (0.97, 0.95, 20_000, 820), (0.995, 0.99, 40_000, 2_300), (0.91, 0.9, 60_000, 7_800),
     (0.85, 0.8, 8_000, 480)],
    ids=["FPR .07/.1", "FPR .03/.05", "FPR .005/.01", "FPR .09/.1", "success .85/.8"],
)  # fmt: skip
def test_units_with_a_limit_that_never_binds(true, bar, limit, mean, record_figure):
    gates = 400 if limit == 60_000 else 1_500
    stopped = []
    for part in range(0, gates, 50):
        xs = np.random.default_rng([41, part]).random((50, limit), np.float32) < true
        stopped.append(decide_means(xs.astype(np.float32), bar).stopped_at)
    units = float(np.mean(np.concatenate(stopped)))
    record_figure(f"{true:g} against {bar:g} with a limit of {limit}", units)
    assert units <= mean


@pytest.mark.parametrize(("mean", "share"), [(190, 0.35), (210, 0.65)])
def test_the_plain_mean_of_ten_episodes_is_no_evidence(mean, share, record_figure):
    """What the gates are there to replace: σ = 80, "mean > 200 over 10 episodes"."""
    means = np.random.default_rng(29).normal(mean, 80, (20_000, 10)).mean(axis=1)
    record_figure(f"true mean {mean}, sigma 80: share of 10-episode means above 200", (means > 200).mean())
    assert abs((means > 200).mean() - share) < 0.02
