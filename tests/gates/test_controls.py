"""A suite that a useless policy passes fails; so does a suite that its attainable policy misses."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.gates.caveats import HANDFUL
from tests.gates.evidence_suites import SMALL_THREAT, suite
from tests.gates.fake_runs import write_suite

NSL_KDD = Path(__file__).resolve().parents[3] / "shared/data/nsl-kdd"


def item(suite, name, policy):
    criteria = evaluate_suite(suite, named_runs(suite, [policy])).criteria
    return next(verdict for verdict in criteria if verdict.criterion == name)


def controls(tmp_path, *criteria, specs='[random, "constant:*", untrained]', policy="random", **keywords):
    return item(suite(tmp_path, *criteria, controls=specs, **keywords), "controls", policy)


@pytest.mark.skipif(not NSL_KDD.exists(), reason="the NSL-KDD files are not here")
def test_f1_of_07_on_kddtest_is_vacuous_because_of_blocking_everything(tmp_path):
    env = f"{{name: threat, data: nsl_kdd, path: {NSL_KDD}}}"
    verdict = controls(tmp_path, "metric: f1, at_least: 0.7", env=env, episodes="", policy="baseline:block_all")
    assert verdict.decision == "FAIL"
    assert verdict.detail.startswith("vacuous: constant:1 passes every task criterion (f1 0.7")


def test_a_bar_that_doing_nothing_clears_is_vacuous(tmp_path):
    verdict = controls(tmp_path, "metric: accuracy, at_least: 0.5", env=SMALL_THREAT, episodes="")
    assert (verdict.decision, verdict.units_max) == ("FAIL", 8)
    assert verdict.detail.startswith("vacuous: constant:0 passes every task criterion (accuracy ")


def test_one_criterion_that_every_control_misses_is_enough(tmp_path):
    verdict = controls(
        tmp_path, "metric: accuracy, at_least: 0.6", "metric: recall, at_least: 0.6", env=SMALL_THREAT, episodes=""
    )
    assert (verdict.decision, verdict.units, verdict.units_max) == ("PASS", 8, 8)
    assert verdict.detail.endswith(", untrained:0-2; c1: constant:0")


def test_a_metric_that_is_undefined_for_a_control_is_not_passed(tmp_path):
    verdict = controls(tmp_path, "metric: mcc, at_least: 0.01", specs='"constant:*"', env=SMALL_THREAT, episodes="")
    assert verdict.decision == "PASS"


def test_a_control_is_not_better_than_itself_and_need_not_play_to_know(tmp_path):
    calls = []
    checked = suite(tmp_path, "metric: mean_return, better_than: 'constant:*'", controls='"constant:*"')
    criteria = evaluate_suite(
        checked, named_runs(checked, ["random"]), on_episodes=lambda done, total, label: calls.append(label)
    ).criteria
    assert [verdict.decision for verdict in criteria if verdict.criterion == "controls"] == ["PASS"]
    assert calls.count("s: constant:0") < 400  # as a reference alone


def test_returns_past_the_bounds_do_not_protect_a_suite_from_its_controls(tmp_path):
    # every return of `random` is past the unsafe bound, which would forbid a run to pass
    verdict = controls(
        tmp_path,
        "metric: mean_return, at_least: 110",
        specs="random",
        episodes="max: 200, return_bounds: [100, 500]",
    )
    assert verdict.decision == "PASS"
    vacuous = controls(
        tmp_path, "metric: mean_return, at_most: 5", specs="random", episodes="max: 200, return_bounds: [0, 4.9e1]"
    )
    assert vacuous.decision == "PASS"
    vacuous = controls(
        tmp_path, "metric: mean_return, at_most: 40", specs="random", episodes="max: 200, return_bounds: [0, 45]"
    )
    assert vacuous.decision == "FAIL"


def test_controls_stop_at_the_first_criterion_they_miss(tmp_path):
    calls = []
    checked = suite(
        tmp_path,
        "metric: mean_return, at_least: 475",
        "metric: mean_length, at_least: 1",
        episodes="max: 400, fixed: 400, return_bounds: [0, 500]",
        controls='["constant:0"]',
    )
    evaluate_suite(
        checked, named_runs(checked, ["constant:1"]), on_episodes=lambda done, total, label: calls.append((label, done))
    )
    assert max(done for label, done in calls if label == "s: constant:1") == 400
    assert max(done for label, done in calls if label == "s: constant:0") < 50


def test_a_custom_control_may_be_any_policy(tmp_path):
    verdict = controls(
        tmp_path,
        "metric: f1, at_least: 0.3",
        specs='["baseline:logistic_regression"]',
        env=SMALL_THREAT,
        episodes="",
    )
    assert verdict.decision == "FAIL"
    assert "vacuous: baseline:logistic_regression passes" in verdict.detail
    verdict = controls(tmp_path, "metric: f1, at_least: 0.3", specs='["baseline:none"]', env=SMALL_THREAT, episodes="")
    assert verdict.decision == "ERROR"
    assert "baseline:none is not a baseline of threat" in verdict.detail


def test_an_attainable_policy_must_pass(tmp_path):
    def attainable(criterion):
        head = 'attainable: "baseline:bayes"'
        return item(suite(tmp_path, criterion, env=SMALL_THREAT, episodes="", head=head), "attainable", "random")

    assert attainable("metric: f1, at_least: 0.5").decision == "PASS"
    verdict = attainable("metric: f1, at_least: 0.99")
    assert verdict.decision == "FAIL"
    assert verdict.detail.startswith("baseline:bayes, the policy that must pass (attainable), misses c0: f1 0.")


def test_the_items_of_a_suite(tmp_path):
    text = "rl_eval: 1\nenv: cartpole\n{head}criteria:\n  a: {{metric: mean_length, at_least: 1}}\n"
    default = load_suite(write_suite(tmp_path / "a.yaml", text.format(head="")))
    assert list(default.items) == ["a", "controls", "held_out"]
    assert default.spec.controls == ["random", "constant:*", "untrained"]
    suite_without_controls = load_suite(
        write_suite(tmp_path / "b.yaml", text.format(head="controls: []\nattainable: random\n"))
    )
    assert list(suite_without_controls.items) == ["a", "attainable", "held_out"]
    assert suite_without_controls.items["attainable"] == 4


def test_an_undecided_control_has_not_missed(tmp_path):
    """Two episodes decide nothing about a bar of 5, which random in fact clears."""
    verdict = controls(
        tmp_path, "metric: mean_return, at_least: 5", specs="[random]", episodes="max: 2, return_bounds: [0, 500]"
    )
    assert verdict.decision == "INCONCLUSIVE"
    assert "random on c0" in verdict.detail
    assert "allow more episodes (episodes.max)" in verdict.detail


def test_more_episodes_are_not_advised_where_the_whole_set_was_played(tmp_path):
    env, criterion = "{name: qase, cycles: 24}", "metric: apfd, better_than: 'baseline:failure_rate'"
    verdict = controls(tmp_path, criterion, env=env, specs="['baseline:optimal']", episodes="")
    assert verdict.decision == "INCONCLUSIVE"
    assert "episodes.max" not in verdict.detail
    assert "give more data; for data of a domain, population: set judges exactly this set" in verdict.detail


@pytest.mark.parametrize(
    ("keywords", "policy", "note"),
    [
        ({"controls": "[]"}, "constant:1", "controls: []"),
        ({"head": "alpha: 0.2"}, "constant:1", "alpha 0.2"),
        ({"episodes": "max: 100, return_bounds: [7.999, 500]"}, "constant:1", "return_bounds [7.999, 500]"),
        ({}, "constant:1", None),
    ],
)
def test_a_pass_names_the_choices_that_it_rests_on(tmp_path, keywords, policy, note):
    options = {"controls": '["constant:0"]', "episodes": "max: 100, return_bounds: [0, 500]", **keywords}
    verdict = item(suite(tmp_path, "metric: mean_return, at_least: 8", **options), "c0", policy)
    assert verdict.decision == "PASS"
    caveats = ("controls: []", "alpha", "return_bounds")
    assert [caveat in verdict.detail for caveat in caveats] == [bool(note) and caveat in note for caveat in caveats]


def test_bounds_far_from_the_bar_are_no_caveat(tmp_path):
    options = {"controls": '["random"]', "episodes": "max: 100, return_bounds: [0, 500]"}
    verdict = item(suite(tmp_path, "metric: mean_return, at_most: 400", **options), "c0", "constant:1")
    assert verdict.decision == "PASS"
    assert verdict.decided_at is not None
    assert verdict.decided_at <= HANDFUL
    assert "return_bounds" not in verdict.detail
