"""How many units a decision takes on average."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.evidence import decide_many, decide_ratio_many
from tests.evidence import worlds

SIZES = [2_000, pytest.param(20_000, marks=pytest.mark.verify)]


@pytest.mark.parametrize("gates", SIZES)
@pytest.mark.parametrize(("mean", "verdict", "bar"), [(241, "PASS", 85), (252, "PASS", 65), (172, "FAIL", 175)])
def test_episodes_on_returns(mean, verdict, bar, gates, figure):
    xs = worlds.lander_returns(np.random.default_rng(mean), gates, 400, float(mean))
    decisions = decide_many(xs, worlds.GATE, worlds.LOW, worlds.HIGH, 0.05)
    figure(f"episodes until a true mean of {mean} is decided (gate 200)", decisions.stopped_at.mean())
    assert decisions.share(verdict) > 0.99
    assert decisions.stopped_at.mean() <= bar


@pytest.mark.parametrize("gates", [1_000, pytest.param(5_000, marks=pytest.mark.verify)])
@pytest.mark.parametrize(
    ("prevalence", "f1", "bar", "most"),
    [(0.5, 0.903, 160, 1_500), (0.5, 0.952, 70, 1_500), (0.109, 0.903, 650, 6_000), (0.109, 0.952, 260, 3_000)],
)
def test_cases_on_f1(prevalence, f1, bar, most, gates, figure):
    label, flagged = worlds.detections(np.random.default_rng(23), gates, most, prevalence, f1)
    decisions = decide_ratio_many("f1", label & flagged, label | flagged, 0.8, 0.05)
    figure(f"cases until a true F1 of {f1} is accepted at a prevalence of {prevalence}", decisions.stopped_at.mean())
    assert decisions.share("PASS") > 0.99
    assert decisions.stopped_at.mean() <= bar


@pytest.mark.parametrize(("mean", "share"), [(190, 0.35), (210, 0.65)])
def test_the_plain_mean_of_ten_episodes_is_no_evidence(mean, share, figure):
    """What the gates are there to replace: σ = 80, "mean > 200 over 10 episodes"."""
    means = np.random.default_rng(29).normal(mean, 80, (20_000, 10)).mean(axis=1)
    figure(f"true mean {mean}, sigma 80: share of 10-episode means above 200", (means > 200).mean())
    assert abs((means > 200).mean() - share) < 0.02
