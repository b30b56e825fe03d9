"""The published files: their contents, counted by hand and with the csv and json modules."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rl_eval.domains.qase.environment.features import FEATURES, constant_features, extract_features
from rl_eval.domains.qase.formats.csv_export import read_csv_export, write_csv_export
from rl_eval.domains.qase.formats.json_export import read_json_export, write_json_export
from rl_eval.domains.qase.formats.load import load
from rl_eval.domains.qase.model.notes import Notes

DATA = Path(__file__).resolve().parents[4].parent / "shared/data"
V1, V2 = DATA / "qase/qase-demo_QD-2026-02-18.csv", DATA / "qase/docs_example_import_v2.csv"
REPORT, IOFROL = DATA / "qase/report", DATA / "iofrol/iofrol.csv"
needs_qase = pytest.mark.skipif(not V1.is_file(), reason="the Qase exports are not at ../shared/data/qase")
needs_iofrol = pytest.mark.skipif(not IOFROL.is_file(), reason="iofrol.csv is not at ../shared/data/iofrol")


@needs_qase
def test_the_v1_export_has_120_cases_in_30_suites_with_5_custom_fields():
    result = load(str(V1))
    assert result.notes == {}
    project = result.project
    assert (len(project.cases), len(project.suites)) == (120, 30)
    assert project.custom_field_ids == (6, 7, 8, 9, 10)
    with V1.open(newline="", encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file) if row["id"]}
    for case in project.cases:
        row = rows[str(case.id)]
        for name in ("title", "description", "severity", "priority", "type", "behavior", "layer", "automation"):
            assert getattr(case, name) == row[name]
        assert str(case.suite_id) == row["suite_id"]
        assert project.suite_paths[case.suite_id][-1] == row["suite"]
        assert [f"{i + 1}. {step.action}" for i, step in enumerate(case.steps)] == row["steps_actions"].splitlines()
        assert {f"cf_{field.id}": field.value for field in case.custom_fields} == {
            name: cell for name, cell in row.items() if name.startswith("cf_") and cell
        }
        assert [f"{p.title}:{v}" for p in case.parameters for v in p.values] == row["parameters"].splitlines()


@needs_qase
def test_the_v2_export_has_5_cases_in_2_suites_and_steps_within_steps():
    result = load(str(V2))
    assert result.notes == {}
    cases = {case.id: case for case in result.project.cases}
    assert (len(cases), len(result.project.suites)) == (5, 2)
    first, second, third, gherkin, empty = (cases[i].steps for i in range(1, 6))
    assert first[1].data == "Login / Pass"
    assert second[1].steps[0].steps[0].action == "Child of [Child of 'Parent Step two']"
    assert third[2].action.startswith("# Here's formatting for Heading 1\n\n## Heading 2")
    assert [step.action.split()[0] for step in gherkin] == ["Given", "And", "When", "Then", "And", "And"]
    assert {step.expected_result for step in gherkin} == {""}
    assert empty == ()


@needs_qase
@pytest.mark.parametrize("file", [V1, V2], ids=["v1", "v2"])
def test_real_exports_survive_every_form_that_can_say_them(file):
    project = load(str(file)).project
    assert read_json_export(json.loads(json.dumps(write_json_export(project))), "x", Notes()) == project
    for version in (1, 2) if file == V1 else (2,):
        assert read_csv_export(write_csv_export(project, version).encode(), "x", Notes()) == project


@needs_qase
def test_44_results_keep_every_status_and_their_durations():
    results = load(str(REPORT)).results
    files = [json.loads(file.read_text()) for file in (REPORT / "results").glob("*.json")]
    assert results.counts() == Counter(entry["execution"]["status"] for entry in files)
    assert sum(results.counts().values()) == 44
    assert results.counts()["broken"] == 4
    assert results.counts()["muted"] == 1
    recorded = [i for i, run in enumerate(results.runs) if not run.from_history]
    rows = np.flatnonzero(results.run == recorded[0])
    durations = {(results.names[n][0], d) for n, d in zip(results.name[rows], results.duration_ms[rows], strict=True)}
    assert durations == {(entry["signature"], float(entry["execution"]["duration"])) for entry in files}
    ids = sorted(i for r in rows for i in results.case_ids[results.case_start[r] : results.case_start[r + 1]])
    assert ids == sorted(i for entry in files for i in entry["testops_ids"] or ())


@needs_qase
def test_the_history_of_a_report_gives_earlier_runs_once_and_in_order():
    results = load(str(REPORT)).results
    history = json.loads((REPORT / "test-history.json").read_text())
    present = json.loads((REPORT / "run.json").read_text())["execution"]["start_time"]
    earlier = [run for run in history["runs"] if run["start_time"] != present]
    assert [run.name for run in results.runs if run.from_history] == [run["run_id"] for run in earlier]
    names = {run["run_id"] for run in earlier}
    counted = Counter(r["status"] for test in history["tests"] for r in test["runs"] if r["run_id"] in names)
    assert results.counts(from_history=True) == counted
    assert np.all(np.diff([run.started for run in results.runs]) > 0)
    assert 1.7e9 < results.runs[0].started < 1.8e9  # seconds, though the file holds milliseconds


@needs_iofrol
def test_iofrol_is_read_completely_and_its_last_results_are_the_earlier_verdicts():
    result = load(str(IOFROL))
    log = result.log
    assert result.notes == {}  # a note would say that LastResults differ from the verdicts
    assert (len(log), log.n_cases, len(log.cycles)) == (32260, 1941, 320)
    assert Counter(log.verdict.tolist()) == {0: 22971, 1: 9289}
    with IOFROL.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert [result.project.cases[i].title for i in log.case] == [row["Name"] for row in rows]
    recorded = [json.loads(row["LastResults"]) for row in rows]
    starts = zip(log.earlier_start[:-1], log.earlier_start[1:], strict=True)
    assert [log.earlier_verdicts[a:b].tolist() for a, b in starts] == recorded


@needs_iofrol
def test_iofrol_features_say_something_where_the_data_does():
    result = load(str(IOFROL))
    states = extract_features(result.project, result.log)
    assert states.shape == (32260, 64)
    constant = set(constant_features(states))
    assert not constant & set(FEATURES[44:])
    assert "severity" in constant  # this data has none
