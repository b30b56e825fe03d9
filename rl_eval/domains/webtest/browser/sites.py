"""Names that are equal for near-duplicates: templates of addresses and messages."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

_RECORD = re.compile(
    r"\d+(?:[-_.,]\d+)*"  # a number, a date
    r"|[0-9a-f]{8,}(?:-[0-9a-f]{4,})*"  # a hash, a UUID
    r"|(?=[^/]*\d)(?=[^/]*[A-Za-z])[\w~-]{16,}",  # a token
    re.IGNORECASE,
)
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:[.,]\d+)*", re.IGNORECASE)
_URL = re.compile(r"\bhttps?://[^\s'\"<>)]+")
_LONG_QUOTE = re.compile(r"([\"'`])(?:(?!\1).){41,}\1")
_LONGEST = 200


def origin_of(url: str) -> str:
    """`https://host:8000` of an address; empty if it has none, such as `about:blank`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme in ("http", "https") else ""


def host_of(url: str) -> str:
    """Host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme in ('https', 'wss') else 80)}"


def path_template(url: str) -> str:
    """The path of an address with `{n}` in place of the names of single records."""
    return _without_records(urlsplit(url).path)


def address_template(url: str) -> str:
    """The template of the path, the names of the query, and the route in the fragment, such as `#/orders/{n}`."""
    parts = urlsplit(url)
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    route = f"#{_without_records(parts.fragment.partition('?')[0])}" if parts.fragment.startswith(("/", "!")) else ""
    return f"{path_template(url)}{'?' if names else ''}{'&'.join(names)}{route}"[:_LONGEST]


def _without_records(path: str) -> str:
    segments = unquote(path).split("/")
    return ("/".join("{n}" if _RECORD.fullmatch(segment) else segment for segment in segments) or "/")[:_LONGEST]


def text_template(text: str) -> str:
    """A text with `#` in place of numbers."""
    return _NUMBER.sub("#", " ".join(text.split()))[:_LONGEST]


def message_template(message: str) -> str:
    """The first line of a message without numbers, long quotations and full addresses.

    Scripts may write half of a surrogate pair, which no file can hold; it becomes a question mark.
    """
    first = next(iter(message.encode(errors="replace").decode().strip().splitlines()), "")
    first = _URL.sub(lambda found: path_template(found[0]), first)
    return text_template(_LONG_QUOTE.sub("'…'", first))


def echoes(status: int, url: str) -> bool:
    """Whether an address asks for this status itself, as in `/status/404` or `?code=500`."""
    parts = urlsplit(url)
    asked = {*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))}
    return str(status) in asked
