"""The bars of a roll-out, by simulation: 2,000 each in `make verify`, 40 of the plain cases in `make test`."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rl_eval.production.canary.evidence import RewardEvidence, step_alpha
from rl_eval.production.canary_config import RolloutConfig
from tests.production.canary.simulated import simulate, simulate_step

CONFIG = RolloutConfig()  # α .05, margin .05, steps of 10 and 50 %
LONG = [pytest.param(2_000, marks=pytest.mark.verify)]
SIZES = [40, *LONG]
SURE = 1e-3
MOST = 20_000


def at_most(errors, rollouts, alpha):
    """By a one-sided binomial test at level .001."""
    return stats.binomtest(int(errors), rollouts, alpha, alternative="greater").pvalue >= SURE


@pytest.mark.parametrize("rollouts", LONG)
@pytest.mark.parametrize("better", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_an_equal_or_better_challenger_is_rarely_rolled_back(better, margin, rollouts, record_figure):
    config = RolloutConfig(margin=margin)
    ended = simulate(np.random.default_rng(1), config, (0.8 + better, 0.8), rollouts, 5_000 if margin == 0 else MOST)
    rolled_back = int((ended.outcome == "rolled_back").sum())
    record_figure(f"roll-outs of one better by {better}, margin {margin}: rolled back", rolled_back / rollouts)
    assert at_most(rolled_back, rollouts, config.alpha)


@pytest.mark.parametrize("rollouts", SIZES)
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_one_ten_points_worse_never_leaves_the_first_step(margin, rollouts, record_figure):
    config = RolloutConfig(margin=margin)
    ended = simulate(np.random.default_rng(2), config, (0.7, 0.8), rollouts, MOST)
    left = int((ended.step > 0).sum())
    record_figure(f"roll-outs of one 10 points worse, margin {margin}: leave the first step", left / rollouts)
    record_figure(
        f"roll-outs of one 10 points worse, margin {margin}: rolled back",
        float(np.mean(ended.outcome == "rolled_back")),
    )
    assert left / rollouts <= config.alpha
    # fewer units than a z-test of fixed size with the same errors on both sides
    alpha, share, gap = step_alpha(config), config.steps[0], 0.1 - margin
    variance = 0.7 * 0.3 / share + 0.8 * 0.2 / (1 - share)
    fixed = (2 * stats.norm.ppf(1 - alpha)) ** 2 * variance / gap**2
    units = float(ended.units.mean())
    record_figure(f"roll-outs of one 10 points worse, margin {margin}: mean units", units)
    record_figure(f"roll-outs of one 10 points worse, margin {margin}: units of a fixed-size test", fixed)
    assert units < fixed


@pytest.mark.parametrize("rollouts", LONG)
@pytest.mark.parametrize("share", CONFIG.steps)
@pytest.mark.parametrize("champion", [0.8, 0.5])
def test_both_errors_at_the_boundary(champion, share, rollouts, record_figure):
    """Worse by just the margin: neither promoted nor rolled back more often than α of the step."""
    limit = np.full(rollouts, 5_000)
    steps = simulate_step(
        np.random.default_rng(3), CONFIG, share, (champion - CONFIG.margin, champion), rollouts, limit
    )
    for name, value in (("promoted", 1), ("rolled back", -1)):
        errors = int((steps.decision == value).sum())
        record_figure(f"a step of {share} at the margin below {champion}: {name}", errors / rollouts)
        assert at_most(errors, rollouts, step_alpha(CONFIG))


@pytest.mark.parametrize("rollouts", SIZES)
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_one_ten_points_better_reaches_all_units(margin, rollouts, record_figure):
    config = RolloutConfig(margin=margin)
    ended = simulate(np.random.default_rng(4), config, (0.8, 0.7), rollouts, MOST)
    full = float(np.mean(ended.outcome == "full"))
    record_figure(f"roll-outs of one 10 points better, margin {margin}: reach 100 % within 20,000 units", full)
    record_figure(f"roll-outs of one 10 points better, margin {margin}: mean units", float(ended.units.mean()))
    assert full >= 0.9


@pytest.mark.parametrize("rollouts", LONG)
def test_an_equal_one_ends_promoted_or_holds_at_the_limit(rollouts, record_figure):
    ended = simulate(np.random.default_rng(5), CONFIG, (0.8, 0.8), rollouts, 2 * CONFIG.step.units)
    for outcome in ("full", "hold", "rolled_back"):
        record_figure(f"roll-outs of an equal one: {outcome}", float(np.mean(ended.outcome == outcome)))
    assert at_most(int((ended.outcome == "rolled_back").sum()), rollouts, CONFIG.alpha)
    assert np.mean(ended.outcome == "full") >= 0.5


@pytest.mark.parametrize(
    "rates", [(0.9, 0.8), *(pytest.param(r, marks=pytest.mark.verify) for r in ((0.7, 0.8), (0.75, 0.8)))]
)
def test_the_simulation_decides_as_the_core_does(rates):
    """The same counts at the same looks: the same decision after the same units."""
    record = []
    steps = simulate_step(np.random.default_rng(6), CONFIG, 0.3, rates, 3, np.full(3, 3_000), record)
    for index in range(3):
        evidence = RewardEvidence(CONFIG, 0.3)
        for rollouts, new in record:
            for counts in new[rollouts == index]:
                evidence.add(np.repeat([1.0, 0.0, 1.0, 0.0], counts), np.repeat([True, True, False, False], counts))
        assert {"PASS": 1, "FAIL": -1, "INCONCLUSIVE": 0}[evidence.test.decision] == steps.decision[index]
        if steps.decision[index]:
            assert evidence.test.decided_at == steps.units[index]
