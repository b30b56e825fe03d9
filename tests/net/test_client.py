"""The HTTP client against servers that are hostile, slow or absent."""

import socket
import time

import pytest

from rl_eval.net import AddressError, Client, Limits, RequestError, parse_base_url, parse_url
from tests.net.raw_server import raw_server, reply


@pytest.fixture
def server():
    with raw_server() as listening:
        yield listening


def client(server, path="", **options):
    return Client(parse_base_url(f"{server.url}{path}"), **options)


def failure(server, limits=None, method="GET", path="/a?key=secret"):
    """The error of a request."""
    with pytest.raises(RequestError) as error:
        client(server, limits=limits).request(method, path)
    return error.value


def test_a_request_and_its_response(server):
    server.answer = reply(201, b'{"id": 7}', "X-Name: v")
    response = client(server, "/api").request("POST", "/users?x=1 2", [("X-Own", "y")], b"{}")
    assert (response.status, response.content, response.headers["x-name"]) == (201, b'{"id": 7}', "v")
    assert response.duration_ms > 0
    head, body = server.requests[0]
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /api/users?x=1%202 HTTP/1.1"
    assert {f"Host: 127.0.0.1:{server.port}", "X-Own: y", "Content-Type: application/json"} <= set(lines)
    assert body == b"{}"


def test_the_url_itself_is_requested_with_its_query(server):
    Client(parse_url(f"{server.url}/act/?model=a")).request("POST", body=b"1")
    assert server.requests[0][0].startswith(b"POST /act/?model=a HTTP/1.1\r\n")


def test_a_header_replaces_the_default_of_its_name(server):
    client(server).request("POST", headers=[("accept", "text/csv"), ("Content-Type", "text/csv")], body=b"a,b")
    head = server.requests[0][0].lower()
    assert head.count(b"\r\naccept: ") == head.count(b"\r\ncontent-type: ") == 1
    assert b"\r\naccept: text/csv" in head


def test_a_path_that_could_leave_the_base_is_not_sent(server):
    for path in ("/../x", "//evil.example/", "/a\r\nX: y", "/%2e%2e/x"):
        with pytest.raises(AddressError):
            client(server, "/api").request("GET", path)
    assert server.connections == 0


def test_connections_are_kept_and_cookies_are_not(server, monkeypatch):
    monkeypatch.setattr("rl_eval.net.client.KEEP_ALIVE_S", 600)
    server.answer = reply(200, b"{}", "Set-Cookie: a=b")
    requesting = client(server)
    for _ in range(3):
        requesting.request("GET", "/")
    assert server.connections == 1
    assert not any(b"cookie" in head.lower() for head, _ in server.requests)
    requesting.close()
    requesting.request("GET", "/")
    assert server.connections == 2


def test_redirects_are_responses(server):
    with raw_server() as elsewhere:
        server.answer = reply(302, b"", f"Location: {elsewhere.url}/x")
        assert client(server).request("GET", "/").status == 302
        assert elsewhere.connections == 0


def test_compressed_content_is_not_unpacked(server):
    server.answer = reply(200, b"\x1f\x8b", "Content-Encoding: gzip")
    assert client(server).request("GET", "/").content == b"\x1f\x8b"
    assert b"\r\nAccept-Encoding: identity" in server.requests[0][0]


def send_without_end(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def test_one_wait_and_the_whole_request_have_limits(server):
    server.answer = server.silent
    error = failure(server, Limits(total_s=60, wait_s=0.1))
    assert (error.kind, error.reason) == ("timeout", "no answer within 0.1 s")
    error = failure(server, Limits(total_s=0.2))
    assert (error.kind, error.reason) == ("too_slow", "no answer within 0.2 s")
    server.answer = server.dripping
    error = failure(server, Limits(total_s=0.3, wait_s=60))
    assert (error.kind, error.reason) == ("too_slow", "no answer within 0.3 s")


def repeated(first, part):
    """Sends `first` once, then `part` for ever."""

    def send(connection):
        connection.sendall(first)
        while True:
            connection.sendall(part)

    return send


WITHOUT_END = {
    "headers": repeated(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "one header": repeated(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000),
    "interim responses": repeated(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": repeated(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "empty lines": repeated(b"", b"\r\n"),
    "chunks": repeated(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a chunk's size": repeated(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers": repeated(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "redirects": repeated(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b"x"),
}


@pytest.mark.parametrize("part", WITHOUT_END)
def test_whatever_a_server_sends_without_end_is_over_in_time(server, part):
    server.answer = WITHOUT_END[part]
    begin = time.monotonic()
    error = failure(server, Limits(total_s=0.5, wait_s=0.2))
    assert error.kind in ("too_slow", "too_large", "unreachable")
    assert time.monotonic() - begin < 30  # half a second, and what a busy machine adds


def test_a_response_has_a_largest_size(server):
    server.answer = send_without_end
    error = failure(server, Limits(max_bytes=3 << 10))
    assert (error.kind, error.reason) == ("too_large", "the answer has more than 3 KiB")
    assert failure(server).reason == "the answer has more than 1 MiB"
    server.answer = reply(200, b"x" * 100)
    assert client(server, limits=Limits(max_bytes=100)).request("GET", "/").content == b"x" * 100


@pytest.mark.parametrize(
    "sent",
    [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"],
    ids=["nothing", "SSH", "half"],
)
def test_what_is_not_http(server, sent):
    server.answer = lambda connection: connection.sendall(sent)
    error = failure(server)
    assert error.kind == "unreachable"
    assert "did not answer in HTTP" in error.reason


def test_errors_name_the_request_without_its_query(server):
    server.answer = lambda connection: None
    error = failure(server, method="DELETE")
    assert error.request == f"DELETE {server.url}/a"
    assert str(error).startswith(f"DELETE {server.url}/a: ")
    assert "secret" not in str(error)
    assert len(failure(server, path=f"/{'a' * 3000}").request) <= 200


def test_no_server():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for text in (url, f"http://{'a' * 70}.invalid"):
        with pytest.raises(RequestError, match="no connection") as error:
            Client(parse_base_url(text), Limits(2)).request("GET", "/")
        assert error.value.kind == "unreachable"


def test_https_uses_only_tls(server):
    with pytest.raises(RequestError):
        Client(parse_base_url(f"https://127.0.0.1:{server.port}"), Limits(0.3)).request("GET", "/")
    assert server.requests == []


def test_a_request_that_http_does_not_know_is_invalid(server):
    with pytest.raises(RequestError) as error:
        client(server).request("GET", "/", [("X", "a\r\nY: b")])
    assert error.value.kind == "invalid"
    assert server.requests == []


def test_a_client_works_again_after_a_failure(server):
    requesting = client(server, limits=Limits(0.2))
    server.answer = server.dripping
    with pytest.raises(RequestError):
        requesting.request("GET", "/")
    server.answer, requesting.limits = reply(200, b"{}"), Limits(60)
    assert requesting.request("GET", "/").status == 200
