"""One request, one answer, to one origin: bounded in time and size, without redirects, proxies or cookies.

httpcore is what httpx sends requests with. Used by itself it costs half as much a request, and its streams can be
given what is left of a time limit, so that a server that sends a byte now and then does not outlive it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rl_eval.domains.qase.live.address import Origin

if TYPE_CHECKING:
    import httpcore

MAX_ANSWER = 1 << 20
KEEP_ALIVE_S = 4.0  # below the 5 s after which many servers hang up


class UnansweredError(Exception):
    """No whole answer came, and why, in a few words.

    Attributes:
        gone: whether nobody could be reached at all.
    """

    def __init__(self, why: str, gone: bool = False):
        super().__init__(why)
        self.gone = gone


@dataclass(frozen=True)
class Answer:
    """What came back; names of headers are in lower case, `ms` is the wall time from sending to the last byte."""

    status: int
    headers: dict[str, str]
    content: bytes = field(repr=False)
    ms: float


class Exchange:
    """Requests to one origin, one after another over connections that are kept.

    Args:
        timeout_s: for a whole exchange, from connecting to the last byte.
        max_answer: in bytes.
    """

    def __init__(self, origin: Origin, timeout_s: float = 10.0, max_answer: int = MAX_ANSWER):
        import httpcore

        self.origin, self.timeout_s, self._max = origin, timeout_s, max_answer
        self._deadline = _Deadline()
        context = None
        if origin.scheme == "https":
            import httpx

            context = httpx.create_ssl_context(trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, max_connections=1, keepalive_expiry=KEEP_ALIVE_S,
            network_backend=_backend(self._deadline),
        )  # fmt: skip
        self._httpcore = httpcore
        port = "" if origin.port == {"http": 80, "https": 443}[origin.scheme] else f":{origin.port}"
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        self._fixed = [
            (b"Host", f"{host}{port}".encode()), (b"Accept", b"*/*"), (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"rl_eval"),
        ]  # fmt: skip

    def send(
        self, method: str, target: bytes, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> Answer:
        """Send one request and read its answer.

        Args:
            target: path and query below the origin, escaped; see `address.target`.
            body: JSON.

        Raises:
            UnansweredError: nobody there, no answer in time, one too large, or one that is not HTTP.
        """
        core = self._httpcore
        url = core.URL(
            scheme=self.origin.scheme.encode(), host=self.origin.host.encode(), port=self.origin.port, target=target
        )
        given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        named = {name.lower() for name, _ in given}
        sent = [(name, value) for name, value in self._fixed if name.lower() not in named] + given
        if body is not None:
            sent.append((b"Content-Length", b"%d" % len(body)))
            if b"content-type" not in named:
                sent.append((b"Content-Type", b"application/json"))
        elif method in ("POST", "PUT", "PATCH"):
            sent.append((b"Content-Length", b"0"))
        start = time.perf_counter()
        self._deadline.at = start + self.timeout_s
        try:
            with self._pool.stream(method, url, headers=sent, content=body) as response:
                content = self._content(response.iter_stream())
                found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                status = response.status
        except core.TimeoutException as error:
            raise UnansweredError(f"no answer within {self.timeout_s:g} s") from error
        except (core.ConnectError, UnicodeError) as error:  # UnicodeError: a name that no resolver takes
            raise UnansweredError(f"no connection to {self.origin} ({_short(error)})", gone=True) from error
        except core.NetworkError as error:
            raise UnansweredError(f"the connection to {self.origin} broke ({_short(error)})", gone=True) from error
        except core.RemoteProtocolError as error:
            raise UnansweredError(f"{self.origin} did not answer in HTTP ({_short(error)})", gone=True) from error
        except core.LocalProtocolError as error:
            raise UnansweredError(f"the request cannot be sent ({_short(error)})") from error
        return Answer(status, found, content, 1000 * (time.perf_counter() - start))

    def _content(self, parts: Iterator[bytes]) -> bytes:
        read: list[bytes] = []
        size = 0
        for part in parts:
            size += len(part)
            if size > self._max:
                raise UnansweredError(f"the answer has more than {self._max >> 10} KiB")
            read.append(part)
        return b"".join(read)

    def close(self) -> None:
        """Hang up; a later request connects again."""
        self._pool.close()


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:120]


class _Deadline:
    """Until when (on `perf_counter`) the present exchange may last."""

    at = 0.0

    def left(self, otherwise: type[Exception]) -> float:
        left = self.at - time.perf_counter()
        if left <= 0:
            raise otherwise("too late")
        return left


def _backend(deadline: _Deadline) -> httpcore.NetworkBackend:
    """Plain sockets whose every wait ends with the exchange."""
    import httpcore

    class Stream(httpcore.NetworkStream):
        def __init__(self, inner: httpcore.NetworkStream):
            self._inner = inner

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self._inner.read(max_bytes, deadline.left(httpcore.ReadTimeout))

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._inner.write(buffer, deadline.left(httpcore.WriteTimeout))

        def close(self) -> None:
            self._inner.close()

        def start_tls(self, ssl_context: Any, server_hostname: Any = None, timeout: Any = None) -> Any:
            left = deadline.left(httpcore.ConnectTimeout)
            return Stream(self._inner.start_tls(ssl_context, server_hostname, left))

        def get_extra_info(self, info: str) -> Any:
            return self._inner.get_extra_info(info)

    class Backend(httpcore.NetworkBackend):
        def __init__(self) -> None:
            self._inner = httpcore.SyncBackend()

        def connect_tcp(
            self, host: str, port: int, timeout: Any = None, local_address: Any = None, socket_options: Any = None
        ) -> httpcore.NetworkStream:
            left = deadline.left(httpcore.ConnectTimeout)
            return Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options))

    return Backend()
