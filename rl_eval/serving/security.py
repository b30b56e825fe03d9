"""What every request passes first: its host, its origin, its token, the size of its body; and how long it took."""

from __future__ import annotations

import asyncio
import binascii
import hmac
import ipaddress
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rl_eval.errors import InputError
from rl_eval.net import TOKEN_VARIABLE, TooLargeError, Url, read_body
from rl_eval.serving.bodies import MAX_BODY
from rl_eval.serving.refusals import ERRORS, json_text, refusal_of

MIN_TOKEN = 16  # characters
BODY_S = 60.0  # for a body to arrive
NOT_ANSWERED = 500  # the status of a request that nobody got to answer
# They change what is served, so they need the token where there is one.
CHANGING = ("/load", "/save", "/update")
OPEN = ("/health", "/v2/health/live", "/v2/health/ready")  # for probes, also from other machines
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Access:
    """Who may ask what.

    Attributes:
        token: None: there is none, which only a loopback address may have.
        loopback: whether the server listens only on this machine.
        changing: paths that need the token where there is one.
        people: whether people ask with browsers, which send the token as a password (HTTP's Basic scheme).
    """

    token: str | None = None
    loopback: bool = True
    changing: Sequence[str] = CHANGING
    people: bool = False

    @classmethod
    def at_address(
        cls,
        host: str,
        token: str | None,
        key: str = "--host",
        *,
        changing: Sequence[str] = CHANGING,
        people: bool = False,
    ) -> Access:
        """The access of a server that listens there; `key` is what named the host.

        Raises:
            InputError: the token is short, or other machines could ask without one.
        """
        loopback = Url("http", host, 0).is_loopback
        if token is not None and len(token) < MIN_TOKEN:
            raise InputError(f"{TOKEN_VARIABLE} has {len(token)} characters: choose one of at least {MIN_TOKEN}")
        if token is None and not loopback:
            raise InputError(
                f"{key} {host} lets other machines ask: set {TOKEN_VARIABLE} to a secret of {MIN_TOKEN} characters "
                "or more"
            )
        return cls(token, loopback, changing, people)

    def refusal(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """The status and sentence for a request that is refused; None if it passes."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self.loopback and not is_local(host):
            return 421, f"the Host header names {host[:100]!r}, which is not this machine: use http://127.0.0.1"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower().partition("://")[2] != host:
            return 403, "requests from web pages of another origin are refused"
        needed = path in self.changing if self.loopback else path not in OPEN
        if self.token is not None and needed and not self._has(self.token, headers.get(b"authorization", b"")):
            password = ", or a browser that sends it as the password of any user" if self.people else ""
            return (
                401,
                f"this needs the header `Authorization: Bearer <token>`, with the {TOKEN_VARIABLE} of the "
                f"server{password}",
            )
        return None

    def _has(self, token: str, authorization: bytes) -> bool:
        scheme, _, sent = authorization.partition(b" ")
        if self.people and scheme.lower() == b"basic":
            try:
                sent = b64decode(sent.strip(), validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != b"bearer":
            return False
        return hmac.compare_digest(sent.strip(), token.encode())

    @property
    def challenge(self) -> bytes:
        """The header `WWW-Authenticate`; at `Basic`, browsers ask the person."""
        return b'Basic realm="rl_eval", charset="UTF-8"' if self.people else b"Bearer"


def is_local(host: str) -> bool:
    """Whether a Host header names this machine; a name that an attacker's DNS may point here does not."""
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    if name in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


class GuardedApp:
    """An app whose requests are checked and counted, their bodies read up to the limit before it sees them.

    Args:
        count: called with path, status and seconds of each answered request.
        direct: path -> from the body of a POST to its answer, without the app.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        count: Callable[[str, int, float], None],
        direct: Mapping[str, Callable[[bytes], Awaitable[dict[str, Any]]]],
    ):
        self._app, self._access, self._count, self._direct = app, access, count, direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI asks it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), NOT_ANSWERED

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, receive, send_and_note)
        except asyncio.CancelledError:  # a signal ends the server
            if status == NOT_ANSWERED:
                await _refuse(send_and_note, 503, "the server is stopping: nothing of this request was kept")
        finally:
            route = scope["path"] if scope["path"] in self._direct else getattr(scope.get("route"), "path", None)
            self._count(route if isinstance(route, str) else "other", status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if (refusal := self._access.refusal(scope["path"], headers)) is not None:
            status, sentence = refusal
            await _refuse(
                send, status, sentence, [(b"www-authenticate", self._access.challenge)] if status == 401 else []
            )
            return
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length[:20]) > MAX_BODY:
            await _refuse(send, 413, f"a body has at most {MAX_BODY >> 20} MiB")
            return
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_S):
                body = await read_body(receive, MAX_BODY)
        except TooLargeError:
            await _refuse(send, 413, f"a body has at most {MAX_BODY >> 20} MiB")
            return
        except TimeoutError:
            await _refuse(send, 408, f"the body did not arrive within {BODY_S:g} s: send it faster")
            return
        if scope["method"] == "POST" and scope["path"] in self._direct:
            try:
                status, answer = 200, await self._direct[scope["path"]](body)
            except ERRORS as error:
                status, sentence = refusal_of(error)
                answer = {"detail": sentence}
            await _send(send, status, json_text(answer))
            return
        given = False

        async def receive_body() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive_body, send)


async def _refuse(send: Send, status: int, sentence: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Refuse a request whose body is not read, so that its connection cannot be used again."""
    await _send(send, status, json_text({"detail": sentence}), [(b"connection", b"close"), *headers])


async def _send(send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    length = (b"content-length", b"%d" % len(body))
    headers = [(b"content-type", b"application/json"), length, *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
