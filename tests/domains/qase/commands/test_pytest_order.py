"""JUnit reports as history: the order as node ids that pytest takes, in a file or on its command line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.cli import main
from rl_eval.domains.qase.commands.pytest_order import NEWEST, node_id, parse_node_id

TESTS = """
import os
import pytest

@pytest.mark.parametrize("text", ["a b", "c::d"])
def test_text(text):
    assert os.environ["BUILD"] != "2" or text != "c::d"

class TestCart:
    def test_add(self):
        assert False

def test_total():
    pass
"""


def pytest_in(folder, *arguments, build="0"):
    """Run pytest as someone's project does: without the plugins and settings of this one."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    settings = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**os.environ, **settings, "BUILD": build}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def prioritise(capsys, *arguments):
    status = main(["qase", "prioritise", *map(str, arguments)])
    output = capsys.readouterr()
    return status, output.out.splitlines(), " ".join(output.err.split())


def write_report(path, day, *tests):
    cases = "".join(
        f'<testcase classname="{test.rpartition(".")[0]}" name="{test.rpartition(".")[2]}" time="60">'
        f"{'<failure/>' * failed}</testcase>"
        for test, failed in tests
    )
    path.write_text(f'<testsuite timestamp="2026-01-{day:02}T00:00:00">{cases}</testsuite>')


def test_pytests_own_reports_order_pytests_own_tests(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests/api").mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "tests/api/test_cart.py").write_text(TESTS)
    for build in "12":
        pytest_in(tmp_path, f"--junitxml=reports/{build}.xml", build=build)
    status, ids, err = prioritise(capsys, "--junit", "reports", "--pytest")
    assert status == 0
    file = "tests/api/test_cart.py"
    assert ids == [
        f"{file}::TestCart::test_add", f"{file}::test_text[c::d]", f"{file}::test_text[a b]", f"{file}::test_total"
    ]  # fmt: skip
    assert "baseline:failure_rate" in err
    assert "pytest @file" in err, "a shell would split the blank"
    assert not (tmp_path / "prioritised.csv").exists()
    (tmp_path / "order.txt").write_text("\n".join(ids) + "\n")
    ran = pytest_in(tmp_path, "-vv", "@order.txt").stdout
    assert re.findall(r"^(tests/\S.*?) (?:PASSED|FAILED)", ran, re.M) == ids


def test_collected_tests_are_ordered_exactly_and_new_ones_come_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    write_report(tmp_path / "reports/1.xml", 1, ("m.test_a", False), ("m.test_gone", True))
    listed = "m.py::test_a\nsuites/ours.yaml::later\nm.py::test_new[x::y]\n\n3 tests collected in 0.01s\n"
    (tmp_path / "collected.txt").write_text(listed)
    status, ids, err = prioritise(capsys, "--junit", "reports", "--pytest", "--collected", "collected.txt")
    assert (status, ids) == (0, ["m.py::test_new[x::y]", "m.py::test_a"])
    assert "left out: 1 gone" in err


def test_tests_that_no_recent_report_has_count_as_removed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    write_report(tmp_path / "reports/0.xml", 1, ("m.test_a", False), ("m.test_old", True))
    for i in range(NEWEST):
        write_report(tmp_path / f"reports/{i + 1}.xml", i + 2, ("m.test_a", False))
    assert prioritise(capsys, "--junit", "reports", "--pytest")[1] == ["m.py::test_a"]
    (tmp_path / "reports/1.xml").unlink()
    assert prioritise(capsys, "--junit", "reports", "--pytest")[1] == ["m.py::test_old", "m.py::test_a"]


def test_collected_tests_keep_their_ids_and_missing_files_are_noted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    write_report(tmp_path / "reports/0.xml", 1, ("a.Lower.test_a", False))
    status, ids, err = prioritise(capsys, "--junit", "reports", "--pytest")
    assert (status, ids) == (0, ["a.py::Lower::test_a"])
    assert "1 of the files are not below this folder, such as a.py" in err
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Lower.py").touch()
    (tmp_path / "collected.txt").write_text("a/Lower.py::test_a\n")
    for found in (True, False):
        if not found:
            (tmp_path / "a" / "Lower.py").unlink()
        status, ids, err = prioritise(capsys, "--junit", "reports", "--pytest", "--collected", "collected.txt")
        assert (status, ids) == (0, ["a/Lower.py::test_a"])
        assert ("not below this folder" in err) == (not found)


def test_only_what_fits_in_the_budget_is_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    write_report(tmp_path / "reports/0.xml", 1, ("m.test_a", False), ("m.test_b", True), ("m.test_c", False))
    assert prioritise(capsys, "--junit", "reports", "--pytest", "--budget", "1m30s")[1] == ["m.py::test_b"]


@pytest.mark.parametrize("name", ["-p evil.test_a", "m.test_a&#10;--rootdir=/"])
def test_what_pytest_would_take_for_an_option_is_refused(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    write_report(tmp_path / "reports/0.xml", 1, (name, False))
    status, ids, err = prioritise(capsys, "--junit", "reports", "--pytest")
    assert (status, ids) == (2, [])
    assert "is not a node id that can be passed on" in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--junit", "reports", "--results", "reports"], "--junit and --results are both given"),
        (["export.json", "--junit", "reports", "--pytest"], "need tests by name"),
        (["--junit", "reports", "--collected", "reports/0.xml"], "has no node id of pytest"),
        (["--junit", "reports", "--create-run", "DEMO"], "needs the ids of Qase's cases"),
    ],
)
def test_options_that_do_not_go_together_are_one_sentence(tmp_path, monkeypatch, capsys, arguments, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "export.json").write_text('{"cases": [{"id": 1, "title": "m"}]}')
    write_report(tmp_path / "reports/0.xml", 1, ("m.test_a", False))
    status, printed, err = prioritise(capsys, *arguments)
    assert (status, printed) == (2, [])
    assert problem in err


part = st.text("abcxyz_", min_size=1, max_size=6)
capital = part.map(lambda text: f"T{text}")


@given(
    path=st.lists(part, min_size=1, max_size=3),
    classes=st.lists(capital, max_size=2),
    name=part,
    parameter=st.none() | st.text("ab:/.[ -", max_size=6),
)
def test_a_node_id_is_found_again_from_the_class_and_name_of_its_report(path, classes, name, parameter):
    ending = "" if parameter is None else f"[{parameter}]"
    one = "::".join(["/".join(path) + ".py", *classes, name + ending])
    assert parse_node_id(one) == ((*path, *classes), name + ending)
    assert node_id(parse_node_id(one), Path("/nowhere")) == one


def test_the_file_that_exists_decides_where_the_class_begins(tmp_path):
    (tmp_path / "Api").mkdir()
    (tmp_path / "Api/Cart.py").write_text("")
    assert node_id((("Api", "Cart", "suite"), "test_a"), tmp_path) == "Api/Cart.py::suite::test_a"
    assert node_id((("Api", "Cart", "suite"), "test_a"), tmp_path / "Api") == "Api/Cart/suite.py::test_a"


def test_a_test_that_every_report_skips_comes_last_and_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    for build in range(3):
        cases = '<testcase classname="m" name="skips"><skipped/></testcase><testcase classname="m" name="passes"/>'
        text = f'<testsuite name="s" timestamp="2026-01-0{build + 1}T00:00:00">{cases}</testsuite>'
        (tmp_path / f"reports/{build}.xml").write_text(text)
    assert main(["qase", "prioritise", "--junit", "reports", "--policy", "baseline:failure_rate"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.index("passes") < out.index("skips")
    assert "1 have none; 1 of them ran without a verdict every time, such as skipped: these come last" in out
