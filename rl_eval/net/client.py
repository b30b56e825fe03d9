"""HTTP requests to one URL and below it: bounded in time and size, without redirects or cookies.

httpcore is what httpx sends requests with. Used by itself it costs half as much per request. Its streams can be given
what is left of a time limit, so a server that sends a byte now and then cannot exceed it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rl_eval.net.address import DEFAULT_PORTS, AddressError, Url
from rl_eval.net.proxy import Proxy, environment_proxy

if TYPE_CHECKING:
    import httpcore

KEEP_ALIVE_S = 4.0  # below the 5 s after which many servers hang up
MAX_REQUEST_NAME = 200  # characters of a request in an error

Failure = Literal["unreachable", "timeout", "too_slow", "too_large", "invalid"]


@dataclass(frozen=True)
class Limits:
    """Limits on time and size of one request.

    Attributes:
        total_s: from connecting to the last byte of the response.
        wait_s: for connecting, and for each part of the response.
        max_bytes: of the response.
    """

    total_s: float = 10.0
    wait_s: float = math.inf
    max_bytes: int = 1 << 20


class RequestError(Exception):
    """A request without a complete response.

    Attributes:
        request: method and URL, without the query.
        reason: a few words.
        kind: `unreachable` (no connection, a broken one, or a server that does not answer in HTTP), `timeout`
            (`wait_s` is over), `too_slow` (`total_s` is over), `too_large`, or `invalid` (a request that cannot be
            sent, or a response that is not the one expected).
    """

    def __init__(self, request: str, reason: str, kind: Failure):
        super().__init__(f"{request}: {reason}")
        self.request, self.reason, self.kind = request, reason, kind


@dataclass(frozen=True)
class Response:
    """A complete response.

    Attributes:
        headers: names in lower case.
        duration_ms: wall time from sending the request to the last byte.
    """

    status: int
    headers: dict[str, str]
    content: bytes = field(repr=False)
    duration_ms: float


class Client:
    """Sends requests to a URL and below it, one after another over a connection that is kept.

    Use one client per thread. Redirects are not followed, cookies are not kept, and compressed content is not unpacked.

    Args:
        trust_env: whether the environment's proxies and certificates are used (`https_proxy`, `SSL_CERT_FILE`, …).

    Raises:
        AddressError: the environment names a proxy that is neither http nor https.
    """

    def __init__(self, url: Url, limits: Limits | None = None, *, trust_env: bool = False):
        import httpcore

        self.url, self.limits = url, limits or Limits()
        self._httpcore = httpcore
        self._deadline = _Deadline()
        proxy = environment_proxy(url.scheme, url.host) if trust_env else None
        self._pool = _pool(url, proxy, trust_env, _backend(self._deadline))
        self._default_headers = [
            (b"Host", url.authority.encode()), (b"Accept", b"*/*"), (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"rl_eval"),
        ]  # fmt: skip

    def request(
        self, method: str, path: str = "", headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> Response:
        """Send one request and read its response, with any status.

        Args:
            path: below the URL, with its query; empty: the URL itself.
            headers: in place of the default ones of the same names.
            body: JSON, unless a header says otherwise.

        Raises:
            AddressError: a path that could leave the URL; nothing is sent.
            RequestError: no complete response within the limits.
        """
        core = self._httpcore
        target = self.url.target(path)
        url = core.URL(
            scheme=self.url.scheme.encode(), host=self.url.host.encode(), port=self.url.port, target=target
        )  # fmt: skip
        sent_headers = self._headers(method, headers, body)
        start = time.perf_counter()
        self._deadline.start(self.limits)
        try:
            with self._pool.stream(method, url, headers=sent_headers, content=body) as response:
                content = _read(response.iter_stream(), self.limits.max_bytes)
                if content is None:
                    reason = f"the answer has more than {_size(self.limits.max_bytes)}"
                    raise self._error(method, target, reason, "too_large")
                received = {n.decode("latin-1").lower(): v.decode("latin-1") for n, v in response.headers}
                status = response.status
        except core.TimeoutException as error:
            late = self._deadline.is_over() or math.isinf(self.limits.wait_s)
            limit_s = self.limits.total_s if late else self.limits.wait_s
            failure: tuple[str, Failure] = (f"no answer within {limit_s:g} s", "too_slow" if late else "timeout")
            raise self._error(method, target, *failure) from error
        except (core.ConnectError, core.ProxyError, UnicodeError) as error:  # UnicodeError: no resolver takes the name
            reason = f"no connection to {self.url} ({_short(error)})"
            raise self._error(method, target, reason, "unreachable") from error
        except core.NetworkError as error:
            reason = f"the connection to {self.url} broke ({_short(error)})"
            raise self._error(method, target, reason, "unreachable") from error
        except core.RemoteProtocolError as error:
            reason = f"{self.url} did not answer in HTTP ({_short(error)})"
            raise self._error(method, target, reason, "unreachable") from error
        except core.LocalProtocolError as error:
            raise self._error(method, target, f"the request cannot be sent ({_short(error)})", "invalid") from error
        return Response(status, received, content, 1000 * (time.perf_counter() - start))

    def _headers(
        self, method: str, headers: Iterable[tuple[str, str]], body: bytes | None
    ) -> list[tuple[bytes, bytes]]:
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        names = {name.lower() for name, _ in encoded}
        merged = [(name, value) for name, value in self._default_headers if name.lower() not in names] + encoded
        if body is not None:
            merged.append((b"Content-Length", b"%d" % len(body)))
            if b"content-type" not in names:
                merged.append((b"Content-Type", b"application/json"))
        elif method in ("POST", "PUT", "PATCH"):
            merged.append((b"Content-Length", b"0"))
        return merged

    def _error(self, method: str, target: bytes, reason: str, kind: Failure) -> RequestError:
        path = target.decode().partition("?")[0]
        request = f"{method} {self.url.scheme}://{self.url.authority}{path}"
        if len(request) > MAX_REQUEST_NAME:
            request = f"{request[: MAX_REQUEST_NAME - 1]}…"
        return RequestError(request, reason, kind)

    def close(self) -> None:
        """Close the connection; a later request opens one again."""
        self._pool.close()


def _read(parts: Iterator[bytes], max_bytes: int) -> bytes | None:
    """All parts together; None if they are larger than allowed."""
    read: list[bytes] = []
    size = 0
    for part in parts:
        size += len(part)
        if size > max_bytes:
            return None
        read.append(part)
    return b"".join(read)


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


def _short(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]


class _Deadline:
    """When the present request must be over, on `time.perf_counter`."""

    _end = 0.0
    _wait_s = math.inf

    def start(self, limits: Limits) -> None:
        self._end, self._wait_s = time.perf_counter() + limits.total_s, limits.wait_s

    def is_over(self) -> bool:
        return time.perf_counter() >= self._end

    def wait_s(self, timeout: type[Exception]) -> float:
        """How long the next wait may last; raises `timeout` where the time is over."""
        remaining = self._end - time.perf_counter()
        if remaining <= 0:
            raise timeout("too late")
        return min(remaining, self._wait_s)


def _pool(
    url: Url, proxy: Proxy | None, trust_env: bool, backend: httpcore.NetworkBackend
) -> httpcore.ConnectionPool:  # fmt: skip
    import httpcore

    if proxy is not None and proxy.scheme not in DEFAULT_PORTS:
        raise AddressError("would go through a proxy that is neither http nor https: set http_proxy or no_proxy")

    def certificates(scheme: str) -> Any:
        if scheme != "https":
            return None
        import httpx

        return httpx.create_ssl_context(trust_env=trust_env)

    options: dict[str, Any] = {
        "ssl_context": certificates(url.scheme), "max_connections": 1, "keepalive_expiry": KEEP_ALIVE_S,
        "network_backend": backend,
    }  # fmt: skip
    if proxy is None:
        return httpcore.ConnectionPool(**options)
    address = httpcore.URL(scheme=proxy.scheme.encode(), host=proxy.host.encode(), port=proxy.port, target=b"/")
    return httpcore.HTTPProxy(
        address, proxy_auth=proxy.credentials, proxy_ssl_context=certificates(proxy.scheme), **options
    )  # fmt: skip


def _backend(deadline: _Deadline) -> httpcore.NetworkBackend:
    """Plain sockets whose waits end with the request."""
    import httpcore

    class Stream(httpcore.NetworkStream):
        def __init__(self, inner: httpcore.NetworkStream):
            self._inner = inner

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self._inner.read(max_bytes, deadline.wait_s(httpcore.ReadTimeout))

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._inner.write(buffer, deadline.wait_s(httpcore.WriteTimeout))

        def close(self) -> None:
            self._inner.close()

        def start_tls(self, ssl_context: Any, server_hostname: Any = None, timeout: Any = None) -> Any:
            wait_s = deadline.wait_s(httpcore.ConnectTimeout)
            return Stream(self._inner.start_tls(ssl_context, server_hostname, wait_s))

        def get_extra_info(self, info: str) -> Any:
            return self._inner.get_extra_info(info)

    class Backend(httpcore.NetworkBackend):
        def __init__(self) -> None:
            self._inner = httpcore.SyncBackend()

        def connect_tcp(
            self, host: str, port: int, timeout: Any = None, local_address: Any = None, socket_options: Any = None
        ) -> httpcore.NetworkStream:
            wait_s = deadline.wait_s(httpcore.ConnectTimeout)
            return Stream(self._inner.connect_tcp(host, port, wait_s, local_address, socket_options))

    return Backend()
