"""`::held_out`: leaked units are refused, left out or reported."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from rl_eval import domains
from rl_eval.exposure import (
    CaseObservations,
    Exposure,
    Fingerprints,
    case_views,
    fingerprint_cases,
    hash_rows,
    observations_of_cases,
    write_exposure,
)
from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.gates.suite_environment import SuiteEnvironment
from tests.gates.fake_runs import record_files, write_run, write_suite

THREAT = {"name": "threat", "train_flows": 2000, "validation_flows": 500, "test_flows": 2000}
LEAKED = 300


def suite(tmp_path, leaks, env, criterion, head=""):
    text = f"rl_eval: 1\nenv: {env}\nepisodes: {{return_bounds: [0, 500]}}\ncontrols: []\nleaks: {leaks}\n{head}"
    return load_suite(write_suite(tmp_path / "s.yaml", f"{text}criteria:\n  c: {{{criterion}}}\n"))


def leaky_run(tmp_path):
    """A run that was trained on some cases of the test set."""
    config = domains.validate(THREAT)
    counted = {"cases": {"train": LEAKED, "validation": 0}}
    run = write_run(tmp_path / "run", THREAT, rule=np.zeros(1), bias=(1.0, 0.0, 0.0, 0.0), info=counted)
    exact, views = fingerprint_cases(config, "test")
    train = Fingerprints.from_hashes(exact[:LEAKED], views[:LEAKED])
    none = np.empty(0, np.int64)
    write_exposure(run.path, Exposure(True, train, Fingerprints.empty(), none, none))
    return record_files(run.path)


def near_run(tmp_path):
    """A run that was trained on cases that differ in one field from cases of the test set."""
    config = domains.validate(THREAT)
    counted = {"cases": {"train": LEAKED, "validation": 0}}
    run = write_run(tmp_path / "run", THREAT, rule=np.zeros(1), bias=(1.0, 0.0, 0.0, 0.0), info=counted)
    cases = observations_of_cases(config, "test")
    rows = cases.rows[:LEAKED] + np.eye(cases.rows.shape[1])[0]
    train = Fingerprints.from_hashes(hash_rows(rows), case_views(CaseObservations(rows, cases.fields)))
    none = np.empty(0, np.int64)
    write_exposure(run.path, Exposure(True, train, Fingerprints.empty(), none, none))
    return record_files(run.path)


def test_nothing_is_judged_where_near_duplicates_are_leaks(tmp_path):
    run = near_run(tmp_path)
    flows = "{name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}"
    by_leaks = {}
    for leaks, head in (("refuse", ""), ("drop", ""), ("report", ""), ("refuse", "near_duplicates: {share: 0.15}\n")):
        checked = suite(tmp_path, leaks, flows, "metric: accuracy, at_least: 0.5, by: estimate", head)
        by_leaks[leaks, bool(head)] = evaluate_suite(checked, named_runs(checked, [run.path])).criteria
    criterion, held_out = by_leaks["refuse", False]
    assert (criterion.decision, held_out.decision, held_out.units) == ("ERROR", "ERROR", LEAKED)
    assert criterion.detail == held_out.detail
    criterion, held_out = by_leaks["drop", False]
    assert (criterion.units, held_out.decision) == (2000 - LEAKED, "PASS")
    criterion, held_out = by_leaks["report", False]
    assert (criterion.units, held_out.decision) == (2000, "PASS")
    criterion, held_out = by_leaks["refuse", True]
    assert (criterion.decision, criterion.units, held_out.decision) == ("PASS", 2000, "PASS")


@pytest.mark.parametrize("population", ["source", "set"])
def test_leaked_cases_are_left_out_of_every_number(tmp_path, population):
    run = leaky_run(tmp_path)
    flows = "{name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}"

    def judged(leaks, by):
        criterion = f"metric: accuracy, at_least: 0.5, by: {by}"
        checked = suite(tmp_path, leaks, flows, criterion, f"population: {population}\n")
        return evaluate_suite(checked, named_runs(checked, [run.path])).criteria

    criterion, held_out = judged("drop", "estimate")
    assert (criterion.decision, criterion.units) == ("PASS", 2000 - LEAKED)
    assert (held_out.decision, held_out.units) == ("PASS", 2000)
    assert "300 of 2,000 cases of the test set (15.0 %)" in held_out.detail
    assert held_out.detail.endswith("left out")
    criterion, _ = judged("drop", "evidence")
    assert (criterion.decision, criterion.units_max) == ("PASS", 2000 - LEAKED)
    criterion, held_out = judged("report", "estimate")
    assert (criterion.units, held_out.decision) == (2000, "PASS")


def test_nothing_is_judged_by_what_has_leaked(tmp_path):
    run = leaky_run(tmp_path)
    flows = "{name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}"
    checked = suite(tmp_path, "refuse", flows, "metric: accuracy, at_least: 0.5")
    criterion, held_out = evaluate_suite(checked, named_runs(checked, [run.path])).criteria
    assert (criterion.decision, held_out.decision) == ("ERROR", "ERROR")
    assert criterion.estimate is None
    assert criterion.detail == held_out.detail
    assert "set `leaks: drop` to leave them out" in held_out.detail


def test_episodes_whose_seeds_were_trained_on_are_left_out(tmp_path):
    checked = suite(tmp_path, "drop", "cartpole", "metric: mean_return, at_least: 490")
    run = write_run(tmp_path / "run")
    environment = SuiteEnvironment(checked, checked.judged)
    test_seeds = list(environment.seeds)
    environment.close()
    none = np.empty(0, np.int64)
    trained = np.array(test_seeds[:10], np.int64)
    write_exposure(run.path, Exposure(False, Fingerprints.empty(), Fingerprints.empty(), trained, none))
    record_files(run.path)
    criterion, held_out = evaluate_suite(checked, named_runs(checked, [run.path])).criteria
    assert (criterion.units_max, held_out.units) == (390, 400)
    assert "10 by their seed" in held_out.detail


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
@pytest.mark.parametrize("record", [None, b"PK"])
def test_nothing_is_judged_without_a_record_unless_the_suite_only_reports(tmp_path, leaks, record):
    run = write_run(tmp_path / "run")
    checked = suite(tmp_path, leaks, "cartpole", "metric: mean_return, at_least: 400")
    criterion, held_out = evaluate_suite(checked, named_runs(checked, [run.path])).criteria
    assert (criterion.decision, held_out.decision) == ("PASS", "PASS")
    (run.path / "seen.npz").unlink()
    if record is not None:
        (run.path / "seen.npz").write_bytes(record)
    criterion, held_out = evaluate_suite(checked, named_runs(checked, [run.path])).criteria
    assert "seen.npz" in held_out.detail
    assert held_out.decision == ("NOT_CHECKED" if leaks == "report" and record is None else "ERROR")
    if leaks == "report":
        assert criterion.decision == "PASS"
    else:
        assert (criterion.decision, criterion.estimate, criterion.detail) == ("ERROR", None, held_out.detail)


def test_a_policy_without_a_run_is_judged_unchecked(tmp_path):
    checked = suite(tmp_path, "refuse", "cartpole", "metric: mean_return, at_least: 400")
    criterion, held_out = evaluate_suite(checked, named_runs(checked, ["random"])).criteria
    assert (criterion.decision, held_out.decision, held_out.units) == ("FAIL", "NOT_CHECKED", 0)


@pytest.mark.parametrize(("limit", "noted"), [("", True), (", max_episode_steps: 50", False)])
def test_a_step_limit_that_nobody_chose_is_noted(tmp_path, limit, noted):
    if "Unlimited-v0" not in gym.registry:
        gym.register("Unlimited-v0", "gymnasium.envs.classic_control.cartpole:CartPoleEnv")
    checked = suite(
        tmp_path, "refuse", f"{{id: Unlimited-v0{limit}}}", "metric: mean_length, at_most: 20, by: estimate"
    )
    criterion, held_out = evaluate_suite(checked, named_runs(checked, ["constant:0"])).criteria
    assert (criterion.decision, held_out.decision) == ("PASS", "NOT_CHECKED")
    assert ("cut off after 1,000 steps" in held_out.detail) == noted
