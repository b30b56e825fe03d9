"""Running cases over HTTP: requests stay below the base URL, and incomplete responses give no verdict."""

import json
import socket
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rl_eval.domains.qase.live import BLOCKED, FAILED, NOT_RUNNABLE, PASSED, Runner
from rl_eval.domains.qase.model.project import Case, CaseStep, Parameter
from tests.net.raw_server import raw_server, reply


@pytest.fixture(scope="module")
def server():
    with raw_server() as server:
        yield server


@pytest.fixture(scope="module")
def elsewhere():
    """Where nothing may ever be sent."""
    with raw_server() as server:
        yield server


@pytest.fixture(scope="module")
def runner(server):
    with Runner(f"{server.url}/api", timeout_s=5) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(server):
    server.answer = reply(200, b"{}")
    server.requests.clear()


def case(*steps, **values):
    return Case(id=1, title="-", steps=tuple(CaseStep(**step) for step in steps), **values)


def step(action="GET /", expected_result="200", **values):
    return {"action": action, "expected_result": expected_result, **values}


def test_requests_go_below_the_base_url(server, runner):
    server.answer = reply(201, b'{"id": 7}')
    result = runner.run(case(step("POST /users?x=1 2", "201, body.id == 7", data='X-Own: y\n\n{"a": "é"}')))
    assert result.status == PASSED
    assert result.verdict == 0
    (head, body) = server.requests[0]
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /api/users?x=1%202 HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert "X-Own: y" in lines
    assert "Content-Type: application/json" in lines
    assert "truth" not in head.decode().lower()
    assert json.loads(body) == {"a": "é"}


def test_a_wrong_answer_fails_at_its_step_and_ends_the_case(server, runner):
    server.answer = reply(500, b'{"error": "\\u001b[31m"}')
    result = runner.run(case(step("GET /a", "500"), step("GET /b", "200"), step("GET /c", "200")))
    assert (result.status, result.verdict) == (FAILED, 1)
    assert result.reason == "Step 2: status 500 where 200 was expected."
    assert len(server.requests) == 2
    assert result.bugs == 0
    message = runner.run(case(step("GET /a", '500, body.error == "x"'))).reason
    assert message.isprintable()


def test_without_a_stated_status_an_error_fails(server, runner):
    server.answer = reply(404, b'{"a": 1}')
    assert runner.run(case(step("GET /", "body.a == 1"))).status == FAILED


def test_saved_values_come_into_paths_escaped_and_into_bodies_as_they_are(server, runner):
    server.answer = reply(200, b'{"id": 7, "name": "a/b?c d"}')
    result = runner.run(
        case(
            step("GET /", "200, save body.id as id, save body.name as name"),
            step("POST /x/{{name}}", data='{"id": {{id}}, "text": "{{id}}"}'),
        )
    )
    assert result.status == PASSED
    head, body = server.requests[1]
    assert head.startswith(b"POST /api/x/a%2Fb%3Fc%20d HTTP/1.1")
    assert json.loads(body) == {"id": 7, "text": "7"}


@pytest.mark.parametrize(
    ("value", "step_after", "reason"),
    [
        ("..", step("GET /{{v}}/x"), "segment"),
        ("%2e%2e", step("GET /{{v}}/x"), "segment"),
        ("\\", step("GET /{{v}}"), "backslash"),
        ("a\r\nX: y", step("GET /{{v}}"), "control character"),
        ("a\r\nX: y", step("GET /", data="X-Own: {{v}}"), "not allowed in a header"),
        ("é", step("GET /", data="X-Own: {{v}}"), "not allowed in a header"),
        ("x" * 5000, step("GET /{{v}}"), "too large"),
        ([1], step("GET /{{v}}"), "cannot be part of a text"),
        (None, step("GET /x?a={{v}}"), "cannot be part of a text"),
    ],
)  # fmt: skip
def test_a_saved_value_that_would_become_a_trick_is_not_sent(server, runner, value, step_after, reason):
    server.answer = reply(200, json.dumps({"v": value}).encode())
    result = runner.run(case(step("GET /", "200, save body.v as v"), step_after))
    assert result.status in (BLOCKED, FAILED)
    assert reason in result.reason
    assert len(server.requests) == 1


def test_a_value_that_is_not_there_to_be_saved_fails(runner):
    result = runner.run(case(step("GET /", "200, save body.token as token")))
    assert (result.status, result.reason) == (FAILED, "Step 1: body.token, to be saved as token, is not there.")


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/x", "//127.0.0.1:{port}/x", "https://example.com/"])
def test_redirects_off_the_base_url_are_not_followed(server, elsewhere, runner, location):
    location = location.format(port=elsewhere.port)
    server.answer = reply(302, b"", f"Location: {location}")
    result = runner.run(case(step("GET /", "200")))
    assert (result.status, result.verdict) == (BLOCKED, -1)
    assert "redirected off the base URL" in result.reason
    assert runner.run(case(step("GET /", f'302, header Location == "{location}"'))).status == PASSED
    assert len(server.requests) == 2
    assert elsewhere.connections == 0


def test_a_redirect_within_the_base_url_is_an_answer_like_any_other(server, runner):
    for location in ("/api/x", f"{server.url}/api/x", "x"):
        server.answer = reply(307, b"", f"Location: {location}")
        assert runner.run(case(step("GET /", "200"))).status == FAILED


HOSTS = ("127.0.0.1:{port}", "localhost:{port}", "user@127.0.0.1:{port}", "127.0.0.1:{port}#", "[::1]:{port}")
HOSTILE = st.builds(
    lambda method, before, host, after: f"{method} {before}{host}{after}",
    st.sampled_from(["GET", "POST", "get", "GET\t", "CONNECT"]),
    st.sampled_from(
        ["http://", "https://", "//", "///", "/\\", "\\\\", "/%2f", "@", "/..//", "/@", "/x\r\nHost: ",
         "/ HTTP/1.1\r\n", "HTTP:", "http:/", "/%0d%0aHost:", "/a?u=http://", "/;//", "/%5c%5c", ""]
    ),
    st.sampled_from(HOSTS),
    st.sampled_from(["", "/", "/x", "\r\n\r\nGET / HTTP/1.1", "/../..", "?x=1", " HTTP/1.1"]),
)  # fmt: skip


@example("GET /@127.0.0.1:{port}/x", "")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(HOSTILE, st.sampled_from(["", "Host: 127.0.0.1:{port}", "X: y\n\n{}", "Forwarded: host=127.0.0.1:{port}"]))
def test_no_action_ever_leaves_the_base_url(server, elsewhere, runner, action, data):
    server.requests.clear()
    action, data = (text.replace("{port}", str(elsewhere.port)) for text in (action, data))
    result = runner.run(case(step(action, data=data)))
    if result.status != NOT_RUNNABLE:
        (head, _) = server.requests[0]
        assert len(server.requests) == 1
        assert head.split(b" ")[1].startswith(b"/api/")
        assert head.lower().count(b"\r\nhost:") == 1
        assert f"\r\nHost: 127.0.0.1:{server.port}\r\n".encode() in head + b"\r\n"
    assert elsewhere.connections == 0


def test_proxies_of_the_environment_are_not_used(server, elsewhere, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, elsewhere.url)
    monkeypatch.delenv("no_proxy", raising=False)
    with Runner(server.url) as running:
        assert running.run(case(step())).status == PASSED
    assert elsewhere.connections == 0


def endless(end):
    end.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        end.sendall(b"x" * 65536)


@pytest.mark.parametrize("answer", ["silent", "dripping"])
def test_an_incomplete_response_is_blocked(server, answer):
    server.answer = getattr(server, answer)
    start = time.perf_counter()
    with Runner(server.url, timeout_s=0.2) as running:
        result = running.run(case(step()))
    assert (result.status, result.verdict, result.unreachable) == (BLOCKED, -1, False)
    assert result.reason == "Step 1: no answer within 0.2 s."
    assert 200 <= result.duration_ms <= 1000 * (time.perf_counter() - start)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (endless, "more than 1 MiB"),
        (lambda end: None, "did not answer in HTTP"),
        (lambda end: end.sendall(b"SSH-2.0-x\r\n\r\n"), "did not answer in HTTP"),
        (lambda end: end.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "did not answer in HTTP"),
        (reply(200, b"[" * 100_000), "nested too deep"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_blocked(server, answer, reason):
    server.answer = answer
    with Runner(server.url, timeout_s=5) as running:
        result = running.run(case(step("GET /", "200, body.x not exists")))
    assert (result.status, result.verdict) == (BLOCKED, -1)
    assert reason in result.reason


def test_an_unreachable_service_is_blocked_and_marked():
    with socket.create_server(("127.0.0.1", 0)) as duration:
        port = duration.getsockname()[1]
    with Runner(f"http://127.0.0.1:{port}") as running:
        result = running.run(case(step()))
    assert (result.status, result.verdict, result.unreachable) == (BLOCKED, -1, True)
    assert "no connection to http://127.0.0.1" in result.reason
    with Runner(f"http://{'a' * 70}.invalid", timeout_s=2) as running:
        assert running.run(case(step())).status == BLOCKED


def test_https_is_requested_only_over_tls(server):
    with Runner(f"https://127.0.0.1:{server.port}", timeout_s=0.3) as running:
        result = running.run(case(step()))
    assert (result.status, server.requests) == (BLOCKED, [])


@pytest.mark.parametrize("body", [b"<html>", b"\xff", b'{"a": NaN}', b'{"a": 1e', b""])
def test_bodies_that_are_not_json_meet_no_check(server, runner, body):
    server.answer = reply(200, body)
    assert runner.run(case(step("GET /", "200, body.a not exists"))).status == FAILED
    assert runner.run(case(step("GET /", "200"))).status == PASSED


def test_an_encoded_body_is_not_unpacked(server, runner):
    server.answer = reply(200, b'{"a": 1}', "Content-Encoding: gzip")
    assert runner.run(case(step("GET /", "200, body.a == 1"))).status == FAILED


def test_a_case_is_run_once_for_each_row_and_fails_with_the_first(server, runner):
    rows = (Parameter(title="id", values=("1", "2", "3")),)
    calls = []
    result = runner.run(case(step("GET /{{id}}"), parameters=rows), before=lambda: calls.append(len(server.requests)))
    assert (result.status, calls) == (PASSED, [0, 1, 2])
    result = runner.run(case(step("GET /{{id}}", "200, body.id == {{id}}"), parameters=rows))
    assert result.status == FAILED
    assert "(with 'id=1')" in result.reason


def test_time_and_bugs_from_another_service_are_ignored(server, runner):
    server.answer = reply(500, b"{}", "Server-Timing: app;dur=99999", "X-Seeded-Bugs: B01")
    result = runner.run(case(step()))
    assert result.duration_ms < 5000
    assert result.bugs == 0
    with Runner(server.url, truth_token="t") as trusting:
        result = trusting.run(case(step()))
    assert (result.duration_ms, result.bugs) == (99999.0, 1)
    assert b"X-Truth-Token: t" in server.requests[-1][0]


def test_connections_are_kept(server):
    before = server.connections
    with Runner(server.url) as running:
        for _ in range(5):
            assert running.run(case(step(), step())).status == PASSED
    assert server.connections == before + 1
