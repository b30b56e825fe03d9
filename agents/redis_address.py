"""The address of a Redis server, and the user and password for it, which come from elsewhere.

This module does not import the client, so a config is checked without it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote

ENVIRONMENT_VARIABLE = "RL_EVAL_REDIS_AUTH"  # `user:password` or `password`: an address has none
_ADDRESS = re.compile(
    r"(?P<scheme>rediss?)://(?P<host>\[[0-9a-f:]+\]|[a-z0-9._-]+)(:(?P<port>\d{1,5}))?(/(?P<db>\d{1,4})?)?", re.I
)


@dataclass(frozen=True)
class RedisAddress:
    """`redis://host:port/db`, or `rediss://` with TLS; without a user and a password."""

    host: str
    port: int = 6379
    db: int = 0
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}/{self.db}"


def is_address(text: str) -> bool:
    """Whether a text is meant as the address of a Redis server."""
    return re.match(r"rediss?:", text, re.I) is not None


def parse_address(text: str) -> RedisAddress:
    """The parts of an address.

    Raises:
        ValueError: it is not an address; the sentence does not repeat it, since it may hold a password.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise ValueError(
            "the address of a Redis server is redis://host:port/db, or rediss:// with TLS; user and password go into "
            f"the environment variable {ENVIRONMENT_VARIABLE}"
        )
    host = match["host"].strip("[]").lower()
    return RedisAddress(host, int(match["port"] or 6379), int(match["db"] or 0), match["scheme"].lower() == "rediss")


def credentials() -> dict[str, str]:
    """Keyword arguments of the client: the user and the password of the environment variable, percent-encoded there."""
    first, colon, rest = os.environ.get(ENVIRONMENT_VARIABLE, "").partition(":")
    user, password = (first, rest) if colon else ("", first)
    values = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in values.items() if value}
