"""Results: every form and status, joined by id, then signature, then suite path and title."""

import json
import math
import unicodedata

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rl_eval.domains.qase.formats.json_export import write_json_export
from rl_eval.domains.qase.formats.load import load
from rl_eval.domains.qase.formats.result_json import read_bulk_request
from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, PASS
from rl_eval.domains.qase.model.join import AMBIGUOUS, NO_MATCH, OTHER_PROJECT, UNKNOWN_ID, join
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Case, CaseSuite, build_project
from rl_eval.domains.qase.model.results import BEFORE_1970, NEGATIVE_DURATION, ResultsCollector
from rl_eval.errors import InputError

PROJECT = build_project(
    [CaseSuite(id=1, title="API"), CaseSuite(id=2, title="Users", parent_id=1)],
    [
        Case(id=10, title="Create", suite_id=2),
        Case(id=11, title="Delete", suite_id=2),
        Case(id=12, title="Twice", suite_id=2),
        Case(id=13, title="Twice", suite_id=2),
        Case(id=14, title="Delete", suite_id=1),
    ],
    "here",
)


def v2(title="t", status="passed", **values):
    execution = {
        "status": status,
        "start_time": 1770879600000,
        "end_time": 1770879601500,
        **values.pop("execution", {}),
    }
    suites = values.pop("suites", ())
    relations = {"suite": {"data": [{"title": name, "public_id": None} for name in suites]}} if suites else None
    return {"title": title, "execution": execution, "relations": relations, **values}


def collected(*entries, name="run"):
    collector = ResultsCollector(Notes())
    read_bulk_request({"results": list(entries)}, name, "bulk.json", collector)
    return collector.build()


def test_milliseconds_and_seconds_are_reported_apart():
    results = collected(
        v2(), v2(execution={"start_time": 1770879600.0, "end_time": 1770879601.5}),
        v2(execution={"start_time": None, "end_time": None, "duration": 40}), v2(execution={"start_time": None}),
    )  # fmt: skip
    assert results.started.tolist()[:2] == [1770879600.0] * 2
    assert results.duration_ms[:3].tolist() == [1500.0, 1500.0, 40.0]
    assert math.isnan(results.duration_ms[3])


def test_v1_results_have_milliseconds_or_seconds_and_a_case():
    results = collected(
        {"case_id": 10, "status": "failed", "time_ms": 250, "stacktrace": "…"},
        {"case_id": 11, "status": "passed", "time": 2},
        {"case": {"title": "Delete", "suite_title": "API\tUsers"}, "status": "skipped"},
    )
    assert results.duration_ms[:2].tolist() == [250.0, 2000.0]
    assert join(PROJECT, results).log.case.tolist() == [0 + 1, 2, 2]


def test_joining_goes_from_the_strongest_to_the_weakest():
    results = collected(
        v2("anything", testops_ids=[10, 11]),  # by id, two cases at once
        v2("anything", testops_id=12, signature="s::x"),
        v2("other", signature="s::x"),  # by the signature that an id was seen with
        v2("other", signature="13::tests::x"),  # by the ids in a signature
        v2("delete ", suites=["api", "Users"]),  # by suite path and title, however spelt
        v2("gone", signature="API::Users::Create"),  # by the path in the signature
        v2("Twice", suites=["API", "Users"]),
        v2("Create", suites=["API"]),
        v2("Create", testops_ids=[99], suites=["API", "Users"]),  # an id goes before a title, though it is unknown
    )
    joined = join(PROJECT, results)
    ids = [PROJECT.cases[i].id for i in joined.log.case]
    assert list(zip(joined.result.tolist(), ids, strict=True)) == [
        (0, 10), (0, 11), (1, 12), (2, 12), (3, 13), (4, 11), (5, 10),
    ]  # fmt: skip
    assert joined.counts == {"id": 2, "signature": 3, "title": 1}
    assert {(entry.title, entry.reason) for entry in joined.unjoined} == {
        ("Twice", AMBIGUOUS), ("Create", NO_MATCH), ("Create", UNKNOWN_ID),
    }  # fmt: skip


def test_impossible_times_of_one_result_are_noted_and_the_others_are_read():
    notes = Notes()
    collector = ResultsCollector(notes)
    times = [
        {"start_time": 2e9, "end_time": 1e9},
        {"duration": -1},
        {"start_time": -5, "end_time": 9},
        {"start_time": 1e9, "end_time": -5},
        {"start_time": 1e9, "end_time": 1e9 + 1},
    ]
    read_bulk_request({"results": [v2(execution=values) for values in times]}, "run", "bulk.json", collector)
    results = collector.build()
    assert np.isnan(results.duration_ms).tolist() == [True, True, True, True, False]
    assert np.isnan(results.started).tolist() == [False, False, True, False, False]
    assert results.duration_ms[4] == 1000
    assert notes.counts == {
        NEGATIVE_DURATION: (3, "bulk.json, results[0]"),
        BEFORE_1970: (1, "bulk.json, results[2]"),
    }


MAPPED = [
    v2("Delete", testops_project_mapping={"SHOP": [10, 12], "DEMO": [13]}, suites=["API"]),
    v2("Create", testops_project_mapping={"DEMO": [13]}, testops_ids=[10], suites=["API", "Users"]),
    v2("Create", testops_project_mapping={}, testops_ids=[11]),
    v2("Create", testops_project_mapping={"SHOP": [99]}, suites=["API", "Users"]),
]


@pytest.mark.parametrize(
    ("code", "cases", "reasons"),
    [
        ("SHOP", [(0, 10), (0, 12), (2, 11)], {("Create", OTHER_PROJECT), ("Create", UNKNOWN_ID)}),
        ("DEMO", [(0, 13), (1, 13), (2, 11)], {("Create", OTHER_PROJECT)}),
        ("", [(2, 11)], {("Create", OTHER_PROJECT), ("Delete", OTHER_PROJECT)}),
    ],
)
def test_results_of_several_projects_are_joined_by_the_ids_of_this_one(code, cases, reasons):
    joined = join(PROJECT, collected(*MAPPED), code)
    ids = [PROJECT.cases[i].id for i in joined.log.case]
    assert list(zip(joined.result.tolist(), ids, strict=True)) == cases
    assert {(entry.title, entry.reason) for entry in joined.unjoined} == reasons


@pytest.mark.parametrize(
    ("file", "joined"), [("SHOP.json", 3), ("my-export_SHOP-2026-02-18.json", 3), ("DEMO.json", 3), ("export.json", 1)]
)
def test_the_name_of_the_export_has_the_code_of_its_project(tmp_path, file, joined):
    (tmp_path / file).write_text(json.dumps(write_json_export(PROJECT)))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "bulk.json").write_text(json.dumps({"results": MAPPED}))
    imported = load(str(tmp_path / file), str(tmp_path / "results" / "bulk.json"))
    assert len(imported.log) == joined
    assert any("none of them" in sentence for sentence in imported.notes) == (file == "export.json")


def test_projects_of_ids_go_from_one_process_to_the_other():
    whole, first, second = (ResultsCollector(Notes()) for _ in range(3))
    for collector, entries in ((whole, MAPPED), (first, MAPPED[:2]), (second, MAPPED[2:])):
        read_bulk_request({"results": entries}, "run", "bulk.json", collector)
    first.merge(second.chunk())
    for code in ("SHOP", "DEMO", ""):
        merged, expected = join(PROJECT, first.build(), code), join(PROJECT, whole.build(), code)
        assert merged.log.case.tolist() == expected.log.case.tolist()
        assert merged.unjoined == expected.unjoined


@given(st.sampled_from(["NFC", "NFD"]), st.sampled_from(["NFC", "NFD"]), st.text(min_size=1, max_size=8))
def test_letters_with_accents_are_equal_however_they_are_composed(of_case, of_result, text):
    assume(":" not in text)

    def form(name, text):
        return unicodedata.normalize(name, f"Zoë {text} Å")

    title, spelt = form(of_case, text), form(of_result, text)
    project = build_project([CaseSuite(id=1, title=title)], [Case(id=1, title=title, suite_id=1)], "here")
    results = collected(v2(spelt, suites=[spelt]), v2("x", signature=f"{spelt}::{spelt}"))
    assert join(project, results).counts == {"id": 0, "signature": 1, "title": 1}
    learned = collected(v2("x", testops_id=1, signature=title), v2("y", signature=spelt))
    assert join(project, learned).counts["signature"] == 1
    assert write_json_export(project)["suites"][0]["title"] == title  # what is written stays as it was


def test_verdicts_are_of_the_code_and_every_status_is_kept():
    statuses = [
        "passed",
        "failed",
        "broken",
        "blocked",
        "skipped",
        "invalid",
        "in_progress",
        "muted",
        "Retest",
        "failed",
    ]
    entries = [v2(status=status, testops_id=10, muted=i == 9) for i, status in enumerate(statuses)]
    results = collected(*entries)
    assert [results.statuses[i] for i in results.status] == [status.lower() for status in statuses]
    log = join(PROJECT, results).log
    assert log.verdict.tolist() == [PASS, FAIL, FAIL, *[NO_VERDICT] * 7]  # the last one failed, and is muted


def test_runs_are_in_the_order_of_time_or_of_their_names(tmp_path):
    for name, start in (("b", 300), ("a", 500), ("c", 100)):
        entry = v2(testops_id=10, execution={"start_time": start, "end_time": start})
        (tmp_path / f"{name}.json").write_text(json.dumps({"results": [entry]}))
    assert [run.name for run in load(str(tmp_path)).results.runs] == ["c", "b", "a"]
    for name in ("run-9", "run-10", "\u00b2"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"results": [{"case_id": 1, "status": "passed"}]}))
    result = load(str(tmp_path))
    assert [run.name for run in result.results.runs] == ["a", "b", "c", "run-9", "run-10", "\u00b2"]
    assert "a run has no start time: runs are ordered by name" in result.notes


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.sampled_from(["passed", "failed"])), max_size=30))
def test_columns_hold_what_was_added_whatever_the_order_of_runs(rows):
    collector = ResultsCollector(Notes())
    for i, (run, n_ids, status) in enumerate(rows):
        ids = tuple(range(i, i + n_ids))
        collector.add(
            collector.run(str(run), 1000.0 - run), status, "x", muted=False, duration_ms=i, started=math.nan,
            signature="", title=str(i), path=(), ids=ids,
        )  # fmt: skip
    results = collector.build()
    expected = sorted(((1000.0 - run, i, n, s) for i, (run, n, s) in enumerate(rows)), key=lambda row: row[:2])
    starts = list(zip(results.case_start[:-1], results.case_start[1:], strict=True))
    result = [
        (results.runs[results.run[k]].started, int(results.names[results.name[k]][1]), int(b - a), results.statuses[s])
        for k, ((a, b), s) in enumerate(zip(starts, results.status, strict=True))
    ]
    assert result == expected
    for (a, b), (_, i, n, _) in zip(starts, expected, strict=True):
        assert results.case_ids[a:b].tolist() == list(range(i, i + n))


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (5, "results[0]: 5 where an object is needed"),
        (v2(title=None), "results[0], field 'title': it is missing"),
        (v2(status=None), "results[0], field 'status': it is missing"),
        (v2(status=3), "field 'status': 3 where text is needed"),
        (v2(execution={"duration": "long"}), "field 'duration': 'long' where a number is needed"),
        (v2(execution={"duration": True}), "field 'duration': True where a number is needed"),
        (v2(testops_project_mapping=[1]), "field 'testops_project_mapping': [1] where an object"),
        (v2(testops_project_mapping={"A": ["x"]}), "field 'testops_project_mapping', 'A': 'x' where a whole number"),
        (v2(testops_id="x"), "field 'testops_ids': 'x' where a whole number is needed"),
        (v2(muted="perhaps"), "field 'muted': 'perhaps' where yes or no"),
        (v2(relations=3), "results[0], relations: 3 where an object"),
        ({"title": "t", "execution": None}, "field 'execution': None where an object is needed"),
        ({"status": "passed"}, "field 'case_id': it and 'case.title' are both missing"),
        ({"case_id": 0, "status": "passed"}, "field 'case_id': 0 where an id"),
    ],
)
def test_a_faulty_result_is_reported_with_its_place(entry, sentence):
    if isinstance(entry, dict) and entry.get("relations") is None:
        entry.pop("relations", None)
    with pytest.raises(InputError) as message:
        collected(entry)
    assert sentence in str(message.value)
    assert str(message.value).startswith("bulk.json")


def test_results_one_a_line(tmp_path):
    lines = [json.dumps(v2(testops_id=10, run_id=run)) for run in (2, 1, 1)]
    (tmp_path / "results.jsonl").write_text("\n".join(lines) + "\n")
    results = load(str(tmp_path / "results.jsonl")).results
    assert ([run.name for run in results.runs], results.run.tolist()) == (["1", "2"], [0, 0, 1])
    (tmp_path / "results.jsonl").write_text("\n".join(lines) + '\n{"title": ')
    with pytest.raises(InputError, match=r"results\.jsonl, line 4.*not JSON"):
        load(str(tmp_path / "results.jsonl"))


def test_flat_records_are_cases_and_their_executions(tmp_path):
    records = [
        {"test_name": "login", "steps": ["open", "type"], "preconditions": ["a user", "a page"], "result": "passed",
         "duration": 12, "priority": "High"},
        {"test_name": "pay", "steps": "1. pay\n2. see", "result": {"status": "failed", "duration": 9}},
        {"test_name": "login", "steps": ["open", "type"], "preconditions": ["a user", "a page"], "priority": "high",
         "result": False},
        {"test_name": "never run"},
    ]  # fmt: skip
    (tmp_path / "flat.json").write_text(json.dumps(records))
    result = load(str(tmp_path / "flat.json"))
    login, pay, never = result.project.cases
    assert ([step.action for step in login.steps], login.preconditions) == (["open", "type"], "a user\na page")
    assert (login.priority, pay.priority, never.title) == ("high", "undefined", "never run")
    assert result.log.case.tolist() == [0, 1, 0]
    assert result.log.cycle.tolist() == [0, 0, 1]
    assert result.log.verdict.tolist() == [PASS, FAIL, FAIL]
    assert result.log.duration_ms[:2].tolist() == [12, 9]


def test_flat_records_are_one_case_however_their_accents_are_composed(tmp_path):
    records = [{"test_name": unicodedata.normalize(form, "Zoë"), "result": "passed"} for form in ("NFD", "NFC")]
    (tmp_path / "flat.json").write_text(json.dumps(records))
    imported = load(str(tmp_path / "flat.json"))
    assert [case.title for case in imported.project.cases] == [records[0]["test_name"]]
    assert imported.log.cycle.tolist() == [0, 1]
    assert not any("differ" in sentence for sentence in imported.notes)


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([{"name": "a"}], "[0] has no 'test_name'"),
        ([{"test_name": "a"}, {"steps": []}], "[1], field 'test_name': it is missing"),
        ([{"test_name": "a", "result": 5}], "[0], field 'status': 5 where text is needed"),
        ([{"test_name": "a", "result": "passed", "status": "failed"}], "both 'result' and 'status'"),
        ([{"test_name": "a"}, 3], "[1]: 3 where an object is needed"),
    ],
)
def test_a_faulty_record_is_reported_with_its_place(tmp_path, records, sentence):
    (tmp_path / "flat.json").write_text(json.dumps(records))
    with pytest.raises(InputError) as message:
        load(str(tmp_path / "flat.json"))
    assert sentence in str(message.value)
