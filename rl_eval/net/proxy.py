"""The proxy that the environment variables name for a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from rl_eval.net.address import DEFAULT_PORTS, AddressError

SOCKS_PORT = 1080


@dataclass(frozen=True)
class Proxy:
    """A proxy, by its scheme an http, https or SOCKS one.

    Attributes:
        credentials: user and password, where it needs them.
    """

    scheme: str
    host: str
    port: int
    credentials: tuple[str, str] | None = field(repr=False)


def environment_proxy(scheme: str, host: str) -> Proxy | None:
    """The proxy of a host by `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`; None: no proxy.

    Raises:
        AddressError: a proxy whose address cannot be read.
    """
    proxies = getproxies()
    text = proxies.get(scheme) or proxies.get("all")
    if not text or proxy_bypass(host):
        return None
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError as error:
        raise AddressError("would go through a proxy whose address cannot be read") from error
    if not parts.hostname:
        raise AddressError("would go through a proxy without a host")
    port = port or DEFAULT_PORTS.get(parts.scheme, SOCKS_PORT)
    credentials = None
    if parts.username is not None:
        credentials = (unquote(parts.username), unquote(parts.password or ""))
    return Proxy(parts.scheme, parts.hostname, port, credentials)
