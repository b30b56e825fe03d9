"""What a verdict says about its test set, and what it takes for granted."""

from dataclasses import replace

import pytest

from rl_eval.gates import NoRunError, load_suite, newest_group
from rl_eval.gates.premises import assumptions, describe_test_set
from rl_eval.gates.verdict import item_verdict
from tests.gates.fake_runs import write_run, write_suite


def suite(tmp_path, text):
    return load_suite(write_suite(tmp_path / "s.yaml", f"rl_eval: 1\n{text}\n"))


POLE = "env: cartpole\nepisodes: {return_bounds: [0, 500]}\ncriteria:\n  c: {metric: mean_return, at_least: 400}"
FLOWS = "env: threat\nruns: {count: 8}\ncriteria:\n  f1: {metric: f1, at_least: 0.8}\n"


def text_of(checked, runs, units=None, unit=None):
    return describe_test_set(checked, runs, replace(item_verdict("s", "held_out"), units_max=units, unit=unit))


def test_the_test_set_is_named_by_its_size_and_source(tmp_path):
    run = write_run(tmp_path / "run")
    pole = suite(tmp_path, POLE + "\ngate_seed: 7")
    assert text_of(pole, [run], 400, "episode") == "400 episodes of cartpole, seeded by gate_seed 7"
    flows = suite(tmp_path, FLOWS)
    assert text_of(flows, [run], 40_000, "case") == "40,000 cases, the test part of threat"
    assert text_of(flows, [run]) == "the test part of threat"
    assert text_of(flows.on_part("validation"), [run]) == "the validation part of threat"
    assert text_of(pole.on_part("validation"), [run]).startswith("validation episodes of cartpole")
    csv = "{name: threat, data: csv, label: y%s}\ncriteria: {f1: {metric: f1, at_least: 0.1}}"
    unnamed = suite(tmp_path, f"env: {csv % ''}")
    assert text_of(unnamed, [run]) == f"the test part of the data of {run.path}, because the suite names none"
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(200)))
    named = suite(tmp_path, f"data_sha256: {'a' * 64}\nenv: {csv % f', path: {tmp_path}/a.csv'}")
    assert text_of(named, [run]) == f"the test part of {tmp_path}/a.csv, pinned by data_sha256"


@pytest.mark.parametrize(
    ("text", "contained", "absent"),
    [
        (POLE, ["episodes are independent", "does not change", "less than 0 or more than 500", "alpha"], ["allow"]),
        (POLE.replace("400", "400, by: estimate"), ["chance is not considered in c"], ["alpha", "draws"]),
        (FLOWS, ["cases are independent draws"], ["return", "normal"]),
        (FLOWS + "population: set", ["does not change"], ["draws"]),
        (FLOWS + "  s: {metric: f1_seed_std, at_most: 0.1, assume: normal}", ["normally distributed (s)"], ["gives"]),
        (FLOWS + "  s: {metric: f1_seed_mean, at_least: 0.1}", ["runs are independent results"], ["normal"]),
    ],
)  # fmt: skip
def test_what_is_assumed_follows_the_criteria(tmp_path, text, contained, absent):
    phrases = "; ".join(assumptions(suite(tmp_path, text)))
    assert all(phrase in phrases for phrase in contained)
    assert not any(phrase in phrases for phrase in absent)


def test_a_suite_without_a_run_knows_the_command_that_trains_one(tmp_path):
    with pytest.raises(NoRunError, match="no finished run") as caught:
        newest_group(suite(tmp_path, POLE), tmp_path)
    assert caught.value.command == "python train.py env=cartpole"
