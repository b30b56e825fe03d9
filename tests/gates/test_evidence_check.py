"""Criteria by evidence: which values they use, when they stop, and what they report."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rl_eval import rollout
from rl_eval.evidence import MeanTest
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.play_criteria import new_check, play_criteria
from rl_eval.gates.suite_environment import SuiteEnvironment
from tests.gates.evidence_suites import buffer_of, decide, suite, verdicts
from tests.gates.fake_runs import FALL, write_run
from tests.test_rollout import Echo, ScriptedVector


@pytest.mark.parametrize(
    ("returns", "bar", "decision"),
    [
        ([500.0, 480.0] * 40 + [380.0, 400.0] * 20, 300, "INCONCLUSIVE"),  # good, and then less good
        ([500.0, 380.0] * 60, 300, "PASS"),  # the same values, mixed
        ([100.0, 120.0] * 40 + [20.0, 0.0] * 20, 300, "FAIL"),  # a change makes no policy good
    ],
)
def test_a_policy_that_changes_while_it_is_judged_does_not_pass(tmp_path, returns, bar, decision):
    verdict = decide(
        suite(tmp_path, f"metric: mean_return, at_least: {bar}", episodes="max: 120, return_bounds: [0, 500]"),
        buffer_of(returns),
    )
    assert verdict.decision == decision
    assert verdict.decided_at is not None


def test_a_pass_reports_the_episodes_used(tmp_path):
    checked = suite(tmp_path, "metric: mean_return, at_least: 400")
    (verdict,) = verdicts(checked, write_run(tmp_path / "run").path)
    assert (verdict.decision, verdict.by, verdict.unit, verdict.units_max, verdict.population) == (
        "PASS", "evidence", "episode", 400, "source",
    )  # fmt: skip
    assert verdict.decided_at < 60
    assert verdict.units == 100  # episodes.min, for an estimate that is worth showing
    assert verdict.interval[0] >= 400
    assert re.fullmatch(
        rf"mean_return 500 in \[4\d\d, 500\] ≥ 400: passed after {verdict.decided_at} episodes, 100 of 400 played; .*",
        verdict.detail,
    )


def test_a_fail_reports_the_estimate_and_takes_few_episodes(tmp_path):
    checked = suite(tmp_path, "metric: mean_return, at_least: 400", "metric: success_rate, at_least: 0.9")
    reward, success = verdicts(checked, write_run(tmp_path / "run", rule=FALL).path)
    assert (reward.decision, success.decision) == ("FAIL", "FAIL")
    assert "failed after" in reward.detail
    assert reward.misses_by == pytest.approx(400 - reward.estimate)
    assert success.decided_at < 10
    assert (success.units, reward.units) == (100, 100)


def test_too_few_episodes_are_inconclusive_and_say_how_many_more(tmp_path):
    checked = suite(tmp_path, "metric: mean_return, at_least: 22", episodes="max: 30, return_bounds: [0, 500]")
    (verdict,) = verdicts(checked, "random")
    assert (verdict.decision, verdict.units, verdict.units_max) == ("INCONCLUSIVE", 30, 30)
    assert verdict.more > 0
    assert re.search(r"undecided after 30 of 30 episodes, about [\d,]+ more would likely decide", verdict.detail)


def test_the_numbers_are_those_of_the_betting_test(tmp_path):
    returns = np.random.default_rng(0).uniform(300, 500, 400)
    checked = suite(tmp_path, "metric: mean_return, at_least: 380", head="alpha: 0.01")
    verdict, test = decide(checked, buffer_of(returns)), MeanTest(380, 0, 500, 0.01, limit=400)
    test.extend(returns)
    assert (verdict.decision, verdict.decided_at, verdict.units, verdict.estimate, verdict.interval) == (
        test.decision, test.result.decided_at, 400, test.result.estimate, test.result.interval,
    )  # fmt: skip


class Dependent(ScriptedVector):
    """The longer an episode, the better it ends, as where falling is failing."""

    def step(self, actions):
        obs, reward, terminated, truncated, infos = super().step(actions)
        infos["outcome"] = {"native_reward": np.where(terminated | truncated, self.lengths[self.seed], 0.0)}
        return obs, reward, terminated, truncated, infos


@pytest.mark.verify
def test_short_episodes_do_not_vote_first(tmp_path):
    rng = np.random.default_rng(1)
    lengths = np.where(rng.random(200) < 0.75, 300, 5)  # a mean of about 226, and the bar is at 150
    checked = suite(tmp_path, "metric: mean_return, at_least: 150", episodes="max: 200, return_bounds: [0, 300]")

    def played(copies):
        envs = Dependent(lengths, np.ones(200, bool), copies)
        return decide(checked, EpisodeBuffer(rollout.stream(envs, Echo(), seeds=range(200))))

    one_by_one = played(1)
    assert one_by_one.decision == "PASS"
    for copies in (7, 64, 200):
        assert played(copies) == one_by_one
    # what the same test says of the order in which 200 copies finish: the mutant that the above catches
    by_finish = np.sort(lengths).astype(float)
    of_finish = MeanTest(150, 0, 300, limit=200)
    of_finish.extend(by_finish)
    assert of_finish.decision == "FAIL"


def test_play_stops_when_every_criterion_is_decided(tmp_path):
    calls = []
    checked = suite(tmp_path, "metric: mean_return, at_least: 400", "metric: success_rate, at_most: 0.5")
    run = write_run(tmp_path / "run")
    decided = verdicts(checked, run.path, on_episodes=lambda done, total, label: calls.append((done, total)))
    assert [verdict.decision for verdict in decided] == ["PASS", "FAIL"]
    assert calls[-1][1] == 400
    most = max(verdict.units for verdict in decided)
    assert most <= calls[-1][0] <= most + 2 * 32  # copies that played on beside the last one needed


def test_a_decision_stays_while_others_play_on(tmp_path):
    run = write_run(tmp_path / "run").path
    (alone,) = verdicts(suite(tmp_path, "metric: mean_return, at_least: 400"), run)
    together = verdicts(
        suite(
            tmp_path,
            "metric: mean_return, at_least: 400",
            "metric: mean_return, at_least: 490",
            "metric: mean_length, at_least: 1",
        ),
        run,
    )
    assert (together[0].decision, together[0].decided_at) == (alone.decision, alone.decided_at)
    assert together[1].decided_at > alone.decided_at
    assert together[0].units == together[1].units >= alone.units == 100
    assert (together[2].by, together[2].units) == ("estimate", 100)


def test_the_numbers_do_not_depend_on_how_many_copies_play(tmp_path):
    rng = np.random.default_rng(2)
    lengths = rng.integers(5, 300, 400)
    checked = suite(tmp_path, "metric: mean_return, at_least: 140", episodes="max: 400, return_bounds: [0, 300]")

    def played(copies):
        environment = SuiteEnvironment(checked, checked.judged)
        check = new_check(environment, checked.criteria[0])
        envs = Dependent(lengths, np.ones(400, bool), copies)
        environment.play = lambda *_, **__: EpisodeBuffer(rollout.stream(envs, Echo(), seeds=range(400)))
        play_criteria(environment, "echo", "echo", [check])
        environment.close()
        return check.verdict

    assert played(1) == played(7) == played(64)


def test_units_after_the_maximum_do_not_count(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, at_least: 22",
        "metric: mean_length, at_least: 1",
        episodes="max: 10, fixed: 50, return_bounds: [0, 500]",
    )
    evidence, estimate = verdicts(checked, "random")
    assert (evidence.decision, evidence.units, estimate.units) == ("INCONCLUSIVE", 10, 50)


def test_a_value_past_the_unsafe_bound_forbids_pass_and_names_the_bound(tmp_path):
    returns = np.full(400, 450.0)
    returns[5] = -1.0
    checked = suite(tmp_path, "metric: mean_return, at_least: 200")
    verdict = decide(checked, buffer_of(returns))
    assert verdict.decision == "INCONCLUSIVE"
    assert verdict.interval[0] is None
    assert "unit 6 has -1, past the lower bound 0, so PASS cannot be claimed" in verdict.detail
    assert decide(checked, buffer_of(returns - 400)).decision == "FAIL"
    assert decide(checked, buffer_of(returns + 100)).decision == "PASS"  # clipping from above is safe
    assert decide(checked, buffer_of(returns), clipped=True).decision == "PASS"  # as controls are


def test_a_spread_over_runs_reports_how_little_so_few_can_show(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, at_least: 1",
        "metric: mean_return_seed_variance, at_most: 1, assume: normal",
        "metric: mean_return_seed_mean, at_least: 400, assume: normal",
        "metric: mean_return_seed_std, at_most: 1e6, assume: normal",
        "metric: mean_return_seed_mean, at_least: 400",
        "metric: mean_return_seed_variance, at_most: 100",
        head="runs: {count: 3}",
    )
    runs = [write_run(tmp_path / str(seed), seed=seed, rule=FALL if seed == 3 else FALL * 0).path for seed in (1, 2, 3)]
    _, variance, mean, std, bounded, bounded_variance = verdicts(checked, *runs)
    assert (variance.units, variance.unit, variance.by) == (3, "run", "evidence")
    assert "with 3 runs the upper 95 % bound of a variance is" in variance.detail
    assert (mean.decision, std.decision) == ("FAIL", "PASS")
    assert mean.interval[0] < mean.estimate < mean.interval[1]
    assert all("assumes that runs are normally distributed" in verdict.detail for verdict in (variance, mean, std))
    # nothing is assumed but that a return is in [0, 500]: (400 / 500)¹⁴ ≤ .05
    assert "fewer than 14 runs could not pass" in bounded.detail
    assert "fewer than 7,4" in bounded_variance.detail
    assert bounded_variance.decision == "INCONCLUSIVE"
