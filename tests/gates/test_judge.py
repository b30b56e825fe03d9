"""Deciding criteria on runs whose policies are written by hand."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from rl_eval.gates import SuiteVerdict, judge, judge_one_run, load_suite, named_runs
from rl_eval.rollout import stream
from tests.gates.fake_runs import BALANCE, FALL, write_run, write_suite

THREAT = {"name": "threat", "train_flows": 2000, "validation_flows": 500, "test_flows": 2000}
SMALL_THREAT = "{name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}"


def suite(tmp_path, *criteria, env="cartpole", head=""):
    lines = "\n".join(f"  c{number}: {{{criterion}}}" for number, criterion in enumerate(criteria))
    fixed = "episodes: {fixed: 10}\n" if env == "cartpole" and "episodes" not in head else ""
    if "controls" not in head:
        head += "\ncontrols: []"  # test_controls.py is about those
    head += "\nleaks: report"  # runs written by hand have no record of what they have seen
    text = f"rl_eval: 1\nenv: {env}\ntrain: {{agent: ppo}}\n{fixed}{head}\ncriteria:\n{lines}\n"
    return load_suite(write_suite(tmp_path / "s.yaml", text), shown="suites/s.yaml")


def verdicts(suite, *runs, **keywords):
    return judge(suite, named_runs(suite, [run.path for run in runs]), **keywords).criteria[:-1]  # but held_out


def test_pass_and_fail_say_by_how_much(tmp_path):
    asked = suite(
        tmp_path,
        "metric: mean_return, at_least: 475, by: estimate",
        "metric: mean_return, at_least: 600, by: estimate",
        "metric: mean_length, at_most: 20, by: estimate",
        "metric: training.wall_s, at_most: 2",
        "metric: artefacts_complete, at_least: 1",
    )
    run = write_run(tmp_path / "run")
    found = verdicts(asked, run)
    assert [v.decision for v in found] == ["PASS", "FAIL", "FAIL", "FAIL", "PASS"]
    assert found[0].detail == "mean_return 500 over 10 episodes meets at_least 475"
    assert found[1].detail == "mean_return 500 over 10 episodes misses at_least 600 by 100"
    assert found[2].detail == "mean_length 500 over 10 episodes misses at_most 20 by 480"
    assert found[3].detail == "training.wall_s 2.5 misses at_most 2 by 0.5"
    assert (found[1].estimate, found[1].threshold, found[1].misses_by, found[1].units) == (500, 600, 100, 10)
    assert all(v.run == str(run.path) for v in found)


@pytest.mark.parametrize(
    ("threshold", "shown"), [(475.0000001, "475 over .* misses at_least 475.0000001"), (475, "meets")]
)
def test_a_near_miss_shows_the_digits_that_differ(threshold, shown):
    import re

    from rl_eval.gates.verdict import CriterionVerdict, decide

    blank = CriterionVerdict("s", "c", "mean_return", "ERROR", "", "estimate", "at_least")
    assert re.search(shown, decide(blank, 475.0, threshold, " over 10 episodes").detail)


def test_the_worst_run_decides(tmp_path):
    asked = suite(tmp_path, "metric: mean_return, at_least: 475, by: estimate", head="runs: {count: 2}")
    good, bad = write_run(tmp_path / "good", seed=1), write_run(tmp_path / "bad", seed=2, rule=FALL)
    (found,) = verdicts(asked, good, bad)
    assert (found.decision, found.run) == ("FAIL", str(bad.path))
    assert "the worst of 2 runs" in found.detail


def test_spread_over_runs(tmp_path):
    asked = suite(
        tmp_path,
        "metric: mean_return, at_least: 1, by: estimate",
        "metric: mean_return_seed_std, at_most: 10, by: estimate",
        "metric: mean_return_seed_variance, at_most: 1e6, by: estimate",
        head="runs: {count: 2}",
    )
    runs = [write_run(tmp_path / "good", seed=1), write_run(tmp_path / "bad", seed=2, rule=FALL)]
    _, std, variance = verdicts(asked, *runs)
    means = [verdicts(asked, run)[0].estimate for run in runs]
    assert std.estimate == pytest.approx(np.std(means, ddof=1))
    assert (std.decision, std.units, variance.decision) == ("FAIL", 2, "PASS")
    assert verdicts(asked, runs[0])[1].decision == "ERROR"


def test_repeats_of_one_run_spread_by_nothing(tmp_path):
    asked = suite(
        tmp_path,
        "metric: mean_return, at_least: 1, by: estimate",
        "metric: same_seed_return_std, at_most: 0, by: estimate",
        head="runs: {count: 2, same_seed: true}",
    )
    found = verdicts(asked, write_run(tmp_path / "a", rule=FALL), write_run(tmp_path / "b", rule=FALL))
    assert (found[1].decision, found[1].estimate) == ("PASS", 0.0)


def test_every_policy_plays_the_same_episodes_once(tmp_path, monkeypatch):
    seen = []

    def recorded(*arguments, **keywords):
        seen.append(keywords["seeds"])
        return stream(*arguments, **keywords)

    monkeypatch.setattr("rl_eval.gates.arena.stream", recorded)
    asked = suite(
        tmp_path,
        "metric: mean_return, at_least: 1, by: estimate",
        "metric: min_return, better_than: [random, 'constant:0'], by: estimate",
        "metric: mean_return, better_than: random, by: estimate",
        head="runs: {count: 2}",
    )
    verdicts(asked, write_run(tmp_path / "a", seed=1, rule=FALL), write_run(tmp_path / "b", seed=2, rule=FALL))
    assert len(seen) == 4  # two runs, two references
    assert all(seeds[:10] == seen[0][:10] for seeds in seen)


def test_better_than_a_reference_by_more_than_the_margin(tmp_path):
    asked = suite(
        tmp_path,
        "metric: mean_return, better_than: 'constant:*', by: estimate",
        "metric: mean_return, better_than: 'constant:1', margin: 1000, by: estimate",
        "metric: mean_return, better_than: 'baseline:none', by: estimate",
    )
    beats, misses, error = verdicts(asked, write_run(tmp_path / "run"))
    assert (beats.decision, beats.direction) == ("PASS", "better_than")
    assert "constant:" in beats.detail
    assert misses.decision == "FAIL"
    assert misses.misses_by == pytest.approx(misses.threshold - 500)
    assert misses.threshold > 1000  # what constant:1 reaches, and the margin
    assert "with a margin of 1,000" in misses.detail
    assert error.decision == "ERROR"
    assert "baseline:none is not a baseline of cartpole" in error.detail


def test_a_policy_is_not_better_than_itself(tmp_path):
    asked = suite(tmp_path, "metric: mean_return, better_than: 'constant:1', by: estimate")
    (found,) = verdicts(asked, write_run(tmp_path / "run", rule=np.zeros(4), bias=(0.0, 1.0)))
    assert (found.decision, found.misses_by) == ("FAIL", 0.0)


def test_threat_criteria_over_the_whole_gate_set(tmp_path):
    asked = suite(
        tmp_path,
        "metric: f1, at_least: 0.8, by: estimate",
        "metric: false_positive_rate, at_most: 0.05, by: estimate",
        "metric: mcc, at_least: 0, by: estimate",
        "metric: mean_cost, better_than: 'constant:*', by: estimate",
        "metric: f1, better_than: 'baseline:logistic_regression', by: estimate",
        env=SMALL_THREAT,
    )
    alert_on_all = write_run(tmp_path / "run", THREAT, rule=np.zeros(1), bias=(0.0, 0.0, 0.0, 1.0))
    f1, fpr, mcc, cost, baseline = verdicts(asked, alert_on_all)
    assert (f1.decision, f1.units, f1.unit) == ("FAIL", 2000, "case")
    assert (fpr.decision, fpr.estimate) == ("FAIL", 1.0)
    assert mcc.decision == "ERROR"
    assert "mcc is undefined: the policy flagged all of the cases" in mcc.detail
    assert (cost.decision, cost.direction) == ("FAIL", "less_than")
    assert baseline.decision == "FAIL"
    assert "baseline:logistic_regression has 0." in baseline.detail


def test_fewer_episodes_than_the_gate_set(tmp_path):
    asked = suite(
        tmp_path, "metric: accuracy, at_least: 0, by: estimate", env=SMALL_THREAT, head="episodes: {fixed: 3}"
    )
    (found,) = verdicts(asked, write_run(tmp_path / "run", THREAT, rule=np.zeros(1), bias=(1.0, 0.0, 0.0, 0.0)))
    assert found.units == 600


def test_a_damaged_policy_is_an_error_that_names_the_file(tmp_path):
    asked = suite(tmp_path, "metric: mean_return, at_least: 1, by: estimate", "metric: artefacts_complete, at_least: 1")
    run = write_run(tmp_path / "run")
    file = run.path / "snapshots" / "step_100" / "policy.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    reward, complete = verdicts(asked, run)
    assert reward.decision == "ERROR"
    assert "policy.safetensors is truncated or altered" in reward.detail
    assert complete.decision == "FAIL"
    assert complete.detail.startswith("artefacts_complete 0 misses at_least 1 by 1: ")


def test_judge_on_changes_what_is_played_alone(tmp_path):
    asked = suite(
        tmp_path,
        "metric: mean_return, at_most: 0, by: estimate",
        head="judge_on: {kwargs: {sutton_barto_reward: true}}",
    )
    (found,) = verdicts(asked, write_run(tmp_path / "run"))
    assert (found.decision, found.estimate) == ("PASS", 0.0)  # that reward is -1 at a fall, else 0


def test_judge_on_may_not_change_what_observations_mean(tmp_path):
    from rl_eval.domains import domain, validate

    asked = suite(tmp_path, "metric: f1, at_least: 0, by: estimate", env=SMALL_THREAT, head="judge_on: {data_seed: 1}")
    fingerprints = domain("threat").fingerprints(validate(THREAT))
    run = write_run(tmp_path / "run", THREAT, bias=(1.0, 0, 0, 0), info={"data_fingerprints": fingerprints})
    (found,) = verdicts(asked, run)
    assert "judge_on (data_seed) changes the training part" in found.detail
    changed = write_run(tmp_path / "b", THREAT, bias=(1.0, 0, 0, 0), info={"data_fingerprints": {"test": "other"}})
    (found,) = verdicts(suite(tmp_path, "metric: f1, at_least: 0, by: estimate", env=SMALL_THREAT), changed)
    assert "the test part of the data is not what" in found.detail


def test_data_that_is_gone_is_an_error_that_names_the_key(tmp_path):
    asked = suite(tmp_path, "metric: f1, at_least: 0, by: estimate", env=SMALL_THREAT)
    (tmp_path / "data").mkdir()
    run = write_run(tmp_path / "run", {**THREAT, "path": str(tmp_path / "data")})
    (tmp_path / "data").rmdir()
    (found,) = verdicts(asked, run)
    assert found.decision == "ERROR"
    assert "env.path=" in found.detail
    assert "does not exist here" in found.detail


def test_foreign_code_needs_trust(tmp_path):
    asked = suite(
        tmp_path,
        "metric: mean_return, at_least: 1, by: estimate",
        env="{id: 'gymnasium.envs.classic_control:CartPole-v1'}",
        head="episodes: {fixed: 2}",
    )
    run = write_run(tmp_path / "run", {"id": "gymnasium.envs.classic_control:CartPole-v1"})
    (found,) = verdicts(asked, run)
    assert (found.decision, "--trust" in found.detail) == ("ERROR", True)
    (found,) = verdicts(asked, run, trust=True)
    assert found.decision == "PASS"


def test_one_run_shows_what_it_can(tmp_path):
    asked = suite(
        tmp_path,
        "metric: mean_return, at_least: 475, by: estimate",
        "metric: mean_return_seed_std, at_most: 1, by: estimate",
        head="runs: {count: 2}",
    )
    calls = []
    run = write_run(tmp_path / "run", rule=BALANCE)
    found = judge_one_run(asked, run, on_episodes=lambda done, total, label: calls.append((done, total, label)))
    assert [v.decision for v in found.criteria] == ["PASS", "NEEDS_RUNS", "PASS"]
    assert found.criteria[1].detail == "python train.py env=cartpole agent=ppo -m seed=1,2 && pytest suites/s.yaml"
    assert calls[-1] == (10, 10, "s: run")
    assert not found.passed


def test_a_verdict_survives_json(tmp_path):
    asked = suite(tmp_path, "metric: mean_return, at_least: 475, by: estimate")
    found = judge_one_run(asked, write_run(tmp_path / "run"))
    assert SuiteVerdict.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.to_json()["passed"] is True
    row = found.rows()[0]
    assert {"suite", "criterion", "metric", "estimate", "direction", "threshold", "units", "decision", "detail"} <= set(
        row
    )


def test_controls_are_played_once_for_the_jobs_of_a_sweep(tmp_path, monkeypatch):
    judging = sys.modules["rl_eval.gates.judge"]  # the package names the function so
    played = []
    inner = judging.beside_criteria
    monkeypatch.setattr(judging, "beside_criteria", lambda *given: (played.append(1), inner(*given))[1])
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    criterion = "metric: mean_return, at_least: 475, by: estimate"
    asked = suite(tmp_path, criterion, head="controls: [random]")
    found = [judge(asked, named_runs(asked, [run.path])) for run in runs]
    assert len(played) == 1
    assert found[0].criteria[1] == found[1].criteria[1]
    for head in ("controls: [random]\ngate_seed: 5", "controls: ['constant:0']"):
        other = suite(tmp_path, criterion, head=head)
        judge(other, named_runs(other, [runs[0].path]))
    assert len(played) == 3
    criterion = f"metric: mean_return, better_than: {runs[1].path}, by: estimate"
    other = suite(tmp_path, criterion, head="controls: [random]")
    for _ in range(2):  # another run may change between the two
        judge(other, named_runs(other, [runs[0].path]))
    assert len(played) == 5
