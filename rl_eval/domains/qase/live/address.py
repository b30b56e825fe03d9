"""Where requests may go: below one base URL and nowhere else."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from rl_eval.domains.qase.model.project import shown
from rl_eval.errors import InputError

MAX_TARGET = 4096  # characters of a path with its query
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)
_KEPT = "%/?:@!$&'()*+,;=-._~[]"
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class RefusedError(ValueError):
    """A path that is not sent anywhere, and why, in a few words."""


@dataclass(frozen=True)
class Origin:
    """A base URL, taken apart: `http://host:port/prefix`; the prefix has no slash at its end."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"


def origin(base_url: str) -> Origin:
    """The parts of a base URL.

    Raises:
        InputError: not http or https, no host, a user or password, a query or fragment, or a path with tricks.
    """

    def wrong(why: str) -> InputError:
        return InputError(f"the base URL {shown(base_url)} {why}: give one such as https://host:8443/api")

    if not base_url.isascii() or not base_url.isprintable() or " " in base_url or "\\" in base_url:
        raise wrong("holds characters that no URL has")
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise wrong(f"cannot be read ({error})") from error
    if parts.scheme not in ("http", "https"):
        raise wrong("is neither http nor https")
    if "@" in parts.netloc:
        raise wrong("holds a user or password")
    host = parts.hostname or ""
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise wrong("has no host") from error
    elif not _HOST.fullmatch(host):
        raise wrong("has no host")
    if parts.query or parts.fragment or "?" in base_url or "#" in base_url:
        raise wrong("has a query or a fragment")
    prefix = parts.path.rstrip("/")
    if prefix:
        try:
            prefix = target(prefix).decode()
        except RefusedError as error:
            raise wrong(f"has a path that is refused: {error}") from error
    return Origin(parts.scheme, host, (443 if parts.scheme == "https" else 80) if port is None else port, prefix)


def target(path: str) -> bytes:
    """A path with its query, escaped for the request line.

    Raises:
        RefusedError: anything that could leave the base URL, or that a server between could read in another way:
            another host, dot segments, backslashes, control characters, however often escaped.
    """
    if len(path) > MAX_TARGET:
        raise RefusedError(f"the path has more than {MAX_TARGET} characters")
    if not path.startswith("/"):
        raise RefusedError("a path begins with one slash: only the base URL is asked")
    if _BAD_ESCAPE.search(path):
        raise RefusedError("a % without two hexadecimal digits")
    if "#" in path:
        raise RefusedError("a fragment (#) is never sent")
    whole, _, _ = path.partition("?")
    for text in _unescaped(path):
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            raise RefusedError("a control character, such as a line end")
    for text in _unescaped(whole):
        if text.startswith("//"):
            raise RefusedError("two slashes name another host")
        if "\\" in text:
            raise RefusedError("a backslash, which some servers read as a slash")
        if any(part.partition(";")[0] in (".", "..") for part in text.split("/")):
            raise RefusedError("a segment . or .. could leave the base URL")
    try:
        return quote(path, safe=_KEPT).encode("ascii")
    except UnicodeEncodeError as error:
        raise RefusedError("text with half a surrogate pair") from error


def _unescaped(text: str) -> list[str]:
    """The text, and what it becomes when it is unescaped, until nothing is left to unescape."""
    found = [text]
    while "%" in text and (text := unquote(text)) != found[-1]:
        found.append(text)
    return found
