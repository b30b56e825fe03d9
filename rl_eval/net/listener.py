"""What our own servers share: the socket that they listen on, uvicorn's settings, and bodies of bounded size."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from rl_eval.errors import InputError

LOOPBACK = "127.0.0.1"
BACKLOG = 128
KEEP_ALIVE_S = 60
UVICORN: dict[str, Any] = {
    "lifespan": "off", "log_level": "error", "access_log": False, "server_header": False, "date_header": False,
    "timeout_keep_alive": KEEP_ALIVE_S, "ws": "none",
}  # fmt: skip


class TooLargeError(InputError):
    """A body has more bytes than are read."""


def listening_socket(host: str, port: int, given: str = "--host {host} --port {port}") -> socket.socket:
    """A TCP socket that listens on an address; port 0 is any free one.

    Args:
        given: how the address was given, with `{host}` and `{port}`; errors quote it.

    Raises:
        InputError: the address is not one of this machine, or the port is not free.
    """
    # asyncio disables Nagle's algorithm only if the protocol is named; with it, each request takes 40 ms longer.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError, UnicodeError) as error:
        listener.close()
        stated = given.format(host=host, port=port)
        raise InputError(f"{stated} cannot be used ({error}): give another port") from error
    listener.listen(BACKLOG)
    return listener


async def read_body(receive: Callable[[], Awaitable[MutableMapping[str, Any]]], max_bytes: int) -> bytes:
    """The body of a request, read from its ASGI messages.

    Raises:
        TooLargeError: it has more bytes; no more of it is read.
    """
    parts, size = [], 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise TooLargeError(f"a body has at most {max_bytes:,} bytes")
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
