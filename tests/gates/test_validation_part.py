"""A suite on the validation part: it plays no test episode, its verdict says so, and no ledger counts it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rl_eval import domains, seeding
from rl_eval.gates import Selection, SuiteVerdict, evaluate_run, evaluate_suite, evaluation, ledger, load_suite
from rl_eval.gates.controls import control_key
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.pytest_plugin._cache_key import verdict_key
from tests.gates.fake_runs import write_run, write_suite

POLE = """\
rl_eval: 1
env: cartpole
controls: [random]
episodes: {max: 20, min: 2, return_bounds: [0, 500]}
criteria:
  solved: {metric: mean_return, at_least: 300}
"""
FLOWS = """\
rl_eval: 1
env: {name: threat, train_flows: 500, validation_flows: 300, test_flows: 400}
controls: [random]
criteria:
  f1: {metric: f1, at_least: 0.3}
"""


@pytest.fixture(params=["seeds", "cases"])
def judged(request, tmp_path):
    """A suite and a run, of an environment that draws its episodes from seeds, or of one with a finite set of cases."""
    text = {"seeds": POLE, "cases": FLOWS}[request.param]
    suite = load_suite(write_suite(tmp_path / "s.yaml", text))
    values = suite.env.model_dump(mode="json")
    rule, bias = np.zeros(4), (0.0, 0.0)
    if request.param == "cases":
        copies = domains.make(suite.env, n_envs=1, part="train", autoreset=False)
        rule, bias = np.zeros(copies.single_observation_space.shape[0]), (0.0, 1.0, 0.0, 0.0)
        copies.close()
    return suite, write_run(tmp_path / "run", values, rule=rule, bias=bias, config={"validation": {"metric": "f1"}})


def test_no_copy_of_the_test_part_is_made_and_the_verdict_says_so(judged, tmp_path, monkeypatch):
    suite, run = judged
    parts, make = [], domains.make

    def recording(config, **options):
        parts.append(options["part"])
        return make(config, **options)

    monkeypatch.setattr(domains, "make", recording)
    monkeypatch.setattr(evaluation, "_CONTROL_VERDICTS", {})
    verdict = evaluate_run(suite.on_part("validation"), run)
    assert set(parts) == {"validation"}
    assert verdict.decision != "ERROR"
    assert "validation" in dict(verdict.facts())["validation"]
    assert (verdict.part, verdict.test_set) == ("validation", None)
    assert {row["part"] for row in verdict.rows()} == {"validation"}
    assert verdict.criteria[-1].criterion == "held_out"
    assert verdict.criteria[-1].decision == "NOT_CHECKED"
    assert SuiteVerdict.from_json(verdict.to_json()) == verdict
    assert ledger.record_verdict(tmp_path / "ledger", Selection((run,)), verdict) == verdict
    named = replace(verdict, test_set="0" * 64)  # even if it named a test set
    assert ledger.record_verdict(tmp_path / "ledger", Selection((run,)), named) == named
    assert not (tmp_path / "ledger").exists()


def test_the_ledger_counts_the_same_suite_on_its_test_set(judged, tmp_path):
    suite, run = judged
    verdict = ledger.record_verdict(tmp_path / "ledger", Selection((run,)), evaluate_run(suite, run))
    assert verdict.part == "test"
    assert ledger.use_of(tmp_path / "ledger", verdict.test_set) == ledger.TestSetUse(1, 1)


def test_the_episodes_are_apart_from_those_of_the_test_set_and_of_training(tmp_path):
    suite = load_suite(write_suite(tmp_path / "s.yaml", POLE.replace("max: 20", "max: 1000")))
    environments = {part: SuiteEnvironment(suite.on_part(part), suite.env) for part in ("test", "validation")}
    seeds = {part: environment.seeds for part, environment in environments.items()}
    assert seeds["test"] == seeding.episode_seeds(suite.gate_seed, 1000)
    assert seeds["validation"] == SuiteEnvironment(suite.on_part("validation"), suite.env).seeds
    select = seeding.episode_seeds(suite.gate_seed, 1000, "select")
    assert len({*seeds["test"], *seeds["validation"], *select}) >= 2998  # 31-bit seeds meet by chance


def test_the_cases_are_those_of_the_validation_part(tmp_path):
    suite = load_suite(write_suite(tmp_path / "s.yaml", FLOWS))
    cases = {part: SuiteEnvironment(suite.on_part(part), suite.env).units("case") for part in ("test", "validation")}
    assert cases == {"test": 400, "validation": 300}


def test_no_cache_takes_one_part_for_the_other(judged, monkeypatch):
    monkeypatch.setattr("rl_eval.pytest_plugin._cache_key.added_agents", list)  # or the fake agent stops caching
    suite, run = judged
    on_validation = suite.on_part("validation")
    keys = {verdict_key(each, Selection((run,))) for each in (suite, on_validation)}
    assert None not in keys
    assert len(keys) == 2
    assert len({control_key(each, SuiteEnvironment(each, each.env)) for each in (suite, on_validation)}) == 2
    verdicts = [evaluate_suite(each, Selection((run,))) for each in (suite, on_validation, suite)]
    assert verdicts[0].criteria == verdicts[2].criteria
    assert verdicts[0].criteria[0].estimate != verdicts[1].criteria[0].estimate


def test_a_pin_of_the_test_set_is_not_asked_of_the_validation_part(tmp_path):
    text = FLOWS.replace("controls", f"data_sha256: {'f' * 64}\ncontrols")
    suite = load_suite(write_suite(tmp_path / "s.yaml", text))
    selection = Selection((write_run(tmp_path / "run", suite.env.model_dump(mode="json")),))
    refused = evaluate_suite(suite, selection)
    assert "data_sha256 pins" in refused.criteria[0].detail
    played = evaluate_suite(suite.on_part("validation"), selection)
    assert "data_sha256" not in played.criteria[0].detail
    assert "data_sha256, which pins the test set, is not checked" in played.criteria[-1].detail
