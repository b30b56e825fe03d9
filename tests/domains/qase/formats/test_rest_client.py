"""The REST client against a fake API: pages, waiting, and a token that goes to one host only."""

import json

import pytest

from rl_eval.domains.qase.formats import rest_client
from rl_eval.domains.qase.formats.csv_export import read_csv_export
from rl_eval.domains.qase.formats.json_export import read_json_export
from rl_eval.domains.qase.formats.load import load
from rl_eval.domains.qase.formats.rest_client import connect, fetch_project, fetch_results
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.results import ResultsCollector
from rl_eval.errors import InputError
from rl_eval.net import Limits
from tests.domains.qase.qase_api import CASE, EXPORT, MILESTONES, RESULTS, SUITES, SYSTEM_FIELDS, TOKEN, V1, V2, serving


@pytest.fixture
def qase(monkeypatch):
    monkeypatch.setenv("QASE_API_TOKEN", TOKEN)
    with serving() as stand_in:
        yield stand_in


@pytest.fixture
def connection(qase):
    waits = []
    result = connect(qase.url, sleep=waits.append)
    qase.waits = waits
    yield result
    result.client.close()


def test_one_case_is_one_object_whatever_it_was_read_from(qase, connection, tmp_path):
    saved = {"case": [CASE], "suite": SUITES, "milestone": MILESTONES}
    for name, entities in saved.items():
        page = {"status": True, "result": {"total": len(entities), "entities": entities}}
        (tmp_path / f"{name}.json").write_text(json.dumps(page))
    (tmp_path / "system_field.json").write_text(json.dumps(SYSTEM_FIELDS))
    projects = {
        "rest": fetch_project(connection, "DEMO", Notes()),
        "saved pages": load(str(tmp_path)).project,
        "json": read_json_export(EXPORT, "x", Notes()),
        "csv v1": read_csv_export(V1.encode(), "x", Notes()),
        "csv v2": read_csv_export(V2.encode(), "x", Notes()),
    }
    first = projects["rest"]
    assert first.cases[0].severity == "critical"
    assert first.cases[0].parameters[0].values == ("admin", "guest")
    for name, project in projects.items():
        assert project.cases == first.cases, name
        assert project == first, name


def test_every_page_is_asked_for_once(qase, connection):
    qase.lists["case/DEMO"] = [{**CASE, "id": i + 1} for i in range(250)]
    project = fetch_project(connection, "DEMO", Notes())
    assert [case.id for case in project.cases] == list(range(1, 251))
    run_prioritise = [path for path, _ in qase.asked if "/case/" in path]
    assert run_prioritise == [f"/v1/case/DEMO?limit=100&offset={offset}" for offset in (0, 100, 200)]
    assert {headers["Token"] for _, headers in qase.asked} == {TOKEN}


def test_integers_are_read_by_the_workspace_and_unknown_ones_stay(qase, connection):
    qase.lists["case/DEMO"] = [{**CASE, "severity": 77, "priority": 1234}]
    notes = Notes()
    case = fetch_project(connection, "DEMO", notes).cases[0]
    assert (case.severity, case.priority) == ("catastrophic", "1234")
    assert list(notes.counts) == ["priority 1234 is not in the workspace's system_field: kept as text"]


def test_without_system_fields_no_integer_is_guessed(tmp_path):
    page = {"result": {"total": 1, "entities": [{**CASE, "suite_id": None, "milestone_id": None}]}}
    (tmp_path / "cases.json").write_text(json.dumps(page))
    result = load(str(tmp_path / "cases.json"))
    assert result.project.cases[0].severity == "2"
    assert "severity 2 is a number that no system_field explains: kept as text" in result.notes


@pytest.mark.parametrize(
    ("manual", "to_be_automated", "slug"),
    [(True, False, "is-not-automated"), (True, True, "to-be-automated"), (False, False, "automated")],
)
def test_the_newer_names_of_automation_go_before_the_older(qase, connection, manual, to_be_automated, slug):
    qase.lists["case/DEMO"] = [{**CASE, "isManual": manual, "isToBeAutomated": to_be_automated}]
    assert fetch_project(connection, "DEMO", Notes()).cases[0].automation == slug


def test_results_come_with_their_runs(qase, connection):
    notes = Notes()
    collector = ResultsCollector(notes)
    fetch_results(connection, "DEMO", collector)
    results = collector.build()
    assert [run.name for run in results.runs] == ["10", "11"]
    assert results.counts() == {"passed": 1, "failed": 1, "blocked": 1, "retest": 1}
    assert results.duration_ms.tolist() == [float(entry["time_spent_ms"]) for entry in RESULTS]
    assert results.case_ids.tolist() == [7] * 4
    assert "the status 'retest' is a custom status: neither passed nor failed" in notes.counts


def test_429_and_5xx_are_waited_out(qase, connection):
    qase.instead = [(429, {"Retry-After": "7"}, "{}"), (503, {}, "{}"), (500, {"Retry-After": "99999"}, "{}")]
    assert len(fetch_project(connection, "DEMO", Notes()).cases) == 1
    assert qase.waits == [7.0, 1.0, rest_client.LONGEST_WAIT_S]


def test_patience_ends(qase, connection):
    qase.instead = [(502, {}, "{}")] * rest_client.ATTEMPTS
    with pytest.raises(InputError, match="Qase answered system_field with status 502, 6 times: try later"):
        fetch_project(connection, "DEMO", Notes())
    assert len(qase.asked) == rest_client.ATTEMPTS
    assert qase.waits == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_a_service_that_is_not_there_is_reported(monkeypatch):
    monkeypatch.setenv("QASE_API_TOKEN", TOKEN)
    with serving() as stand_in:
        url = stand_in.url
    with pytest.raises(InputError, match=r"Qase cannot be reached \(no connection to http.*\), 6 times"):
        fetch_project(connect(url, sleep=lambda s: None), "DEMO", Notes())


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, {}, f'{{"errorMessage": "bad token {TOKEN}"}}'), "status 401: the token in QASE_API_TOKEN is refused"),
        ((302, {"Location": "http://127.0.0.1:1/"}, ""), "status 302: a redirect, which is not followed"),
        ((418, {}, "x"), "status 418"),
        ((200, {}, "<html>"), "the response of system_field, line 1, column 1: not JSON"),
        ((200, {}, "[]"), "system_field: [] where an object is needed"),
        ((200, {}, '{"result": []}'), "system_field names none of severity"),
        ((200, {}, '{"result": [{"slug": "type", "options": [{"id": 1, "slug": "a"}, {"id": 1, "slug": "b"}]}]}'),
         "the id 1 of type is used twice"),
    ],
)  # fmt: skip
def test_other_answers_are_reported_without_the_token(qase, connection, answer, sentence):
    qase.instead = [answer]
    with pytest.raises(InputError) as message:
        fetch_project(connection, "DEMO", Notes())
    assert sentence in str(message.value)
    assert TOKEN not in str(message.value) + repr(connection)
    assert len(qase.asked) == 1


def test_a_large_answer_is_cut(qase, monkeypatch):
    monkeypatch.setattr(rest_client, "LIMITS", Limits(max_bytes=1 << 20))
    qase.instead = [(200, {}, b" " * (3 << 20))]
    with pytest.raises(InputError, match="/system_field: the answer has more than 1 MiB"):
        fetch_project(connect(qase.url), "DEMO", Notes())
    assert len(qase.asked) == 1


def test_pages_that_move_under_the_reader_are_reported(qase, connection):
    qase.lists["case/DEMO"] = [{**CASE, "id": i % 100 + 1} for i in range(150)]
    with pytest.raises(InputError, match="'1' was on an earlier page: the project has changed, try again"):
        fetch_project(connection, "DEMO", Notes())


def test_a_list_that_ends_too_early_is_reported(qase, connection):
    page = {"status": True, "result": {"total": 5, "filtered": 5, "count": 0, "entities": []}}
    qase.instead = [(200, {}, json.dumps(SYSTEM_FIELDS)), (200, {}, json.dumps(page))]
    with pytest.raises(InputError, match="suite/DEMO says it has 5 entities and returned 0"):
        fetch_project(connection, "DEMO", Notes())


def test_a_project_that_is_not_there_is_reported(qase, connection):
    with pytest.raises(InputError, match="status 404: name the code of a project"):
        fetch_project(connection, "NONE", Notes())
    with pytest.raises(InputError, match="is not a project code"):
        fetch_project(connection, "../admin", Notes())


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://example.org/v1", "would send the token unencrypted"),
        ("https://me:word@example.org/v1", "contains a user or password"),
        ("ftp://example.org", "neither http nor https"),
        ("nothing", "neither http nor https"),
    ],
)
def test_the_token_goes_to_no_doubtful_url(monkeypatch, url, sentence):
    monkeypatch.setenv("QASE_API_TOKEN", TOKEN)
    with pytest.raises(InputError, match=sentence):
        connect(url)


def test_the_token_comes_from_the_environment_or_env_file(monkeypatch, tmp_path):
    monkeypatch.delenv("QASE_API_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"set QASE_API_TOKEN in the environment or in \.env"):
        connect()
    (tmp_path / ".env").write_text("# a comment\nOTHER=1\nexport QASE_API_TOKEN='from-file'\n")
    result = connect()
    assert result.token == "from-file"
    assert "from-file" not in repr(result)
    monkeypatch.setenv("QASE_API_TOKEN", "line\nbreak")
    with pytest.raises(InputError, match="characters that a token cannot have"):
        connect()
