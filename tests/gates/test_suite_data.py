"""The data that a suite names is what is judged, whatever the run was trained on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.cli import main
from rl_eval.domains import domain, validate
from rl_eval.errors import InputError
from rl_eval.gates import evaluate_suite, load_suite, named_runs, newest_group, parse_places, train_command, with_data
from rl_eval.gates.suite_data import data_sha256, environment_to_judge
from rl_eval.policy import _onnx_metadata, identity, preprocessing
from tests.gates.fake_runs import write_run
from tests.training.learn import learn

CSV = {"name": "threat", "data": "csv", "label": "label"}
TRAIN = ["agent=ppo", "env=threat", "env.data=csv", "env.label=label", "env.shift=50", "tracker=none", "seed=1"]
TRAIN += ["agent.network.widths=[8]", "lr=0.02", "total_steps=20000"]
FLAGS_ALL = (0.0, 1.0, 0.0, 0.0)


def write_csv(path, months, *, columns=("size", "port"), rows=1200, seed=0, shift=0.0):
    """Flows whose first column says in January that they are threats where it is large, in February where small."""
    values = np.random.default_rng(seed).uniform(size=(rows, len(columns)))
    labels = (values[:, 0] > 0.5) == (months == "jan")
    lines = [f"{','.join(f'{v + shift:.4f}' for v in row)},{int(y)}" for row, y in zip(values, labels, strict=True)]
    path.write_text("\n".join([",".join([*columns, "label"]), *lines]) + "\n")
    return path


def write_suite(path, *, env=(), **keys):
    criteria = {"f1": {"metric": "f1", "at_least": 0.8}}
    values = {"rl_eval": 1, "env": {**CSV, "shift": 50, **dict(env)}, "controls": [], "criteria": criteria, **keys}
    path.write_text(yaml.safe_dump(values))
    return load_suite(path, path.name)


@pytest.fixture(scope="module")
def months(tmp_path_factory):
    """A run that was trained on January, and the files of three months."""
    folder = tmp_path_factory.mktemp("months")
    jan = write_csv(folder / "jan.csv", "jan")
    write_csv(folder / "feb.csv", "feb", seed=1)
    write_csv(folder / "march.csv", "jan", seed=2, shift=0.1)
    run = learn([*TRAIN, f"env.path={jan}"], folder / "outputs")
    return folder, run


def judge(suite, *specs):
    verdict = evaluate_suite(suite, named_runs(suite, specs))
    return verdict.criteria[0], verdict.criteria[-1]


def test_the_months_that_the_suite_names_are_judged(months, tmp_path):
    folder, run = months
    f1, held_out = judge(write_suite(tmp_path / "jan.yaml", env={"path": str(folder / "jan.csv")}), run.path)
    assert f1.estimate > 0.9
    assert "other data" not in held_out.detail
    f1, held_out = judge(write_suite(tmp_path / "feb.yaml", env={"path": str(folder / "feb.csv")}), run.path)
    assert (f1.decision, f1.estimate < 0.1) == ("FAIL", True)
    assert f"{folder / 'jan.csv'}) was trained on other data" in held_out.detail


@pytest.fixture(scope="module")
def export(months, tmp_path_factory):
    """The run of January as an ONNX file."""
    pytest.importorskip("onnxruntime")
    file = tmp_path_factory.mktemp("export") / "policy.onnx"
    assert main(["export", str(months[1].path), "--onnx", str(file)]) == 0
    return file


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


@settings(max_examples=25)
@given(position=st.integers(0, 2**20), flip=st.integers(1, 255))
def test_one_changed_byte_of_pinned_data_is_refused(tmp_path_factory, position, flip):
    folder = tmp_path_factory.mktemp("pinned")
    data = write_csv(folder / "flows.csv", "jan", rows=100)
    text = data.read_bytes()
    pin = hashlib.sha256(text).hexdigest()
    suite = write_suite(folder / "s.yaml", env={"path": str(data)}, data_sha256=pin, leaks="report")
    assert judge(suite, "constant:0")[0].decision == "FAIL"
    at = position % len(text)
    data.write_bytes(text[:at] + bytes([text[at] ^ flip]) + text[at + 1 :])
    f1, _ = judge(suite, "constant:0")
    assert f1.decision == "ERROR"
    assert pin in f1.detail


def test_pinned_data_with_an_old_size_and_time_is_read_again(tmp_path):
    data = write_csv(tmp_path / "flows.csv", "jan", rows=200)
    good, times = data.read_bytes(), data.stat()
    keys = {"env": {"path": str(data)}, "leaks": "report"}
    pinned = write_suite(tmp_path / "s.yaml", data_sha256=hashlib.sha256(good).hexdigest(), **keys)
    expected = domain("threat").fingerprints(pinned.judged)
    flipped = b"".join(
        line[:-2] + bytes([line[-2] ^ 1]) + b"\n" if line[-2:-1] in b"01" else line for line in good.splitlines(True)
    )

    def replace_content(content):
        """Other content with the first size and time; again, where the clock of the file system has not gone on."""
        before = data.stat().st_ctime_ns
        while data.stat().st_ctime_ns == before:
            data.write_bytes(content)
            os.utime(data, ns=(times.st_atime_ns, times.st_mtime_ns))

    replace_content(flipped)
    assert domain("threat").fingerprints(write_suite(tmp_path / "t.yaml", **keys).judged) != expected
    replace_content(good)
    assert domain("threat").fingerprints(pinned.judged) == expected
    assert (data.stat().st_size, data.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)
    replace_content(flipped)
    assert domain("threat").fingerprints(pinned.judged) != expected


def test_the_data_of_a_run_must_be_the_pinned_data(months, tmp_path):
    folder, run = months
    pins = {month: hashlib.sha256((folder / f"{month}.csv").read_bytes()).hexdigest() for month in ("jan", "feb")}
    f1, _ = judge(write_suite(tmp_path / "jan.yaml", data_sha256=pins["jan"]), run.path)
    assert f1.decision == "PASS"
    f1, _ = judge(write_suite(tmp_path / "feb.yaml", data_sha256=pins["feb"]), run.path)
    assert (f1.decision, pins["jan"] in f1.detail) == ("ERROR", True)


def test_what_can_be_pinned(tmp_path):
    assert data_sha256(validate({"name": "cartpole"})) is None
    small = {"name": "threat", "train_flows": 200, "validation_flows": 200, "test_flows": 200}
    generated = [data_sha256(validate({**small, "data_seed": seed})) for seed in (0, 1, 0)]
    assert generated[0] == generated[2] != generated[1]
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "b.csv").write_text("2")
    several = data_sha256(validate({"name": "qase", "data": "qase", "path": str(tmp_path)}))
    lines = "".join(
        f"{hashlib.sha256(text).hexdigest()}  {name}\n" for text, name in ((b"1", "a.csv"), (b"2", "b.csv"))
    )
    assert several == hashlib.sha256(lines.encode()).hexdigest()


def test_a_pin_of_several_files_says_which_is_the_test_set(tmp_path):
    jan, feb = (str(write_csv(tmp_path / f"{month}.csv", month, rows=20)) for month in ("jan", "feb"))
    pins = [data_sha256(validate({**CSV, "path": one, "test_path": two})) for one, two in ((jan, feb), (feb, jan))]
    lines = [
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in ("jan.csv", "feb.csv")
    ]
    assert pins == [hashlib.sha256("".join(order).encode()).hexdigest() for order in (lines, lines[::-1])]


def test_a_pin_does_not_depend_on_whether_a_path_is_relative(tmp_path, monkeypatch):
    for month in ("jan", "feb"):
        write_csv(tmp_path / f"{month}.csv", month, rows=20)
    monkeypatch.chdir(tmp_path)
    jan, feb = str(tmp_path / "jan.csv"), str(tmp_path / "feb.csv")
    pins = {
        data_sha256(validate({**CSV, "path": one, "test_path": two}))
        for one, two in ((jan, feb), ("jan.csv", feb), (jan, "feb.csv"), ("jan.csv", "feb.csv"))
    }
    assert len(pins) == 1


@pytest.mark.parametrize("pin", ["abc", "A" * 64, "sha256:" + "0" * 64])
def test_a_pin_is_64_hexadecimal_digits(tmp_path, pin):
    with pytest.raises(InputError, match="data_sha256"):
        write_suite(tmp_path / "s.yaml", data_sha256=pin)


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
