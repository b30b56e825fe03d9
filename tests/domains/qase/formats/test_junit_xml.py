"""JUnit reports: what is read of them, what they are refused for, and that nothing of them is expanded or fetched."""

import json

import numpy as np
import pytest

from rl_eval.domains.qase.formats import junit_xml
from rl_eval.domains.qase.formats.json_export import write_json_export
from rl_eval.domains.qase.formats.junit_project import MAX_TITLE, named_tests
from rl_eval.domains.qase.formats.junit_xml import NO_SECONDS, NO_TIMESTAMP
from rl_eval.domains.qase.formats.load import load
from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, PASS
from rl_eval.domains.qase.model.project import Case, build_project
from rl_eval.errors import InputError

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="all">
 <testsuite name="outer" timestamp="2026-02-01T10:00:00+01:00">
  <testcase classname="shop.test_cart.TestCart" name="test_add[2 items]" time="1,234.5"/>
  <testcase classname="shop.test_cart" name="test_empty" time="0.25"><failure message="no">text</failure></testcase>
  <testsuite name="inner.Suite">
   <testcase name="test_old"><skipped/></testcase>
   <testcase classname="shop.test_cart" name="test_error" time="1"><system-out>x</system-out><error/></testcase>
  </testsuite>
 </testsuite>
</testsuites>"""


def report(name, *tests, timestamp="2026-02-01T10:00:00"):
    cases = "".join(f'<testcase classname="m" name="{test}">{child}</testcase>' for test, child in tests)
    return f'<testsuite name="{name}" timestamp="{timestamp}">{cases}</testsuite>'


def test_a_report_worked_by_hand(tmp_path):
    (tmp_path / "nightly.xml").write_text(REPORT)
    imported = load(str(tmp_path / "nightly.xml"))
    assert named_tests(imported.results) == [
        (("shop", "test_cart", "TestCart"), "test_add[2 items]"),
        (("shop", "test_cart"), "test_empty"),
        (("inner", "Suite"), "test_old"),
        (("shop", "test_cart"), "test_error"),
    ]
    by_title = {imported.project.cases[case].title: row for row, case in enumerate(imported.log.case)}
    rows = [by_title[title] for title in ("test_add[2 items]", "test_empty", "test_old", "test_error")]
    assert imported.log.verdict[rows].tolist() == [PASS, FAIL, NO_VERDICT, FAIL]
    np.testing.assert_array_equal(imported.log.duration_ms[rows], [1_234_500.0, 250.0, np.nan, 1000.0])
    assert set(imported.log.started) == {1769936400.0}  # 09:00 UTC
    assert imported.log.cycles == ("nightly",)
    suites = imported.project.suite_paths
    assert sorted(suites.values()) == [
        ("inner",), ("inner", "Suite"), ("shop",), ("shop", "test_cart"), ("shop", "test_cart", "TestCart")
    ]  # fmt: skip


def test_each_report_is_a_cycle_in_order_of_time_and_a_folder_of_them_is_one(tmp_path):
    (tmp_path / "b.xml").write_text(report("s", ("t1", ""), timestamp="2026-01-02T00:00:00"))
    (tmp_path / "a.xml").write_text(report("s", ("t1", "<failure/>"), timestamp="2026-01-03T00:00:00"))
    (tmp_path / "build-9").mkdir()
    for shard, day in (("1", "01"), ("2", "02")):
        text = report("s", (f"t{shard}", "<error/>"), timestamp=f"2025-12-{day}T00:00:00Z")
        (tmp_path / "build-9" / f"shard{shard}.xml").write_text(text)
    imported = load(str(tmp_path))
    assert imported.log.cycles == ("build-9", "b", "a")
    assert imported.log.cycle.tolist() == [0, 0, 1, 2]
    assert imported.log.verdict.tolist() == [FAIL, FAIL, PASS, FAIL]
    assert imported.kinds == ("a JUnit report (4 files)",)


def test_results_join_qases_cases_by_property_by_id_in_the_name_and_by_title(tmp_path):
    cases = [Case(id=7, title="seven"), Case(id=8, title="eight"), Case(id=9, title="nine"), Case(id=10, title="ten")]
    document = write_json_export(build_project((), cases, "here"))
    (tmp_path / "export.json").write_text(json.dumps(document))
    listed = '<properties><property name="qase_id" value="7"/></properties><failure/>'
    (tmp_path / "run.xml").write_text(
        f'<testsuite><testcase name="first">{listed}</testcase>'
        '<testcase name="second (Qase ID: 8, 9)"/><testcase name="ten"/></testsuite>'
    )
    imported = load(str(tmp_path / "export.json"), str(tmp_path / "run.xml"))
    ids = [imported.project.cases[case].id for case in imported.log.case]
    assert dict(zip(ids, imported.log.verdict.tolist(), strict=True)) == {7: FAIL, 8: PASS, 9: PASS, 10: PASS}


def test_tests_that_differ_in_letter_case_or_beyond_the_length_of_a_title_stay_apart(tmp_path):
    long = "t" * 300
    names = ["test[A]", "test[a]", f"{long}1", f"{long}2"]
    (tmp_path / "run.xml").write_text(report("s", *((name, "") for name in names)))
    imported = load(str(tmp_path / "run.xml"))
    assert [name for _, name in named_tests(imported.results)] == names
    assert len(imported.project.cases) == 4
    assert max(len(case.title) for case in imported.project.cases) == MAX_TITLE


@pytest.mark.parametrize("time", ["soon", "nan", "inf", "1e999"])
def test_times_that_are_none_are_unknown_and_noted(tmp_path, time):
    cases = f"<testcase name='a' time='{time}'/>\n<testcase name='b' time='2'/>\n<testcase name='c' time='{time}'/>"
    (tmp_path / "0.xml").write_text(f"<testsuite timestamp='2026-02-01T10:00:00'>{cases}</testsuite>")
    (tmp_path / "1.xml").write_text("<testsuite timestamp='junk'><testcase name='a'/></testsuite>")
    imported = load(str(tmp_path))
    np.testing.assert_array_equal(imported.log.duration_ms, [np.nan, 2000.0, np.nan, np.nan])
    assert np.isnan(imported.log.started).tolist() == [False, False, False, True]
    assert imported.notes[NO_SECONDS] == (2, f"{tmp_path / '0.xml'}, line 1")
    assert imported.notes[NO_TIMESTAMP] == (1, f"{tmp_path / '1.xml'}, line 1")


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB, "declares a document type"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><testsuite/>', "declares a document type"),
        ("<html/>", "the root is 'html'"),
        ("<testsuite><testcase name='a'>", "not XML"),
        ("<testsuite><testcase/></testsuite>", "without a name"),
        ("<testsuite><testcase name='a'><testcase name='b'/></testcase></testsuite>", "a testcase within a testcase"),
        ("<testsuite>" + "<x>" * 80 + "</x>" * 80 + "</testsuite>", "nested more than 64 deep"),
        (f"<testsuite><testcase name='{'n' * 5000}'/></testsuite>", "more than 4096 characters"),
        (
            "<testsuite><testcase name='a'><property name='qase_id' value='x'/></testcase></testsuite>",
            "'x' where ids of Qase cases are needed",
        ),
        ("<testsuite><testcase name='a (Qase ID: 0)'/></testsuite>", "'0' where ids of Qase cases are needed"),
    ],
)
def test_what_is_no_report_is_one_sentence_with_its_line(tmp_path, text, problem):
    (tmp_path / "run.xml").write_text(f"{text}")
    with pytest.raises(InputError) as message:
        load(str(tmp_path / "run.xml"))
    assert problem in str(message.value)
    assert "run.xml, line 1" in str(message.value)


def test_the_number_of_tests_and_the_size_are_bounded(tmp_path, monkeypatch):
    (tmp_path / "run.xml").write_text(report("s", ("a", ""), ("b", ""), ("c", "")))
    monkeypatch.setattr(junit_xml, "MAX_TESTS", 2)
    with pytest.raises(InputError, match="more than 2 tests"):
        load(str(tmp_path / "run.xml"))


def test_a_report_without_tests_is_no_project(tmp_path):
    (tmp_path / "run.xml").write_text("<testsuites/>")
    with pytest.raises(InputError, match="neither cases nor results"):
        load(str(tmp_path / "run.xml"))
