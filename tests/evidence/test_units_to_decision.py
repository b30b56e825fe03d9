"""How many units a decision takes on average."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evidence import simulated_policies as policies
from tests.evidence.simulated_gates import decide_f1, decide_means

SIZES = [2_000, pytest.param(20_000, marks=pytest.mark.verify)]


@pytest.mark.parametrize("gates", SIZES)
@pytest.mark.parametrize(("mean", "verdict", "bar"), [(241, "PASS", 85), (252, "PASS", 65), (172, "FAIL", 175)])
def test_episodes_on_returns(mean, verdict, bar, gates, record_figure):
    xs = policies.lander_returns(np.random.default_rng(mean), gates, 400, float(mean))
    decisions = decide_means(xs, policies.THRESHOLD, policies.LOW, policies.HIGH, 0.05)
    record_figure(f"episodes until a true mean of {mean} is decided (gate 200)", decisions.stopped_at.mean())
    assert decisions.share(verdict) > 0.99
    assert decisions.stopped_at.mean() <= bar


@pytest.mark.parametrize("gates", [1_000, pytest.param(5_000, marks=pytest.mark.verify)])
@pytest.mark.parametrize(
    ("prevalence", "f1", "bar", "most"),
    [(0.5, 0.903, 160, 1_500), (0.5, 0.952, 70, 1_500), (0.109, 0.903, 650, 6_000), (0.109, 0.952, 260, 3_000)],
)
def test_cases_on_f1(prevalence, f1, bar, most, gates, record_figure):
    label, flagged = policies.detections(np.random.default_rng(23), gates, most, prevalence, f1)
    decisions = decide_f1(label & flagged, label | flagged, 0.8, 0.05)
    record_figure(
        f"cases until a true F1 of {f1} is accepted at a prevalence of {prevalence}", decisions.stopped_at.mean()
    )
    assert decisions.share("PASS") > 0.99
    assert decisions.stopped_at.mean() <= bar


@pytest.mark.parametrize(("mean", "share"), [(190, 0.35), (210, 0.65)])
def test_the_plain_mean_of_ten_episodes_is_no_evidence(mean, share, record_figure):
    """What the gates are there to replace: σ = 80, "mean > 200 over 10 episodes"."""
    means = np.random.default_rng(29).normal(mean, 80, (20_000, 10)).mean(axis=1)
    record_figure(f"true mean {mean}, sigma 80: share of 10-episode means above 200", (means > 200).mean())
    assert abs((means > 200).mean() - share) < 0.02
