"""The data that a suite names is what is judged, whatever the run was trained on."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from rl_eval.domains import domain, validate
from rl_eval.errors import InputError
from rl_eval.gates import newest_group, parse_places, train_command, with_data
from rl_eval.gates.suite_data import environment_to_judge
from tests.gates.fake_runs import write_run
from tests.gates.suite_data.months import CSV, FLAGS_ALL, judge, write_csv, write_suite


def test_the_months_that_the_suite_names_are_judged(months, tmp_path):
    folder, run = months
    f1, held_out = judge(write_suite(tmp_path / "jan.yaml", env={"path": str(folder / "jan.csv")}), run.path)
    assert f1.estimate > 0.9
    assert "other data" not in held_out.detail
    f1, held_out = judge(write_suite(tmp_path / "feb.yaml", env={"path": str(folder / "feb.csv")}), run.path)
    assert (f1.decision, f1.estimate < 0.1) == ("FAIL", True)
    assert f"{folder / 'jan.csv'}) was trained on other data" in held_out.detail


def test_a_suite_without_data_takes_the_named_one_else_that_of_the_run(months, tmp_path):
    folder, run = months
    suite = write_suite(tmp_path / "any.yaml", data="flows")
    f1, held_out = judge(suite, run.path)
    assert f1.estimate > 0.9
    assert "names no data" in held_out.detail
    assert str(folder / "jan.csv") in held_out.detail
    places = parse_places([f"flows={folder / 'feb.csv'}"], tmp_path)
    f1, held_out = judge(with_data(suite, places.of(suite)), run.path)
    assert f1.estimate < 0.1
    assert "names no data" not in held_out.detail


def test_a_policy_without_a_run_needs_data_to_be_judged_on(months, tmp_path):
    suite = write_suite(tmp_path / "any.yaml")
    f1, _ = judge(suite, "constant:1")
    assert (f1.decision, "--rl-data csv=PATH" in f1.detail) == ("ERROR", True)
    f1, _ = judge(with_data(suite, months[0] / "jan.csv"), "constant:1")
    assert f1.decision == "FAIL"


def test_data_with_other_columns_is_refused_by_name(months, tmp_path):
    folder, run = months
    other = write_csv(tmp_path / "other.csv", "jan", columns=("size", "duration"))
    f1, _ = judge(write_suite(tmp_path / "s.yaml", env={"path": str(other)}), run.path)
    assert f1.decision == "ERROR"
    assert "port" in f1.detail
    assert str(folder / "jan.csv") in f1.detail


def test_the_newest_run_is_not_taken_if_it_was_trained_on_other_data(months, tmp_path):
    folder, run = months
    feb = write_suite(tmp_path / "feb.yaml", env={"path": str(folder / "feb.csv")})
    with pytest.raises(InputError) as error:
        newest_group(feb, folder)
    for fact in (str(run.path), str(folder / "jan.csv"), str(folder / "feb.csv"), "--rl-run"):
        assert fact in str(error.value)
    jan = write_suite(tmp_path / "jan.yaml", env={"path": str(folder / "jan.csv")})
    assert [judged.path for judged in newest_group(jan, folder).runs] == [run.path]
    on_feb = write_suite(
        tmp_path / "on.yaml", env={"path": str(folder / "jan.csv")}, judge_on={"path": str(folder / "feb.csv")}
    )
    assert [judged.path for judged in newest_group(on_feb, folder).runs] == [run.path]
    assert environment_to_judge(on_feb, run).path == str(folder / "feb.csv")


def test_runs_with_other_test_parts_are_not_judged_together_without_data(tmp_path):
    suite = write_suite(tmp_path / "s.yaml", leaks="report")
    runs = []
    for month in ("jan", "feb"):
        env = {**CSV, "shift": 50, "path": str(write_csv(tmp_path / f"{month}.csv", month))}
        info = {"data_fingerprints": dict(domain("threat").fingerprints(validate(env)))}
        runs.append(write_run(tmp_path / month, env, rule=np.ones(2), bias=FLAGS_ALL, info=info))
    f1, _ = judge(suite, *(run.path for run in runs))
    assert (f1.decision, "differ" in f1.detail) == ("ERROR", True)


def test_own_data_that_has_changed_since_training_is_refused(tmp_path):
    jan = write_csv(tmp_path / "jan.csv", "jan")
    env = {**CSV, "shift": 50, "path": str(jan)}
    info = {"data_fingerprints": dict(domain("threat").fingerprints(validate(env)))}
    run = write_run(tmp_path / "run", env, rule=np.ones(2), bias=FLAGS_ALL, info=info)
    suite = write_suite(tmp_path / "s.yaml", leaks="report")
    assert judge(suite, run.path)[0].decision == "FAIL"
    write_csv(jan, "jan", seed=3)
    f1, _ = judge(suite, run.path)
    assert (f1.decision, "fingerprint differs" in f1.detail) == ("ERROR", True)


@pytest.mark.parametrize("recorded", [None, {}, [], "x", {"test": None}])
def test_own_data_whose_fingerprints_are_not_on_record_is_refused(months, tmp_path, recorded):
    run = months[1]
    info = {**run.info, "data_fingerprints": recorded}
    suite = write_suite(tmp_path / "s.yaml")
    assert environment_to_judge(suite, run)
    with pytest.raises(InputError, match="records no fingerprint"):
        environment_to_judge(suite, dataclasses.replace(run, info=info))


def test_errors_about_data_name_the_key_that_the_person_wrote(months, tmp_path):
    folder, _ = months
    jan, gone = str(folder / "jan.csv"), tmp_path / "gone.csv"
    on = write_suite(tmp_path / "on.yaml", env={"path": jan}, judge_on={"path": str(gone)})
    assert judge(on, "constant:1")[0].detail == f"{gone} does not exist: set judge_on.path to a file"
    of_suite = write_suite(tmp_path / "s.yaml", env={"path": str(gone)})
    assert "set env.path to" in judge(of_suite, "constant:1")[0].detail
    named = with_data(write_suite(tmp_path / "n.yaml", data="flows"), gone)
    assert "give another path with --rl-data flows=PATH" in judge(named, "constant:1")[0].detail


def test_data_whose_label_means_the_opposite_is_named(months, tmp_path):
    folder, run = months
    for month, is_named in (("feb", True), ("jan", False)):
        criteria = {"f1": {"metric": "f1", "at_least": 0.99999, "by": "estimate"}}
        suite = write_suite(
            tmp_path / "s.yaml", env={"path": str(folder / f"{month}.csv")}, criteria=criteria, leaks="report"
        )
        detail = judge(suite, run.path)[0].detail
        assert ("worse than chance" in detail) is is_named


def test_training_commands_use_the_named_data(tmp_path):
    suite = write_suite(tmp_path / "s.yaml")
    assert "<folder or file of the data>" in train_command(suite)
    data = write_csv(tmp_path / "jan.csv", "jan")
    assert f"env.path={data}" in train_command(with_data(suite, data))
    null = write_suite(tmp_path / "null.yaml", env={"path": None})
    assert train_command(with_data(null, data)).count("env.path=") == 1
    named = write_suite(tmp_path / "named.yaml", env={"path": str(data)})
    assert train_command(named).count("env.path=") == 1
    assert with_data(named, tmp_path / "elsewhere") is named
    generated = write_suite(tmp_path / "generated.yaml", env={"data": "synthetic", "label": None})
    assert with_data(generated, data) is generated
    assert os.fspath(data) not in train_command(generated)
