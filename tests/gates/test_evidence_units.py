"""Criteria by evidence: episodes and cases as units, finite sets, and units without a value."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.rollout import Episodes
from tests.gates.evidence_suites import SMALL_THREAT, buffer_of, decide, suite, verdicts


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_return_that_is_not_finite_is_an_error(tmp_path, value):
    returns = np.full(400, 450.0)
    returns[3] = value
    verdict = decide(suite(tmp_path, "metric: mean_return, at_least: 200"), buffer_of(returns))
    assert (verdict.decision, verdict.estimate) == ("ERROR", None)
    assert "1 of 400 episodes have a return that is not finite" in verdict.detail


@pytest.mark.parametrize(
    ("criterion", "flagged", "message"),
    [
        ("metric: f1, at_least: 0.5", 1, "f1 is undefined: none of the cases is positive"),
        ("metric: recall, at_least: 0.5", 1, "recall is undefined: none of the cases is positive"),
        ("metric: precision, at_most: 0.5", 0, "precision is undefined: the policy flagged none of the cases"),
    ],
)
def test_a_metric_without_a_value_is_an_error_and_no_number(tmp_path, criterion, flagged, message):
    buffer = buffer_of(np.zeros(300), np.zeros(300), np.full(300, flagged))
    verdict = decide(suite(tmp_path, criterion, env="threat", episodes="max: 200"), buffer)
    assert (verdict.decision, verdict.estimate, verdict.detail) == ("ERROR", None, message)


def test_cases_are_the_units_where_decisions_are_independent(tmp_path):
    f1 = "metric: f1, at_least: 0.5"
    (case,) = verdicts(suite(tmp_path, f1, env=SMALL_THREAT, episodes=""), "baseline:bayes")
    assert (case.decision, case.unit, case.units_max) == ("PASS", "case", 2000)
    campaigns = SMALL_THREAT.replace("}", ", campaigns: true, shift: 20}")
    (episode,) = verdicts(suite(tmp_path, f1, env=campaigns, episodes=""), "baseline:bayes")
    assert (episode.decision, episode.unit, episode.units_max) == ("PASS", "episode", 100)
    (by_episode,) = verdicts(
        suite(tmp_path, f1, env=SMALL_THREAT, episodes="", head="units: episode"), "baseline:bayes"
    )
    assert by_episode.unit == "episode"


@pytest.mark.parametrize("metric", ["f1", "accuracy", "mean_cost"])
@pytest.mark.parametrize("units", ["case", "episode"])
def test_a_finite_set_that_was_played_completely_is_exact(tmp_path, metric, units):
    def suite_with(threshold, by):
        head = f"population: set\nunits: {units}\nalpha: 1e-6"
        criterion = f"metric: {metric}, at_least: {threshold!r}, by: {by}"
        return suite(tmp_path, criterion, env=SMALL_THREAT, episodes="", head=head)

    (plain,) = verdicts(suite_with(0.0, "estimate"), "baseline:bayes")
    assert plain.estimate is not None
    threshold = float(plain.estimate) - 1e-6  # so near that nothing but all of the set decides
    (verdict,) = verdicts(suite_with(threshold, "evidence"), "baseline:bayes")
    assert (verdict.decision, verdict.population) == ("PASS", "set")
    assert "of the set" in verdict.detail
    if verdict.units == (2000 if units == "case" else 10):
        assert verdict.interval == (verdict.estimate, verdict.estimate)
        assert verdict.estimate == pytest.approx(plain.estimate, rel=1e-9)
    else:  # those that were left could not have changed it
        assert metric == "mean_cost"
        assert verdict.units > 1900
    (above,) = verdicts(suite_with(float(plain.estimate) + 1e-6, "evidence"), "baseline:bayes")
    assert above.decision == "FAIL"


def test_a_source_is_not_exhausted_by_its_sample(tmp_path):
    (plain,) = verdicts(
        suite(tmp_path, "metric: f1, at_least: 0, by: estimate", env=SMALL_THREAT, episodes=""), "baseline:bayes"
    )
    checked = suite(tmp_path, f"metric: f1, at_least: {float(plain.estimate) - 1e-6!r}", env=SMALL_THREAT, episodes="")
    (verdict,) = verdicts(checked, "baseline:bayes")
    assert (verdict.decision, verdict.units) == ("INCONCLUSIVE", 2000)


@pytest.mark.parametrize(
    ("population", "most", "decision", "advice"),
    [
        (
            "source",
            "",
            "INCONCLUSIVE",
            "the whole test set is played: give more data; for data of a domain, population: set",
        ),
        ("source", "max: 4", "INCONCLUSIVE", "another episodes.max is another evaluation"),
        ("set", "", "PASS", ""),
    ],
)
def test_a_set_that_is_played_to_its_end_says_what_else_decides(tmp_path, population, most, decision, advice):
    criterion, env = "metric: apfd, better_than: 'baseline:failure_rate'", "{name: qase, cycles: 24}"
    checked = suite(tmp_path, criterion, env=env, head=f"population: {population}", episodes=most)
    (verdict,) = verdicts(checked, "baseline:optimal")
    assert verdict.decision == decision
    assert advice in verdict.detail
    assert ("episodes.max" in verdict.detail) == bool(most)
    assert ("would likely decide" in verdict.detail) == (decision == "INCONCLUSIVE")


def cycles(values):
    """One-step test cycles with an APFD among unseen cases, NaN where none of them failed; given one by one."""
    for i, value in enumerate(values):
        outcome = {"apfd_unseen": np.array([value]), "cycle_end": np.ones(1, bool)}
        one = np.ones(1, np.int64)
        yield Episodes(np.array([i]), one, one > 0, np.zeros(1, np.int64), outcome, np.zeros((1, 1)))


QASE = "{name: qase, cycles: 60, test_share: 0.5}"


def test_episodes_on_which_a_metric_is_undefined_are_left_out(tmp_path):
    checked = suite(tmp_path, "metric: apfd_unseen, at_least: 0.3", env=QASE, episodes="max: 20")
    verdict = decide(checked, EpisodeBuffer(cycles([np.nan, 0.9, np.nan, *[0.9] * 17])))
    assert verdict.decision == "PASS"
    alone = decide(checked, EpisodeBuffer(cycles([0.9] * 18)))
    assert verdict.estimate == pytest.approx(alone.estimate)
    assert verdict.units == 20


def test_a_set_that_was_played_completely_is_decided_though_the_metric_is_undefined_on_some(tmp_path):
    checked = suite(
        tmp_path, "metric: apfd_unseen, at_least: 0.6", env=QASE, episodes="", head="population: set\nalpha: 1e-9"
    )
    environment = SuiteEnvironment(checked, checked.judged)
    count = environment.max_episodes
    environment.close()
    values = [np.nan if i % 3 else 0.5 + 0.2 * (i % 2) for i in range(count)]
    verdict = decide(checked, EpisodeBuffer(cycles(values)))
    exact = np.nanmean(values)
    assert verdict.decision == ("PASS" if exact >= 0.6 else "FAIL")
    assert (verdict.units, verdict.estimate) == (count, pytest.approx(exact))


def test_a_metric_that_is_nowhere_defined_is_an_error(tmp_path):
    checked = suite(tmp_path, "metric: apfd_unseen, at_least: 0.3", env=QASE, episodes="max: 5")
    verdict = decide(checked, EpisodeBuffer(cycles([np.nan] * 5)))
    assert (verdict.decision, verdict.detail) == (
        "ERROR",
        "apfd_unseen is undefined on all 5 episodes played",
    )
