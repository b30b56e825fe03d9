"""Policies get the data of a suite through the preprocessing of their training, also as exports and references."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest

from rl_eval.cli import main
from rl_eval.domains import domain, validate
from rl_eval.gates.suite_data import environment_to_judge
from rl_eval.policy import _onnx_metadata, identity, preprocessing
from tests.gates.suite_data.months import judge, write_csv, write_suite


def with_metadata(file, change):
    """A copy of an ONNX file; `change` takes what its metadata says and may alter it."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(file)
    (entry,) = [one for one in model.metadata_props if one.key == "rl_eval"]
    about = json.loads(entry.value)
    change(about)
    entry.value = json.dumps(about)
    copy = file.with_name("changed.onnx")
    onnx.save(model, copy)
    return copy


@pytest.mark.parametrize("month", ["jan", "feb", "march"])
def test_the_export_is_judged_as_its_run_is(months, export, tmp_path, month):
    folder, run = months
    suite = write_suite(tmp_path / "s.yaml", env={"path": str(folder / f"{month}.csv")}, episodes={"min": 5})
    (own, _), (exported, held_out) = (judge(suite, spec) for spec in (run.path, f"onnx:{export}"))
    assert (exported.decision, exported.estimate, exported.units) == (own.decision, own.estimate, own.units)
    assert ("its preprocessing was applied" in held_out.detail) == (month != "jan")
    assert (own.estimate < 0.1) == (month == "feb")


def test_a_policy_of_a_run_without_its_preprocessing_is_refused_also_as_a_reference(months, export, tmp_path):
    folder, run = months
    env = {"path": str(folder / "jan.csv")}
    incomplete = tmp_path / "run"
    shutil.copytree(run.path, incomplete)
    (incomplete / "preprocessing.json").unlink()
    without = with_metadata(export, lambda about: about.pop("preprocessing"))
    f1, _ = judge(write_suite(tmp_path / "s.yaml", env=env), f"onnx:{without}")
    assert (f1.decision, "preprocessing is missing" in f1.detail) == ("ERROR", True)
    keys = {"env": env, "judge_on": {"path": str(folder / "march.csv")}}
    for reference in (f"onnx:{without}", str(incomplete)):
        criteria = {"f1": {"metric": "f1", "better_than": reference, "by": "estimate"}}
        for policy in ("baseline:logistic_regression", run.path):
            f1, _ = judge(write_suite(tmp_path / "s.yaml", criteria=criteria, **keys), policy)
            assert (f1.decision, reference in f1.detail) == ("ERROR", True)
            assert "preprocessing is missing" in f1.detail


def test_a_damaged_preprocessing_on_the_runs_own_data_is_not_called_other_data(months, tmp_path):
    folder, run = months
    damaged = tmp_path / "run"
    shutil.copytree(run.path, damaged)
    fitted = json.loads((damaged / "preprocessing.json").read_text())
    (damaged / "preprocessing.json").write_text(json.dumps({**fitted, "numeric": []}))
    for env in ({}, {"path": str(folder / "jan.csv")}):
        f1, _ = judge(write_suite(tmp_path / "s.yaml", env=env), damaged)
        assert (f1.decision, "preprocessing" in f1.detail) == ("ERROR", True)
        assert "not what it was trained on" not in f1.detail


def test_an_export_of_other_columns_is_refused_as_its_run_is(months, export, tmp_path):
    other = write_csv(tmp_path / "other.csv", "jan", columns=("size", "duration"))
    f1, _ = judge(write_suite(tmp_path / "s.yaml", env={"path": str(other)}), f"onnx:{export}")
    assert f1.decision == "ERROR"
    assert "port" in f1.detail


def test_a_reference_gets_observations_of_its_own(months, export, tmp_path):
    folder, run = months
    suite = write_suite(tmp_path / "s.yaml", env={"path": str(folder / "march.csv")})
    expected = judge(suite, run.path)[0].estimate
    for spec in (str(run.path), f"onnx:{export}"):
        criteria = {"f1": {"metric": "f1", "better_than": spec, "by": "estimate"}}
        f1, _ = judge(write_suite(tmp_path / "r.yaml", env=suite.spec.env, criteria=criteria), "constant:1")
        assert f1.threshold == expected


def test_a_long_preprocessing_lies_beside_the_file(months, export, tmp_path, monkeypatch, capsys):
    folder, run = months
    monkeypatch.setattr(_onnx_metadata, "MAX_EMBEDDED_BYTES", 100)
    file = tmp_path / "policy.onnx"
    assert main(["export", str(run.path), "--onnx", str(file)]) == 0
    beside = tmp_path / "policy.onnx.preprocessing.json"
    assert str(beside) in capsys.readouterr().out.replace("\n", "")
    fitted = json.loads((run.path / "preprocessing.json").read_text())
    assert json.loads(beside.read_text()) == preprocessing(f"onnx:{file}") == preprocessing(f"onnx:{export}") == fitted
    suite, before = write_suite(tmp_path / "s.yaml", env={"path": str(folder / "march.csv")}), identity(f"onnx:{file}")
    assert judge(suite, f"onnx:{file}")[0].estimate == judge(suite, run.path)[0].estimate
    beside.write_text(beside.read_text().replace("size", "port", 1))
    assert "SHA-256 differs" in judge(suite, f"onnx:{file}")[0].detail
    assert identity(f"onnx:{file}") != before  # no verdict on it is in the cache
    beside.write_bytes(bytes(_onnx_metadata.MAX_PREPROCESSING_BYTES + 1))
    assert "larger than 16 MiB" in judge(suite, f"onnx:{file}")[0].detail
    beside.unlink()
    assert f"{beside} cannot be read" in judge(suite, f"onnx:{file}")[0].detail


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: about.update(preprocessing=3), "metadata that cannot be read"),
        (lambda about: about.update(preprocessing={"json": "{}"}), "metadata that cannot be read"),
        (lambda about: about["preprocessing"].update(json=3), "metadata that cannot be read"),
        (lambda about: about["preprocessing"].update(json="{}"), "SHA-256 differs"),
        (lambda about: about["preprocessing"].update(**described("[]")), "metadata that cannot be read"),
        (lambda about: about["preprocessing"].update(**described("{")), "metadata that cannot be read"),
        (lambda about: about["preprocessing"].update(**described("[" * 9**5)), "metadata that cannot be read"),
        (lambda about: about["preprocessing"].update(**described('{"clip": 7}')), "cannot be applied"),
    ],
)
def test_a_damaged_preprocessing_of_an_export_is_one_sentence(months, export, tmp_path, change, message):
    suite = write_suite(tmp_path / "s.yaml", env={"path": str(months[0] / "feb.csv")})
    f1, _ = judge(suite, f"onnx:{with_metadata(export, change)}")
    assert (f1.decision, message in f1.detail, "\n" in f1.detail) == ("ERROR", True, False)


def described(text):
    return {"json": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def test_the_preprocessing_of_the_run_is_applied(months, tmp_path):
    folder, run = months
    suite = write_suite(tmp_path / "march.yaml", env={"path": str(folder / "march.csv")})
    env = environment_to_judge(suite, run)
    assert env.path == str(folder / "march.csv")
    threat = domain("threat")
    fitted = threat.preprocessing(validate(run.config["env"]))
    assert threat.preprocessing(env) == fitted
    assert threat.preprocessing(suite.judged) != fitted


def test_columns_are_taken_by_name_and_not_by_place(months, tmp_path):
    folder, run = months
    lines = (folder / "jan.csv").read_text().splitlines()
    swapped = tmp_path / "swapped.csv"
    swapped.write_text("\n".join(["port,size,label", *lines[1:]]) + "\n")
    env = environment_to_judge(write_suite(tmp_path / "s.yaml", env={"path": str(swapped)}), run)
    trained = validate(run.config["env"])
    threat = domain("threat")
    own, other = (threat.case_observations(config, "test") for config in (trained, env))
    assert np.abs(own - other[:, ::-1]).max() < 0.1  # fitted means differ a little between the columns
    assert np.abs(own - other).mean() > 0.5


@pytest.mark.parametrize("change", ["edited", "not recorded"])
def test_a_preprocessing_that_training_did_not_write_is_refused(months, tmp_path, change):
    folder, run = months
    shutil.copytree(run.path, tmp_path / "run")
    file = tmp_path / "run" / ("preprocessing.json" if change == "edited" else "run.json")
    values = json.loads(file.read_text())
    if change == "edited":
        values["numeric"][0]["mean"] += 0.001
    else:
        del values["files_sha256"]["preprocessing.json"]
    file.write_text(json.dumps(values))
    for path in (folder / "jan.csv", folder / "feb.csv", None):
        suite = write_suite(tmp_path / "s.yaml", env={} if path is None else {"path": str(path)}, leaks="report")
        f1, _ = judge(suite, tmp_path / "run")
        assert (f1.decision, "SHA-256" in f1.detail) == ("ERROR", True)


def test_a_reference_whose_preprocessing_training_did_not_write_is_refused(months, tmp_path):
    folder, run = months
    shutil.copytree(run.path, tmp_path / "run")
    file = tmp_path / "run" / "preprocessing.json"
    values = json.loads(file.read_text())
    values["numeric"][0]["mean"] += 0.001
    file.write_text(json.dumps(values))
    criteria = {"f1": {"metric": "f1", "better_than": str(tmp_path / "run"), "by": "estimate"}}
    suite = write_suite(tmp_path / "s.yaml", env={"path": str(folder / "march.csv")}, criteria=criteria)
    f1, _ = judge(suite, "constant:1")
    assert (f1.decision, "SHA-256" in f1.detail) == ("ERROR", True)
