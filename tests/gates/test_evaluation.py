"""Decisions on criteria, with runs whose policies are written by hand."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from rl_eval.gates import SuiteVerdict, evaluate_run, evaluate_suite, evaluation, named_runs
from rl_eval.gates.suite_data import environment_to_judge
from rl_eval.rollout import stream
from rl_eval.run import write_json
from tests.gates.estimate_suites import SMALL_THREAT, THREAT, suite, verdicts
from tests.gates.fake_runs import BALANCE, FALL, record_files, write_run


def test_pass_and_fail_say_by_how_much(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, at_least: 475, by: estimate",
        "metric: mean_return, at_least: 600, by: estimate",
        "metric: mean_length, at_most: 20, by: estimate",
        "metric: training.wall_s, at_most: 2",
        "metric: artefacts_complete, at_least: 1",
    )
    run = write_run(tmp_path / "run")
    decided = verdicts(checked, run)
    assert [v.decision for v in decided] == ["PASS", "FAIL", "FAIL", "FAIL", "PASS"]
    assert decided[0].detail.startswith("mean_return 500 over 10 episodes meets at_least 475; ")
    assert decided[1].detail == "mean_return 500 over 10 episodes misses at_least 600 by 100"
    assert decided[2].detail == "mean_length 500 over 10 episodes misses at_most 20 by 480"
    assert decided[3].detail == "training.wall_s 2.5 misses at_most 2 by 0.5"
    assert (decided[1].estimate, decided[1].threshold, decided[1].misses_by, decided[1].units) == (500, 600, 100, 10)
    assert all(v.run == str(run.path) for v in decided)


def test_the_worst_run_decides(tmp_path):
    checked = suite(tmp_path, "metric: mean_return, at_least: 475, by: estimate", head="runs: {count: 2}")
    good, bad = write_run(tmp_path / "good", seed=1), write_run(tmp_path / "bad", seed=2, rule=FALL)
    (verdict,) = verdicts(checked, good, bad)
    assert (verdict.decision, verdict.run) == ("FAIL", str(bad.path))
    assert "the worst of 2 runs" in verdict.detail


def test_spread_over_runs(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, at_least: 1, by: estimate",
        "metric: mean_return_seed_std, at_most: 10, by: estimate",
        "metric: mean_return_seed_variance, at_most: 1e6, by: estimate",
        head="runs: {count: 2}",
    )
    runs = [write_run(tmp_path / "good", seed=1), write_run(tmp_path / "bad", seed=2, rule=FALL)]
    _, std, variance = verdicts(checked, *runs)
    means = [verdicts(checked, run)[0].estimate for run in runs]
    assert std.estimate == pytest.approx(np.std(means, ddof=1))
    assert (std.decision, std.units, variance.decision) == ("FAIL", 2, "PASS")
    assert verdicts(checked, runs[0])[1].decision == "ERROR"


def test_repeats_of_one_run_spread_by_nothing(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, at_least: 1, by: estimate",
        "metric: same_seed_return_std, at_most: 0, by: estimate",
        head="runs: {count: 2, same_seed: true}",
    )
    _, spread = verdicts(checked, write_run(tmp_path / "a", rule=FALL), write_run(tmp_path / "b", rule=FALL))
    assert (spread.decision, spread.estimate) == ("PASS", 0.0)


def test_every_policy_plays_the_same_episodes_once(tmp_path, monkeypatch):
    played = []

    def recorded(*arguments, **keywords):
        played.append(keywords["seeds"])
        return stream(*arguments, **keywords)

    monkeypatch.setattr("rl_eval.gates.suite_environment.stream", recorded)
    checked = suite(
        tmp_path,
        "metric: mean_return, at_least: 1, by: estimate",
        "metric: min_return, better_than: [random, 'constant:0'], by: estimate",
        "metric: mean_return, better_than: random, by: estimate",
        head="runs: {count: 2}",
    )
    verdicts(checked, write_run(tmp_path / "a", seed=1, rule=FALL), write_run(tmp_path / "b", seed=2, rule=FALL))
    assert len(played) == 4  # two runs, two references
    assert all(seeds[:10] == played[0][:10] for seeds in played)


def test_better_than_a_reference_by_more_than_the_margin(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, better_than: 'constant:*', by: estimate",
        "metric: mean_return, better_than: 'constant:1', margin: 1000, by: estimate",
        "metric: mean_return, better_than: 'baseline:none', by: estimate",
    )
    beats, misses, error = verdicts(checked, write_run(tmp_path / "run"))
    assert (beats.decision, beats.direction) == ("PASS", "better_than")
    assert "constant:" in beats.detail
    assert misses.decision == "FAIL"
    assert misses.misses_by == pytest.approx(misses.threshold - 500)
    assert misses.threshold > 1000  # what constant:1 reaches, and the margin
    assert "with a margin of 1,000" in misses.detail
    assert error.decision == "ERROR"
    assert "baseline:none is not a baseline of cartpole" in error.detail


def test_a_policy_is_not_better_than_itself(tmp_path):
    checked = suite(tmp_path, "metric: mean_return, better_than: 'constant:1', by: estimate")
    (verdict,) = verdicts(checked, write_run(tmp_path / "run", rule=np.zeros(4), bias=(0.0, 1.0)))
    assert (verdict.decision, verdict.misses_by) == ("FAIL", 0.0)


def test_threat_criteria_over_the_whole_test_set(tmp_path):
    checked = suite(
        tmp_path,
        "metric: f1, at_least: 0.8, by: estimate",
        "metric: false_positive_rate, at_most: 0.05, by: estimate",
        "metric: mcc, at_least: 0, by: estimate",
        "metric: mean_cost, better_than: 'constant:*', by: estimate",
        "metric: f1, better_than: 'baseline:logistic_regression', by: estimate",
        env=SMALL_THREAT,
    )
    alert_on_all = write_run(tmp_path / "run", THREAT, rule=np.zeros(1), bias=(0.0, 0.0, 0.0, 1.0))
    f1, fpr, mcc, cost, baseline = verdicts(checked, alert_on_all)
    assert (f1.decision, f1.units, f1.unit) == ("FAIL", 2000, "case")
    assert (fpr.decision, fpr.estimate) == ("FAIL", 1.0)
    assert mcc.decision == "ERROR"
    assert "mcc is undefined: the policy flagged all of the cases" in mcc.detail
    assert (cost.decision, cost.direction) == ("FAIL", "less_than")
    assert baseline.decision == "FAIL"
    assert "baseline:logistic_regression has 0." in baseline.detail


def test_fewer_episodes_than_the_test_set(tmp_path):
    checked = suite(
        tmp_path, "metric: accuracy, at_least: 0, by: estimate", env=SMALL_THREAT, head="episodes: {fixed: 3}"
    )
    (verdict,) = verdicts(checked, write_run(tmp_path / "run", THREAT, rule=np.zeros(1), bias=(1.0, 0.0, 0.0, 0.0)))
    assert verdict.units == 600


def test_judge_on_changes_only_the_played_environment(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, at_most: 0, by: estimate",
        head="judge_on: {kwargs: {sutton_barto_reward: true}}",
    )
    (verdict,) = verdicts(checked, write_run(tmp_path / "run"))
    assert (verdict.decision, verdict.estimate) == ("PASS", 0.0)  # that reward is -1 at a fall, else 0


def test_other_training_data_changes_nothing_about_observations(tmp_path):
    from rl_eval.domains import domain, validate

    checked = suite(
        tmp_path, "metric: f1, at_least: 0, by: estimate", env=SMALL_THREAT, head="judge_on: {data_seed: 1}"
    )
    fingerprints = domain("threat").fingerprints(validate(THREAT))
    run = write_run(tmp_path / "run", THREAT, bias=(1.0, 0, 0, 0), info={"data_fingerprints": fingerprints})
    (verdict,) = verdicts(checked, run)
    assert (verdict.decision, "has no preprocessing.json" in verdict.detail) == ("ERROR", True)
    fitted = domain("threat").preprocessing(validate(THREAT))
    write_json(run.path / "preprocessing.json", fitted)
    run = record_files(run.path)
    (verdict,) = verdicts(checked, run)
    assert verdict.decision == "PASS"
    env = environment_to_judge(checked, run)
    assert env.data_seed == 1
    assert json.loads(json.dumps(domain("threat").preprocessing(env))) == json.loads(json.dumps(fitted))


@pytest.mark.parametrize(
    ("draw", "reported"), [("np.random.default_rng().random()", True), ("np.random.random()", False)]
)
@pytest.mark.parametrize("by", ["estimate", "evidence"])
def test_a_policy_that_the_seed_does_not_decide_is_reported(tmp_path, monkeypatch, draw, reported, by):
    (tmp_path / "their_policy.py").write_text(
        f"import numpy as np\ndef act(obs):\n    return np.full(len(obs), int({draw} < .5))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_policy", raising=False)
    head = "episodes: {min: 8, max: 8, fixed: 8, return_bounds: [0, 500]}"
    checked = suite(tmp_path, f"metric: mean_return, at_least: 1, by: {by}", head=head)
    spec = "python:their_policy:act"
    (verdict, _) = evaluate_suite(checked, named_runs(checked, [spec]), trust=True).criteria
    assert ("played again" in verdict.detail) is reported


def test_one_run_shows_what_it_can(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, at_least: 475, by: estimate",
        "metric: mean_return_seed_std, at_most: 1, by: estimate",
        head="runs: {count: 2}",
    )
    calls = []
    run = write_run(tmp_path / "run", rule=BALANCE)
    verdict = evaluate_run(checked, run, on_episodes=lambda done, total, label: calls.append((done, total, label)))
    assert [v.decision for v in verdict.criteria] == ["PASS", "NEEDS_RUNS", "PASS"]
    assert verdict.criteria[1].detail == "python train.py env=cartpole agent=ppo -m seed=1,2 && pytest suites/s.yaml"
    assert calls[-1] == (10, 10, "s: run")
    assert not verdict.passed


def test_a_verdict_survives_json(tmp_path):
    checked = suite(tmp_path, "metric: mean_return, at_least: 475, by: estimate")
    verdict = evaluate_run(checked, write_run(tmp_path / "run"))
    assert SuiteVerdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
    assert verdict.to_json()["passed"] is True
    row = verdict.rows()[0]
    assert {"suite", "criterion", "metric", "estimate", "direction", "threshold", "units", "decision", "detail"} <= set(
        row
    )


def test_controls_are_played_once_for_the_jobs_of_a_sweep(tmp_path, monkeypatch):
    played = []
    inner = evaluation.control_verdicts
    monkeypatch.setattr(evaluation, "control_verdicts", lambda *arguments: (played.append(1), inner(*arguments))[1])
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    criterion = "metric: mean_return, at_least: 475, by: estimate"
    checked = suite(tmp_path, criterion, head="controls: [random]")
    judged = [evaluate_suite(checked, named_runs(checked, [run.path])) for run in runs]
    assert len(played) == 1
    assert judged[0].criteria[1] == judged[1].criteria[1]
    for head in ("controls: [random]\ngate_seed: 5", "controls: ['constant:0']"):
        other = suite(tmp_path, criterion, head=head)
        evaluate_suite(other, named_runs(other, [runs[0].path]))
    assert len(played) == 3
    criterion = f"metric: mean_return, better_than: {runs[1].path}, by: estimate"
    other = suite(tmp_path, criterion, head="controls: [random]")
    for _ in range(2):  # another run may change between the two
        evaluate_suite(other, named_runs(other, [runs[0].path]))
    assert len(played) == 5
