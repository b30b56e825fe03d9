"""What was to be held out and was not: refused, left out, or told of."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval import domains
from rl_eval.exposure import Exposure, Fingerprints, fingerprint_cases, write_exposure
from rl_eval.gates import judge, load_suite, named_runs
from rl_eval.gates.arena import Arena
from tests.gates.fake_runs import write_run, write_suite

THREAT = {"name": "threat", "train_flows": 2000, "validation_flows": 500, "test_flows": 2000}
LEAKED = 300


def suite(tmp_path, leaks, env, criterion, head=""):
    text = f"rl_eval: 1\nenv: {env}\nepisodes: {{return_bounds: [0, 500]}}\ncontrols: []\nleaks: {leaks}\n{head}"
    return load_suite(write_suite(tmp_path / "s.yaml", f"{text}criteria:\n  c: {{{criterion}}}\n"))


def of_cases(tmp_path):
    """A run that has seen some cases of the gate."""
    config = domains.validate(THREAT)
    run = write_run(tmp_path / "run", THREAT, rule=np.zeros(1), bias=(1.0, 0.0, 0.0, 0.0))
    exact, near = fingerprint_cases(config, "test")
    train = Fingerprints.from_hashes(exact[:LEAKED], near[:LEAKED])
    none = np.empty(0, np.int64)
    write_exposure(run.path, Exposure(True, train, Fingerprints.empty(), none, none))
    return run


@pytest.mark.parametrize("population", ["source", "set"])
def test_leaked_cases_are_left_out_of_every_number(tmp_path, population):
    run = of_cases(tmp_path)
    flows = "{name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}"

    def found(leaks, by):
        criterion = f"metric: accuracy, at_least: 0.5, by: {by}"
        asked = suite(tmp_path, leaks, flows, criterion, f"population: {population}\n")
        return judge(asked, named_runs(asked, [run.path])).criteria

    criterion, held_out = found("drop", "estimate")
    assert (criterion.decision, criterion.units) == ("PASS", 2000 - LEAKED)
    assert (held_out.decision, held_out.units) == ("PASS", 2000)
    assert "300 of 2,000 gate cases (15.0 %) were seen before" in held_out.detail
    assert held_out.detail.endswith("left out")
    criterion, _ = found("drop", "evidence")
    assert (criterion.decision, criterion.units_max) == ("PASS", 2000 - LEAKED)
    criterion, held_out = found("report", "estimate")
    assert (criterion.units, held_out.decision) == (2000, "PASS")


def test_nothing_is_judged_by_what_has_leaked(tmp_path):
    run = of_cases(tmp_path)
    flows = "{name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}"
    asked = suite(tmp_path, "refuse", flows, "metric: accuracy, at_least: 0.5")
    criterion, held_out = judge(asked, named_runs(asked, [run.path])).criteria
    assert (criterion.decision, held_out.decision) == ("ERROR", "ERROR")
    assert criterion.estimate is None
    assert criterion.detail == held_out.detail
    assert "say `leaks: drop` to leave them out" in held_out.detail


def test_episodes_whose_seeds_were_trained_on_are_left_out(tmp_path):
    asked = suite(tmp_path, "drop", "cartpole", "metric: mean_return, at_least: 490")
    run = write_run(tmp_path / "run")
    arena = Arena(asked, asked.judged)
    gate = list(arena.seeds)
    arena.close()
    none = np.empty(0, np.int64)
    trained = np.array(gate[:10], np.int64)
    write_exposure(run.path, Exposure(False, Fingerprints.empty(), Fingerprints.empty(), trained, none))
    criterion, held_out = judge(asked, named_runs(asked, [run.path])).criteria
    assert (criterion.units_max, held_out.units) == (390, 400)
    assert "10 by their seed" in held_out.detail


def test_a_run_without_a_record_is_not_called_held_out(tmp_path):
    run = write_run(tmp_path / "run")
    asked = suite(tmp_path, "refuse", "cartpole", "metric: mean_return, at_least: 400")
    criterion, held_out = judge(asked, named_runs(asked, [run.path])).criteria
    assert (criterion.decision, held_out.decision) == ("PASS", "ERROR")
    assert "has no seen.npz" in held_out.detail
    criterion, held_out = judge(asked, named_runs(asked, ["random"])).criteria
    assert held_out.decision == "PASS"
    assert held_out.detail.startswith("not checked: the policy comes from elsewhere")
