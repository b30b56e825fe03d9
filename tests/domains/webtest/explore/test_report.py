"""The report of an exploration: ways to a failure, scripts, files, judgements, and what a person is told."""

import ast
import json
import re
import threading
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import httpx
import pytest
from typer.testing import CliRunner

from rl_eval.cli import app
from rl_eval.domains.webtest.browser.steps import Step
from rl_eval.domains.webtest.commands.arguments import checked_url
from rl_eval.domains.webtest.explore.findings import LONGEST_PATH, Exploration, Finding, paths
from rl_eval.domains.webtest.explore.log_in import read_state, require_state_of
from rl_eval.domains.webtest.explore.reporting import require_folder, write_report
from rl_eval.domains.webtest.explore.review import server_of
from rl_eval.domains.webtest.explore.script import script
from rl_eval.domains.webtest.judgements import read_judgements
from rl_eval.domains.webtest.page import Failure
from rl_eval.errors import InputError

BASE = "http://127.0.0.1:8000/"
OPEN = Step("open", value=BASE)
FILL = Step("fill", css="#q", value="x", text="Words", url=BASE)
SEND = Step("submit", css="form", text="Search", url=BASE)
LINK = Step("click", css='a[href="/b"]', text="B", url=f"{BASE}a")


def test_ways_to_a_failure_begin_with_the_shortest():
    first, *_, last = ways = list(paths([OPEN, FILL, SEND, OPEN, FILL, SEND], BASE))
    assert first == (OPEN, FILL, SEND)
    assert last == (OPEN, FILL, SEND, OPEN, FILL, SEND)
    assert len(ways) == len(set(ways))
    assert next(paths([OPEN, FILL, LINK], BASE)) == (Step("open", value=LINK.url), LINK)
    assert list(paths([OPEN], BASE)) == [(OPEN,)]


def test_the_shortest_way_enters_the_last_text_of_each_field_alone():
    first, other = replace(FILL, value="before"), replace(FILL, css="[name=other]")
    steps = [OPEN, first, other, FILL, SEND]
    shortest, *_, longest = paths(steps, BASE)
    assert shortest == (Step("open", value=SEND.url), other, FILL, SEND)
    assert longest == tuple(steps)


def test_a_way_goes_through_the_forms_that_were_sent_before():
    name = Step("fill", css="#name", value="tester", url=f"{BASE}login")
    log_in = Step("submit", css="#login", url=f"{BASE}login")
    entered = [Step("open", value=f"{BASE}login"), name, log_in]
    ways = list(paths([OPEN, name, log_in, *[OPEN, LINK] * 40], BASE))
    assert (*entered, Step("open", value=LINK.url), LINK) in ways
    # A page that only sending a form gives cannot be opened by its address.
    button = Step("click", css="button", url=f"{BASE}login")
    assert (*entered, button) in list(paths([*[OPEN, LINK] * 40, name, log_in, button], BASE))
    assert all(len(way) <= LONGEST_PATH for way in ways)


FAILURES = [
    Failure("error_page", "GET /products/{n} 500"),
    Failure("error_page", "GET /endless ERR_TOO_MANY_REDIRECTS"),
    Failure("console_error", 'TypeError: item # of \'x\' in /a """ \\'),
    Failure("dead_link", "GET /a 404"),
    Failure("broken_validation", "POST /contact email"),
    Failure("wrong_total", "/cart Total"),
    Failure("lost_state", "cart GET /help"),
    Failure("lost_state", "form /contact"),
    Failure("unescaped_text", "GET /products q"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda one: one.kind)
def test_each_kind_has_a_script_that_is_python(failure):
    text = script(failure, [OPEN, FILL, SEND], BASE)
    assert "def check(page, before)" in text
    ast.parse(text)


@pytest.mark.parametrize("file", ["/a", "/a b/<i c=1>"])
def test_the_file_of_an_exception_is_no_part_of_its_message(file):
    text = script(Failure("console_error", f"ReferenceError: x is not defined in {file}"), [OPEN], BASE)
    assert repr(re.escape("x is not defined")) + ", message" in text


def test_secrets_are_in_no_script():
    secret = Step("fill", css="#p", value="my password", secret=True)
    text = script(FAILURES[0], [OPEN, secret, SEND], BASE)
    assert "my password" not in text
    assert "WEBTEST_SECRET" in text


@pytest.fixture
def report(tmp_path):
    folder = tmp_path / "report"
    require_folder(folder)
    exploration = Exploration(BASE, "baseline:novelty", 10, actions=10, states=1)
    for failure in (Failure("dead_link", "GET /<a> 404"), Failure("error_page", "GET /b\x01 500")):
        finding = Finding(failure, 3, f"{BASE}?q=<script>", "<b>title", (OPEN, LINK), replay="shown")
        finding.script, finding.path = "print()", (OPEN, LINK)
        exploration.findings.append(finding)
    once = Finding(Failure("error_page", "GET /once 500"), 3, BASE, "", (OPEN,), replay="not_shown")
    exploration.findings.append(once)
    write_report(exploration, folder)
    return folder


def test_all_files_say_the_same(report):
    listed = json.loads((report / "report.json").read_text())
    assert [one["site"] for one in listed["failures"]] == ["GET /b\x01 500", "GET /<a> 404"]  # the worst first
    assert [one["site"] for one in listed["not_reproduced"]] == ["GET /once 500"]
    suite = ElementTree.fromstring((report / "junit.xml").read_text())
    assert suite.attrib["failures"] == "2"
    assert [case.attrib["name"] for case in suite] == ["explore", "error_page GET /b? 500", "dead_link GET /<a> 404"]
    page = (report / "report.html").read_text()
    assert "GET /&lt;a&gt; 404" in page
    assert "<b>title" not in page
    assert (report / "failure_02.py").read_text() == "print()"


def test_a_stopped_exploration_lists_what_was_not_tried(tmp_path):
    exploration = Exploration(BASE, "baseline:novelty", 100, actions=10, states=1, ended="It was stopped by a signal")
    untried = Finding(Failure("error_page", "GET /b 500"), 3, BASE, "", (OPEN,), script="print()", path=(OPEN,))
    exploration.findings.append(untried)
    write_report(exploration, tmp_path)
    listed = json.loads((tmp_path / "report.json").read_text())
    assert listed["failures"] == []
    assert [one["site"] for one in listed["not_tried"]] == ["GET /b 500"]
    suite = ElementTree.fromstring((tmp_path / "junit.xml").read_text())
    assert (suite.attrib["failures"], suite.attrib["errors"], suite.attrib["skipped"]) == ("0", "1", "1")
    assert (tmp_path / "failure_01.py").read_text() == "print()"
    assert "It was stopped by a signal" in (tmp_path / "report.html").read_text()


def test_an_earlier_report_stays_until_there_is_another(report):
    require_folder(report)
    assert (report / "failure_02.py").exists()
    write_report(Exploration(BASE, "baseline:novelty", 10, actions=10), report)
    assert {file.name for file in report.iterdir()} == {"report.html", "report.json", "junit.xml"}


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "failure_01.py").write_text("x")  # of a report that was not written to its end
    require_folder(tmp_path / "begun")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="has other files"):
        require_folder(tmp_path / "mine")


def test_failures_are_kept_or_dismissed_on_loopback_alone(report):
    server = server_of(report, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with httpx.Client(base_url=url, trust_env=False) as http:
        assert http.get("/").status_code == 200
        assert http.get("/feedback").json() == {}
        assert (
            http.post("/feedback", json={"site": "dead_link GET /<a> 404", "judgement": "dismiss"}).status_code == 204
        )
        assert http.get("/feedback").json() == {"dead_link GET /<a> 404": "dismiss"}
        assert http.post("/feedback", json={"site": "other", "judgement": "keep"}).status_code == 422
        assert http.post("/feedback", content=b'{"site": "x"}').status_code == 403  # as a form of another page
        assert http.get("/", headers={"Host": "evil.example:80"}).status_code == 403
        assert http.get("/../report.json").status_code == 404
    server.shutdown()
    server.server_close()
    assert read_judgements(report / "judgements.json") == {"dead_link GET /<a> 404": "dismiss"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ftp://x"], "URL 'ftp://x' cannot be used"),
        ([BASE, "--login", "x.py"], "is code that runs on this machine"),
        ([BASE, "--login", "no.py", "--trust"], "does not exist"),
        ([BASE, "--auth", "no.json"], "cannot be read"),
        ([BASE, "--auth", "a", "--login", "b"], "exclude each other"),
        ([BASE, "--allow", "("], "not a regular expression"),
        ([BASE, "--value", "x"], "write NAME=VALUE"),
        ([BASE, "--policy", "baseline:novlty"], "novelty"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["webtest", "explore", *arguments])
    assert isinstance(result.exception, InputError), result.output
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("https://a.example/x", "https://a.example/x"),
        ("https://a.example?q=/", "https://a.example/?q=/"),
        ("https://a.example#/users", "https://a.example/#/users"),
    ],
)
def test_a_url_without_a_path_gets_one(url, origin):
    assert checked_url(url) == origin


def test_a_password_in_a_url_is_not_repeated():
    with pytest.raises(InputError) as raised:
        checked_url("http://me:secret7@127.0.0.1/")
    assert "secret7" not in str(raised.value)


def test_a_storage_state_of_another_application_is_refused(tmp_path):
    file = tmp_path / "state.json"
    file.write_text(json.dumps({"cookies": [{"domain": ".example.com", "name": "a", "value": "b"}]}))
    state = read_state(file)
    require_state_of(state, "https://app.example.com/", file)
    with pytest.raises(InputError, match=r"has nothing for 127\.0\.0\.1 \(it is of example\.com\)"):
        require_state_of(state, BASE, file)


def test_a_storage_state_is_checked(tmp_path):
    file = tmp_path / "state.json"
    for content in ("[]", "{}", "x", '{"cookies": 1}', '{"cookies": [1]}', '{"cookies": [], "origins": {}}'):
        file.write_text(content)
        with pytest.raises(InputError, match="not a storage state"):
            read_state(file)
    file.write_text('{"cookies": []}')
    assert read_state(file) == {"cookies": [], "origins": []}
