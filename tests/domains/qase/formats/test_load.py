"""Files are recognised by their content; `rl-eval qase inspect` prints what they contain."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rl_eval.cli import main
from rl_eval.domains.qase.environment.features import FEATURES, extract_features
from rl_eval.domains.qase.environment_variables import data_path, read_variable
from rl_eval.domains.qase.formats.load import load
from rl_eval.errors import InputError
from tests.domains.qase.qase_api import CASE, EXPORT, V1, V2

ROOT = Path(__file__).resolve().parents[4]
RESULT = {"title": "x", "testops_ids": [7], "execution": {"status": "failed", "start_time": 1, "duration": 5}}


def reporter_folder(path, *results, **run):
    (path / "results").mkdir(parents=True)
    for i, result in enumerate(results):
        (path / "results" / f"{i}.json").write_text(json.dumps(result))
    (path / "run.json").write_text(json.dumps({"title": "nightly", **run}))
    return path


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.json", json.dumps(EXPORT), "a JSON export"),
        ("a.txt", json.dumps(EXPORT), "a JSON export"),
        ("a.csv", V1, "a CSV export, V1"),
        ("b.csv", V2, "a CSV export, V2"),
        ("mark.csv", "\ufeff" + V1.replace("\n", "\r\n"), "a CSV export, V1"),
        ("mark.json", "\ufeff" + json.dumps(EXPORT), "a JSON export"),
    ],
)
def test_exports_are_recognised_by_content(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content.encode())
    result = load(str(tmp_path / name))
    assert result.kinds == (kind,)
    assert [case.title for case in result.project.cases] == ["Create a user"]
    assert result.log is None


def test_an_export_meets_its_results(tmp_path):
    (tmp_path / "export.json").write_text(json.dumps(EXPORT))
    nights = tmp_path / "nights"
    for day, status in ((1, "passed"), (2, "broken")):
        execution = {"status": status, "start_time": 1.7e9 + day, "end_time": 1.7e9 + day + 1}
        result = {"title": "x", "testops_ids": [7], "execution": execution}
        reporter_folder(nights / str(day), result, execution={"start_time": 1.7e9 + day})
    outcome_found = load(str(tmp_path / "export.json"), str(nights))
    assert outcome_found.kinds == ("a JSON export", "a reporter's folder (2 files)")
    assert outcome_found.log.verdict.tolist() == [0, 1]
    assert outcome_found.log.cycle.tolist() == [0, 1]  # the same title, and two runs
    assert extract_features(outcome_found.project, outcome_found.log)[1, FEATURES.index("failure_rate")] == 0


def test_a_result_that_a_run_lists_and_has_no_file_is_reported(tmp_path):
    reporter_folder(tmp_path / "r", RESULT | {"id": "here"}, results=[{"id": "here"}, {"id": "gone"}])
    notes = load(str(tmp_path / "r")).notes
    assert "run.json lists a result that has no file" in notes


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00", "line 1: not UTF-8 text"),
        (b"hello", "is neither JSON, a JUnit report nor a known CSV"),
        (b"{}", "is JSON of an unknown form"),
        (b"7", "is neither JSON, a JUnit report nor a known CSV"),
        (b'{"result": 5}', "result: 5 where an object is needed"),
        (b'{"result": {"entities": [{"a": 1}]}}', "is not a case, suite, milestone or result"),
        (b'{"suites": [], "cases": []', "not JSON (the file ends too early)"),
        (b"[]", None),
        (b'{"results": []}', "has neither cases nor results"),
        (json.dumps({"result": {"entities": [CASE]}}).encode(), "names the suite 2, which is not there"),
    ],
)
def test_an_unknown_format_is_reported(tmp_path, content, sentence):
    (tmp_path / "f.json").write_bytes(content)
    if sentence is None:
        assert load(str(tmp_path / "f.json")).project.cases == ()
        return
    with pytest.raises(InputError) as message:
        load(str(tmp_path / "f.json"))
    assert sentence in str(message.value)
    assert "f.json" in str(message.value)


def test_one_project_at_a_time(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(EXPORT))
    (tmp_path / "b.csv").write_text(V1)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"has 2 projects \(.*a\.json and .*b\.csv\): give one of them"):
        load(str(tmp_path))
    with pytest.raises(InputError, match="does not exist"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="has neither cases nor results"):
        load(str(empty))


def test_the_path_falls_back_to_the_environment_and_to_env_file(monkeypatch, tmp_path):
    monkeypatch.delenv("QASE_DATA_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"give env\.path, or set QASE_DATA_PATH"):
        data_path(None)
    (tmp_path / ".env").write_text('QASE_DATA_PATH="a folder/export.json"\nQASE_API_TOKEN=x # a comment\n')
    assert data_path(None) == "a folder/export.json"
    assert read_variable("QASE_API_TOKEN") == "x"
    monkeypatch.setenv("QASE_DATA_PATH", "/from/environment")
    assert data_path(None) == "/from/environment"
    assert data_path("given") == "given"


def test_inspect_prints_counts_values_joins_and_empty_features(tmp_path, capsys):
    odd = json.loads(json.dumps(EXPORT))
    odd["suites"][0]["suites"][0]["cases"][0]["severity"] = "\x1b[31mred"
    (tmp_path / "export.json").write_text(json.dumps(odd))
    stray = {**RESULT, "testops_ids": [99], "title": "st\x1bray"}
    folder = reporter_folder(tmp_path / "report", RESULT, stray)
    assert main(["qase", "inspect", str(tmp_path / "export.json"), "--results", str(folder)]) == 0
    out = capsys.readouterr().out
    for line in (
        "suites       2", "cases        1", "fields       1 custom: cf_6", "results      2 in 1 run",
        "executions   1 in 1 cycles: 1 failed, 0 passed, 0 without a verdict",
        "joined       1: 1 by id, 0 by signature, 0 by title", "not joined   1",
        "          1  'st\\x1bray': no case has its id", "  severity   '\\x1b[31mred' (unknown) 1",
        "constant     64 of 64",
    ):  # fmt: skip
        assert line in out
    assert "severity '\\x1b[31mred' is not known: kept as text" in out
    assert "\x1b" not in out
    assert all(name in out for name in FEATURES)


def test_inspect_prints_errors_in_one_sentence(tmp_path, capsys):
    (tmp_path / "cut.json").write_text('{"suites": [')
    assert main(["qase", "inspect", str(tmp_path / "cut.json")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "line 1, column 13: not JSON (the file ends too early)" in " ".join(output.err.split())


def test_the_command_line_starts_without_any_of_this():
    code = "import sys, rl_eval.cli; print([m for m in sys.modules if m.startswith('rl_eval.envs')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.verify
def test_50_000_cases_and_a_million_results_are_read_in_20_s_and_2_gb(tmp_path):
    from benchmarks.qase_import import measure, write_project

    write_project(tmp_path, cases=50_000, results=1_000_000)
    result = measure(tmp_path)
    assert (result.cases, result.results, result.executions) == (50_000, 1_000_000, 1_000_000)
    assert result.peak_mb < 2000
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    if busy < 1.2:  # other work on the machine is not what is measured
        assert result.wall_s < 20
    assert result.cpu_s < 20 * max(1.0, busy)


def test_50_000_cases_are_one_project(tmp_path):
    cases = [{"id": i, "title": f"case {i}", "steps": None, "suites": None} for i in range(1, 50_001)]
    document = {"suites": [{"id": 1, "title": "all", "cases": cases}]}
    (tmp_path / "big.json").write_text(json.dumps(document))
    result = load(str(tmp_path / "big.json"))
    assert len(result.project.cases) == 50_000
    assert result.notes["the field 'suites' of a case is not known: not used"][0] == 50_000
    assert np.array_equal([case.id for case in result.project.cases], np.arange(1, 50_001))
