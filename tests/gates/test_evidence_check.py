"""Criteria by evidence: which values they use, when they stop, and what they report."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rl_eval import rollout
from rl_eval.evidence import MeanTest
from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.play_criteria import new_check, play_criteria
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.rollout import Episodes
from tests.gates.fake_runs import FALL, write_run, write_suite
from tests.test_rollout import Echo, ScriptedVector

SMALL_THREAT = "{name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}"


def suite(tmp_path, *criteria, env="cartpole", head="", episodes="max: 400, return_bounds: [0, 500]", controls="[]"):
    criteria_lines = "\n".join(f"  c{number}: {{{criterion}}}" for number, criterion in enumerate(criteria))
    text = f"rl_eval: 1\nenv: {env}\nepisodes: {{{episodes}}}\ncontrols: {controls}\nleaks: report\n{head}\n"
    return load_suite(write_suite(tmp_path / "s.yaml", f"{text}criteria:\n{criteria_lines}\n"), label="suites/s.yaml")


def verdicts(suite, *specs, **keywords):
    criteria = evaluate_suite(suite, named_runs(suite, [str(spec) for spec in specs]), **keywords).criteria
    return [verdict for verdict in criteria if verdict.criterion.startswith("c") and verdict.criterion != "controls"]


def buffer_of(returns, label=None, flagged=None):
    """One-step episodes made by hand."""
    count = len(returns)
    outcome = {"native_reward": np.asarray(returns, float)}
    if label is not None:
        outcome |= {"label": np.asarray(label), "flagged": np.asarray(flagged)}
    ones, zeros = np.ones(count, np.int64), np.zeros(count, bool)
    return EpisodeBuffer(
        iter([Episodes(np.arange(count), ones, zeros, np.arange(count), outcome, np.zeros((count, 1)))])
    )


def decide(suite, buffer, criterion=0, **keywords):
    """The verdict of one criterion on the episodes of a buffer."""
    environment = SuiteEnvironment(suite, suite.judged)
    try:
        check = new_check(environment, suite.criteria[criterion], **keywords)
        while buffer.play_more():
            check.update(buffer, buffer.count)
        return check.finish()
    finally:
        environment.close()


# --- a policy that changes ---------------------------------------------------------------------------


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


# --- what a decision says --------------------------------------------------------------------------


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


# --- order, stopping, latching ---------------------------------------------------------------------


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


# --- bounds, and what has no value -----------------------------------------------------------------


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


# --- cases, sets and comparisons -------------------------------------------------------------------


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


def test_a_comparison_is_paired_on_the_same_seeds(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, better_than: random",
        "metric: mean_return, better_than: [random, 'constant:0'], margin: 100",
        "metric: mean_return, better_than: random, margin: 495",
    )
    beats, margin, misses = verdicts(checked, write_run(tmp_path / "run").path)
    assert (beats.decision, beats.direction, beats.reference, beats.threshold) == ("PASS", "better_than", "random", 0)
    assert beats.detail.startswith("mean_return minus that of random ")
    assert (margin.decision, margin.reference) == ("PASS", "random")
    assert (misses.decision, misses.threshold) == ("FAIL", 495)


def test_a_factor_multiplies_the_reference(tmp_path):
    """`constant:1` falls after about 9 steps, the run's rule after 500."""
    checked = suite(
        tmp_path,
        "metric: mean_return, better_than: 'constant:1', factor: 10",
        "metric: mean_return, better_than: 'constant:1', factor: 100",
        "metric: mean_return, better_than: 'constant:1', factor: 10, by: estimate",
        "metric: mean_return, better_than: 'constant:1', factor: 100, by: estimate",
    )
    beats, misses, plain, plain_misses = verdicts(checked, write_run(tmp_path / "run").path)
    assert [v.decision for v in (beats, misses, plain, plain_misses)] == ["PASS", "FAIL", "PASS", "FAIL"]
    assert beats.detail.startswith("mean_return minus 10 times that of constant:1 ")
    assert (beats.factor, beats.reference, beats.threshold) == (10, "constant:1", 0)
    assert plain_misses.threshold == pytest.approx(10 * plain.threshold)
    assert beats.estimate == pytest.approx(plain.estimate - plain.threshold, abs=60)  # of 100 episodes, and of 10
    assert "the threshold is 100 times that" in plain_misses.detail


@pytest.mark.parametrize("by", ["evidence", "estimate"])
def test_a_factor_where_lower_is_better(tmp_path, by):
    checked = suite(
        tmp_path,
        f"metric: mean_cost, better_than: 'baseline:bayes', factor: 1.1, by: {by}",
        f"metric: mean_cost, better_than: 'baseline:bayes', factor: 0.9, by: {by}",
        f"metric: mean_cost, better_than: 'constant:0', factor: 0.5, by: {by}",
        env=SMALL_THREAT,
        head="population: set",
        episodes="",
    )
    lenient, strict, half = verdicts(checked, "baseline:bayes")
    assert [v.decision for v in (lenient, strict, half)] == ["PASS", "FAIL", "PASS"]
    assert {v.direction for v in (lenient, strict, half)} == {"less_than"}
    assert half.unit == "case"
    if by == "evidence":  # the same policy and reference: its own cost, less 1.1 and .9 times it
        assert lenient.estimate == pytest.approx(-strict.estimate)


@pytest.mark.parametrize(("gate_seed", "decision"), [(1, "PASS"), (4, "ERROR")])
def test_a_multiple_of_a_negative_estimate_is_no_bar(tmp_path, gate_seed, decision):
    """The MCC of random is .02 and -.04 on these seeds."""
    criterion, head = "metric: mcc, better_than: random, factor: 2", f"gate_seed: {gate_seed}"
    (verdict,) = verdicts(suite(tmp_path, criterion, env=SMALL_THREAT, head=head, episodes=""), "baseline:bayes")
    assert verdict.decision == decision
    assert ("needs a value that is not negative" in verdict.detail) == (decision == "ERROR")


@pytest.mark.parametrize(
    ("population", "most", "decision", "advice"),
    [
        ("source", "", "INCONCLUSIVE", "the whole test set is played: give more data, or set population: set"),
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


def test_no_policy_is_better_than_itself(tmp_path):
    checked = suite(tmp_path, "metric: mean_return, better_than: 'constant:1'")
    (verdict,) = verdicts(checked, "constant:1")
    assert (verdict.decision, verdict.estimate, verdict.more) == ("INCONCLUSIVE", 0.0, None)


def test_a_ratio_against_a_reference_is_the_difference_of_both(tmp_path):
    checked = suite(
        tmp_path,
        "metric: f1, better_than: 'constant:*', margin: 0.05",
        "metric: f1, at_least: 0, by: estimate",
        "metric: mean_cost, better_than: 'constant:*'",
        env=SMALL_THREAT,
        episodes="",
    )
    _, block_all, _ = verdicts(checked, "constant:1")
    f1, plain, cost = verdicts(checked, "baseline:bayes")
    assert (f1.decision, f1.reference, f1.direction) == ("PASS", "constant:1", "better_than")
    assert f1.threshold == 0.05
    assert f1.estimate == pytest.approx(plain.estimate - block_all.estimate)
    assert f1.interval[0] <= f1.estimate <= f1.interval[1]
    assert f1.detail.startswith("f1 minus that of constant:1 ")
    assert (cost.decision, cost.direction, cost.unit) == ("PASS", "less_than", "case")
    assert cost.estimate < 0


def test_a_reference_that_cannot_play_is_an_error(tmp_path):
    checked = suite(
        tmp_path,
        "metric: f1, better_than: 'baseline:none'",
        "metric: mean_cost, better_than: 'baseline:none'",
        env=SMALL_THREAT,
        episodes="",
    )
    for verdict in verdicts(checked, "constant:1"):
        assert verdict.decision == "ERROR"
        assert verdict.detail.startswith("the reference baseline:none: baseline:none is not a baseline of threat")


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


# --- a metric that is not defined on every episode -------------------------------------------------


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
