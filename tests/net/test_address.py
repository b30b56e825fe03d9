"""Addresses: requests stay below their URL, tricks are refused, and credentials never appear in messages."""

from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.net.address import (
    AddressError,
    Url,
    escape_target,
    is_loopback,
    parse_base_url,
    parse_url,
)

PIECES = st.sampled_from(
    ["/", "//", "\\", "..", ".", "%2e", "%2E%2e", "%252e", "%2f", "%5c", "%255c", "%0d%0a", "%250a", "@", ":", "#", "?",
     "a", "evil.example", "http:", "%", "%zz", "\r\n", "\t", " ", "\x00", ";", "é", "%c0%ae", "\ud800", "[", "]"]
)  # fmt: skip


def stays_below(target):
    """Whether a path, however often a server unescapes it, names no other host and leaves no directory."""
    text = target.decode("ascii")
    path = text.partition("?")[0]
    for _ in range(5):
        if path.startswith("//") or "\\" in path or {".", ".."} & {part.partition(";")[0] for part in path.split("/")}:
            return False
        path = unquote(path)
    return text.startswith("/") and all(33 <= byte < 127 for byte in target)


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=8).map("".join))
def test_an_escaped_target_stays_below_the_base(path):
    try:
        target = escape_target(path)
    except AddressError:
        return
    assert stays_below(target)


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=8).map("".join), st.sampled_from(["http://a", "https://a:8/b", "http://[::1]/x/"]))
def test_a_url_has_the_host_that_was_written_or_is_refused(path, server):
    try:
        url = parse_url(f"{server}/{path}")
    except AddressError:
        return
    assert str(url).startswith(server.rstrip("/"))
    assert stays_below(url.target())


@pytest.mark.parametrize(
    "path", ["//evil", "/../x", "/a/%2e%2e/b", "/a\\b", "/a/..;/b", "a", "", "/a#b", "/%0d%0aX: y", "/a%", "/%25252e."]
)
def test_tricks_are_refused(path):
    with pytest.raises(AddressError):
        escape_target(path)


def test_an_ordinary_path_is_kept_and_the_rest_is_escaped():
    assert escape_target("/users/7/a%20b?x=1 2&é=[1]") == b"/users/7/a%20b?x=1%202&%C3%A9=[1]"


@pytest.mark.parametrize(
    "text",
    ["ftp://a", "http://", "http://u:p@a", "http://a@b", "http://a#", "a", "http://a b", "http://a\\b", "http://a/../b",
     "http://a:99999", "http://a:no", "http://[1::", "http://a%00", "//a", "http://é", "http://a//b/%2e%2e", "http:x"],
)  # fmt: skip
def test_no_url(text):
    for parse in (parse_url, parse_base_url):
        with pytest.raises(AddressError):
            parse(text)


def test_a_base_url_has_no_query():
    assert parse_url("http://a?b").query == "b"
    for text in ("http://a?b", "http://a?"):
        with pytest.raises(AddressError, match="has a query"):
            parse_base_url(text)


def test_urls_in_parts():
    url = parse_url("https://Example.com:8443/api/v1/?key=%20x")
    assert url == Url("https", "example.com", 8443, "/api/v1/", "key=%20x")
    assert url.target() == b"/api/v1/?key=%20x"
    assert str(url) == "https://example.com:8443/api/v1/"  # a query may hold a key
    assert str(parse_base_url("http://127.0.0.1:80/")) == "http://127.0.0.1"
    assert parse_base_url("http://127.0.0.1").target() == b"/"
    base = parse_base_url("http://[::1]:8/api/")
    assert (base.host, base.authority) == ("::1", "[::1]:8")
    assert base.target("/users?x=1") == b"/api/users?x=1"
    with pytest.raises(AddressError):
        base.target("/../users")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "10.0.0.7", "example.org", "127.0.0.1.example.org", "localhost.example.org", "2001:db8::1", "", "127.1",
     "2130706433", "0x7f000001", "::ffff:10.0.0.7"],
)  # fmt: skip
def test_other_machines(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("location", "same"),
    [("/x", True), ("x", True), ("http://a:8/y", True), ("http://A:8/y", True), ("http://a:9/x", False),
     ("https://a:8/x", False), ("//b:8/x", False), ("http://u@a:8/", False), ("http://[", False)],
)  # fmt: skip
def test_where_a_redirect_leads(location, same):
    assert parse_base_url("http://a:8/api").has_same_origin(location) is same


# Of these characters, each would end the part of the address that holds credentials.
CREDENTIAL = st.text(st.characters(exclude_characters="/?#\\"), min_size=1)


@given(CREDENTIAL, CREDENTIAL)
def test_credentials_are_refused(user, password):
    with pytest.raises(AddressError):
        parse_url(f"http://{user}:{password}@host/path")
