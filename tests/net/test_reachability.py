"""Reachability: a server, none, one behind a proxy, and a name lookup that takes too long."""

import socket
import threading

import pytest

from rl_eval.net import accepts_connections
from tests.net.raw_server import raw_server


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def test_a_server_that_listens_and_one_that_does_not():
    with raw_server() as server:
        assert accepts_connections(f"{server.url}/path", 60)
        assert server.requests == []
    assert not accepts_connections(f"http://127.0.0.1:{closed_port()}", 2)


@pytest.mark.parametrize("url", ["nothing", "http://", "ftp://127.0.0.1", f"http://{'a' * 70}.invalid"])
def test_what_is_no_server(url):
    assert not accepts_connections(url, 2)


def test_behind_a_proxy_it_is_the_proxy_that_counts(monkeypatch):
    with raw_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert accepts_connections("http://host.invalid", 60)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    assert not accepts_connections("http://host.invalid", 2)


def test_a_slow_name_lookup_does_not_hold_it_up(monkeypatch):
    answers, ended = threading.Event(), []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (answers.wait(60) and ended.append(True)) or [])
    assert not accepts_connections("http://example.org", 0.1)
    assert not ended  # the lookup still goes on
    answers.set()
