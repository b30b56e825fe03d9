"""How many connections there may be, and how long one may take to send a header."""

import asyncio
import contextlib
import json
import socket
import threading

import pytest
import uvicorn

from rl_eval.net import LOOPBACK, UVICORN, listening_socket
from rl_eval.serving.connections import MAX_CONNECTIONS, _Gathered, bounded_protocol, most_connections

MOST = 3
GUARD_S = 60  # of waits that end long before
REQUEST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}"


async def echo(scope, receive, send):
    body = (await receive())["body"]
    while len(body) < 2:
        body += (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def connect():
    """Opens connections to a server that takes `MOST`."""
    listener = listening_socket(LOOPBACK, 0)
    server = uvicorn.Server(uvicorn.Config(echo, **{**UVICORN, "http": bounded_protocol(MOST, header_s=0.2)}))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(listener.getsockname(), timeout=GUARD_S))
    server.should_exit = True
    thread.join()


def answer(connection):
    content = b""
    while not content.endswith(b"{}"):
        content += connection.recv(1000)
    return content


def test_what_is_no_http_is_refused_in_json(connect):
    connection, content = connect(), b""
    connection.sendall(b"nothing of HTTP\r\n\r\n")
    while part := connection.recv(1000):
        content += part
    head, _, body = content.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert isinstance(json.loads(body)["detail"], str)


def closed(connection):
    """Whether the server closed it without an answer; waits for that."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1000) == b""
    return True


def test_a_header_that_does_not_end_is_not_waited_for(connect):
    silent, halfway, later = connect(), connect(), connect()
    halfway.sendall(REQUEST[:20])
    later.sendall(REQUEST)
    assert answer(later).startswith(b"HTTP/1.1 200")
    later.sendall(REQUEST[:20])  # on a connection that was used before
    assert closed(silent)
    assert closed(halfway)
    assert closed(later)


def test_a_body_has_a_time_of_its_own(connect):
    connection, clock = connect(), connect()
    connection.sendall(REQUEST[:-1])
    assert closed(clock)  # which connected later
    connection.sendall(REQUEST[-1:])
    assert answer(connection).startswith(b"HTTP/1.1 200")


def test_more_connections_are_closed_at_once(connect):
    open_ = [connect() for _ in range(MOST)]
    for connection in open_:
        connection.sendall(REQUEST)
        assert answer(connection).startswith(b"HTTP/1.1 200")
    assert closed(connect())
    open_[0].sendall(REQUEST)
    assert answer(open_[0]).startswith(b"HTTP/1.1 200")


def test_the_limit_of_open_files_leaves_some_for_the_store():
    resource = pytest.importorskip("resource")
    assert 0 < most_connections() <= MAX_CONNECTIONS
    assert most_connections() < resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_what_one_turn_writes_is_sent_at_once_and_in_order():
    sent = []

    class Transport:
        def write(self, data):
            sent.append(data)

        def close(self):
            sent.append("closed")

        def is_closing(self):
            return "closed" in sent

    async def run():
        gathered = _Gathered(Transport(), asyncio.get_running_loop())
        gathered.write(b"head ")
        gathered.write(b"body")
        assert sent == []
        await asyncio.sleep(0)
        gathered.write(b"last")
        gathered.close()
        await asyncio.sleep(0)
        assert gathered.is_closing()

    asyncio.run(run())
    assert sent == [b"head body", b"last", "closed"]
