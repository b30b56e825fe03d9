"""Proxies of the environment: used only on request, and refused where they cannot be used."""

import pytest

from rl_eval.net import AddressError, Client, RequestError, parse_base_url
from rl_eval.net.proxy import environment_proxy
from tests.net.raw_server import raw_server, reply

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def proxy():
    with raw_server() as server:
        yield server


def test_which_proxy_a_host_has(monkeypatch):
    assert environment_proxy("http", "example.org") is None
    monkeypatch.setenv("all_proxy", "socks5://p")
    monkeypatch.setenv("https_proxy", "http://me:s%40crypt@p:3128")
    monkeypatch.setenv("no_proxy", "example.com")
    proxy = environment_proxy("https", "example.org")
    assert (proxy.scheme, proxy.host, proxy.port, proxy.credentials) == ("http", "p", 3128, ("me", "s@crypt"))
    assert "crypt" not in repr(proxy)
    assert environment_proxy("https", "example.com") is None
    assert environment_proxy("http", "example.org").port == 1080
    monkeypatch.setenv("https_proxy", "p:no")
    with pytest.raises(AddressError):
        environment_proxy("https", "example.org")


def test_a_client_uses_the_proxy_only_where_it_trusts_the_environment(monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://me:word@"))
    proxy.answer = reply(200, b"from the proxy")
    url = parse_base_url("http://host.invalid/api")
    assert Client(url, trust_env=True).request("GET", "/x?y=1").content == b"from the proxy"
    head = proxy.requests[0][0]
    assert head.startswith(b"GET http://host.invalid:80/api/x?y=1 HTTP/1.1\r\n")
    assert b"\r\nHost: host.invalid\r\n" in head
    assert b"\r\nProxy-Authorization: Basic bWU6d29yZA==" in head  # printf me:word | base64
    with raw_server() as server:
        for name in NAMES[:3]:
            monkeypatch.setenv(name, proxy.url)
        assert Client(parse_base_url(server.url)).request("GET", "/").status == 200
    assert len(proxy.requests) == 1


def test_https_goes_through_a_tunnel(monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy.url)
    proxy.answer = reply(403)
    with pytest.raises(RequestError, match=r"no connection to https://host\.invalid") as error:
        Client(parse_base_url("https://host.invalid"), trust_env=True).request("GET", "/x")
    assert error.value.kind == "unreachable"
    assert proxy.requests[0][0].startswith(b"CONNECT host.invalid:443 HTTP/1.1\r\n")


def test_a_socks_proxy_is_refused(monkeypatch):
    monkeypatch.setenv("all_proxy", "socks5://p:1080")
    with pytest.raises(AddressError, match="neither http nor https"):
        Client(parse_base_url("http://host.invalid"), trust_env=True)
