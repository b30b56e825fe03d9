"""Connections of clients: how many there are at most, and how long one may take to send the header of a request."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from rl_eval.serving.refusals import json_text

_HTTP: Any = AutoHTTPProtocol
MAX_CONNECTIONS = 2_000
SPARE_FILES = 384  # that the process may open in addition; asyncio accepts some hundred connections at once
HEADER_S = 30.0  # from connecting, or from the first byte of a later request, to the end of its header


def most_connections() -> int:
    """How many connections may be open, so that there are always files left for the store."""
    try:
        import resource
    except ImportError:  # where the system has no such limit
        return MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(soft - SPARE_FILES, soft // 2))


class _Gathered:
    """A transport that sends what one turn of the event loop writes at once: uvicorn writes head and body apart."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop):
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def bounded_protocol(most: int, header_s: float = HEADER_S) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, whose connections are closed where there are too many, or a header does not end.

    Args:
        most: connections at the same time; further ones are closed at once.
    """

    class Bounded(_HTTP):
        _header_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(_Gathered(transport, self.loop))
            if len(self.connections) > most:
                transport.abort()
                return
            self._wait_for_header()

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            super().data_received(data)
            answering = self.cycle is not None and not self.cycle.response_complete
            if self.cycle is not before or answering:  # the header has ended
                self._stop_waiting()
            elif self._header_timer is None:
                self._wait_for_header()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            """Answer a request that is not HTTP like any other refusal."""
            body = json_text({"detail": f"this is not an HTTP request ({msg.rstrip('.')}): send one of HTTP/1.1"})
            head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
            self.transport.close()

        def _wait_for_header(self) -> None:
            self._header_timer = self.loop.call_later(header_s, self.transport.abort)

        def _stop_waiting(self) -> None:
            if self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None

    return Bounded
