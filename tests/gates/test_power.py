"""The chance to pass a suite: which criteria are simulated, at which values, and what they give together."""

from __future__ import annotations

import pytest

from rl_eval.errors import InputError
from rl_eval.gates import load_suite
from rl_eval.gates.power import chance_of_all, suite_power
from tests.gates.fake_runs import write_suite

SMALL_THREAT = "{name: threat, train_flows: 1000, validation_flows: 500, test_flows: 600}"


def suite_of(tmp_path, *criteria, env="cartpole", head=""):
    lines = "\n".join(f"  c{number}: {{{criterion}}}" for number, criterion in enumerate(criteria))
    text = f"rl_eval: 1\nenv: {env}\nepisodes: {{return_bounds: [0, 500]}}\n{head}\ncriteria:\n{lines}\n"
    return load_suite(write_suite(tmp_path / "s.yaml", text), label="suites/s.yaml")


def simulate(suite, true=None, std=None, gates=100, **options):
    return suite_power(suite, true=true or {}, std=std or {}, gates=gates, **options)


def only(result):
    ((_, (row,)),) = result.groups
    return row


def test_what_is_close_to_the_bar_passes_less_often(tmp_path):
    result = simulate(suite_of(tmp_path, "metric: mean_return, at_least: 400"))
    values = [row.true for _, (row,) in result.groups]
    passes = [row.power.passes for _, (row,) in result.groups]
    assert values == [425, 450, 475]
    assert passes == sorted(passes)
    assert passes[0] < 0.95 < passes[-1]


def test_the_same_seed_gives_the_same_chances(tmp_path):
    suite = suite_of(tmp_path, "metric: mean_return, at_least: 400")
    once, again, other = (simulate(suite, {"c0": 430}, seed=seed) for seed in (1, 1, 2))
    assert once == again
    assert only(once).power != only(other).power


def test_a_policy_below_the_bar_passes_with_alpha_at_most(tmp_path):
    suite = suite_of(tmp_path, "metric: mean_return, at_least: 400", head="alpha: 0.01")
    power = only(simulate(suite, {"mean_return": 395}, gates=200)).power
    assert power.passes <= 0.05
    assert power.fails > power.passes


def test_a_name_is_that_of_a_criterion_before_that_of_a_metric(tmp_path):
    suite = suite_of(
        tmp_path,
        "metric: mean_return, at_least: 400",
        "metric: mean_return, at_least: 450",
        "metric: mean_length, at_least: 1",
    )
    ((_, rows),) = simulate(suite, {"mean_return": 480, "c1": 490}, gates=10).groups
    assert [(row.criterion, row.true) for row in rows] == [("c0", 480), ("c1", 490)]


def test_a_smaller_deviation_passes_more_often(tmp_path):
    suite = suite_of(tmp_path, "metric: mean_return, at_least: 400")
    wide, narrow = (only(simulate(suite, {"c0": 410}, std)).power for std in ({}, {"c0": 60}))
    assert narrow.passes > wide.passes + 0.2


@pytest.mark.parametrize(
    ("true", "std", "named"),
    [
        ({"c7": 0.5}, {}, "--true c7"),
        ({}, {"mean_retrun": 0.5}, "mean_return"),
        ({"c1": 0.5}, {}, "c1 cannot be simulated"),
        ({"c0": 501}, {}, "[0, 500]"),
        ({"c0": 450}, {"c0": 400}, "standard deviation"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, true, std, named):
    suite = suite_of(tmp_path, "metric: mean_return, at_least: 400", "metric: median_return, at_least: 1")
    with pytest.raises(InputError) as error:
        simulate(suite, true, std, gates=2)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_criteria_that_cannot_be_simulated_are_named(tmp_path):
    suite = suite_of(
        tmp_path,
        "metric: recall, at_least: 0.5",
        'metric: f1, better_than: "constant:1"',
        "metric: mcc, at_least: 0.1",
        "metric: f1_seed_mean, at_least: 0.5",
        "metric: training.wall_s, at_most: 9",
        env=SMALL_THREAT,
        head="runs: {count: 8}",
    )
    result = simulate(suite, gates=5)
    assert set(result.not_simulated) == {"c1", "c2", "c3", "c4"}
    assert {row.criterion for _, rows in result.groups for row in rows} == {"c0"}
    assert result.by_evidence == 2


def test_a_difference_to_a_reference_is_simulated_as_one(tmp_path):
    suite = suite_of(tmp_path, "metric: mean_return, better_than: random, margin: 20")
    worse, better = (only(simulate(suite, {"c0": gain}, {"c0": 60}, gates=60)) for gain in (10, 60))
    assert better.threshold == 20
    assert better.power.passes > 0.9
    assert worse.power.passes < 0.1


@pytest.mark.parametrize(("factor", "gain"), [(2, 60), (0.5, 60)])
def test_a_difference_to_a_multiple_is_simulated_as_one(tmp_path, factor, gain):
    suite = suite_of(tmp_path, f"metric: mean_return, better_than: random, factor: {factor}, margin: 20")
    worse, better = (only(simulate(suite, {"c0": true}, {"c0": 60}, gates=60)) for true in (10, gain))
    assert better.power.passes > 0.9
    assert worse.power.passes < 0.1
    with pytest.raises(InputError, match="outside"):  # 500 less 0.5 or 2 times 0 is the most
        simulate(suite, {"c0": 501}, {"c0": 60}, gates=2)
    simulate(suite, {"c0": -factor * 499}, gates=2)


def test_the_share_of_positive_cases_is_that_of_the_test_set_or_stated(tmp_path):
    suite = suite_of(tmp_path, "metric: recall, at_least: 0.5", env=SMALL_THREAT)
    rare, common = (
        only(simulate(suite, {"c0": 0.75}, prevalence=share, gates=60)).power.median_units for share in (None, 0.6)
    )
    assert rare > 2 * common


@pytest.mark.parametrize(("true", "passes"), [(0.55, 1.0), (0.45, 0.0)])
def test_a_set_that_is_played_whole_is_decided_by_its_own_value(tmp_path, true, passes):
    suite = suite_of(tmp_path, "metric: accuracy, at_least: 0.5", env=SMALL_THREAT, head="population: set")
    power = only(simulate(suite, {"c0": true}, gates=20)).power
    assert power.passes == passes
    assert power.inconclusive == 0


def test_chances_of_all_criteria():
    independent, least, most = chance_of_all([0.8, 0.9])
    assert (independent, least, most) == pytest.approx((0.72, 0.7, 0.8))
    assert chance_of_all([0.2, 0.3])[1] == 0
