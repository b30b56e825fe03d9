"""Which addresses requests may go to: one URL, all below it, and nothing else."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

MAX_TARGET = 4096  # characters of a path with its query
DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)
_UNESCAPED_CHARACTERS = "%/?:@!$&'()*+,;=-._~[]"
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class AddressError(ValueError):
    """A URL or path that no request is sent to. The message says why in a few words and repeats nothing of it."""


@dataclass(frozen=True)
class Url:
    """An http or https URL in parts.

    Attributes:
        host: in lower case; an IPv6 address has no brackets.
        path: escaped; empty, or begins with a slash.
        query: escaped, without its question mark.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        """Without the query, which may hold a key."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def target(self, path: str = "") -> bytes:
        """The path and query that a request line has.

        Args:
            path: below this URL, with its query; empty: this URL itself, with its own query.

        Raises:
            AddressError: see `escape_target`.
        """
        if path:
            return self.path.encode() + escape_target(path)
        return f"{self.path or '/'}{'?' if self.query else ''}{self.query}".encode()

    def has_same_origin(self, location: str) -> bool:
        """Whether a location, absolute or relative to this URL, has the same scheme, host and port."""
        try:
            parts = urlsplit(urljoin(f"{self}/", location))
            port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            return False
        return (parts.scheme, parts.hostname, port, parts.username) == (self.scheme, self.host, self.port, None)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: an address of the loopback network, or `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_url(text: str) -> Url:
    """The parts of a URL.

    Raises:
        AddressError: not http or https, no host, a user or password, a fragment, or a path that `escape_target`
            refuses.
    """
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise AddressError("contains characters that a URL cannot have")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise AddressError("has a host or port that cannot be read") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise AddressError("is neither http nor https")
    if "@" in parts.netloc:
        raise AddressError("contains a user or password")
    host = parts.hostname or ""
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise AddressError("has no host") from error
    elif not _HOST.fullmatch(host):
        raise AddressError("has no host")
    if "#" in text:
        raise AddressError("has a fragment")
    try:
        target = escape_target(f"{parts.path or '/'}?{parts.query}").decode()
    except AddressError as error:
        raise AddressError(f"has a path that is refused: {error}") from error
    path, _, query = target.partition("?")
    return Url(parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port, path, query)


def parse_base_url(text: str) -> Url:
    """The parts of a URL that requests go below; slashes at its end are dropped.

    Raises:
        AddressError: as `parse_url`, or a query.
    """
    url = parse_url(text)
    if "?" in text:
        raise AddressError("has a query")
    return Url(url.scheme, url.host, url.port, url.path.rstrip("/"))


def escape_target(path: str) -> bytes:
    """A path with its query, escaped for the request line.

    Raises:
        AddressError: anything that could leave the URL that the path is below, or that a server in between could read
            in another way: another host, dot segments, backslashes, control characters, however often escaped.
    """
    if len(path) > MAX_TARGET:
        raise AddressError(f"the path has more than {MAX_TARGET} characters")
    if not path.startswith("/"):
        raise AddressError("a path begins with one slash: requests go only below the base URL")
    if _BAD_ESCAPE.search(path):
        raise AddressError("a % without two hexadecimal digits")
    if "#" in path:
        raise AddressError("a fragment (#) is never sent")
    for text in _unescaped_forms(path):
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            raise AddressError("a control character, such as a line end")
    for text in _unescaped_forms(path.partition("?")[0]):
        if text.startswith("//"):
            raise AddressError("two slashes name another host")
        if "\\" in text:
            raise AddressError("a backslash, which some servers read as a slash")
        if any(segment.partition(";")[0] in (".", "..") for segment in text.split("/")):
            raise AddressError("a segment . or .. could leave the base URL")
    try:
        return quote(path, safe=_UNESCAPED_CHARACTERS).encode("ascii")
    except UnicodeEncodeError as error:
        raise AddressError("text with half a surrogate pair") from error


def _unescaped_forms(text: str) -> list[str]:
    """The text, and what it becomes when it is unescaped, until nothing is left to unescape."""
    forms = [text]
    while "%" in text and (text := unquote(text)) != forms[-1]:
        forms.append(text)
    return forms
