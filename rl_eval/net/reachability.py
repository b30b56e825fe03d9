"""Whether a server can be reached, without sending it a request."""

from __future__ import annotations

import socket
import threading

from rl_eval.net.address import AddressError, parse_url
from rl_eval.net.proxy import environment_proxy


def accepts_connections(url: str, timeout_s: float) -> bool:
    """Whether the server of a URL, or the proxy in front of it, accepts a connection in time."""
    try:
        server = parse_url(url)
        proxy = environment_proxy(server.scheme, server.host)
    except AddressError:
        return False
    address = (server.host, server.port) if proxy is None else (proxy.host, proxy.port)
    accepted = threading.Event()

    def connect() -> None:
        try:
            with socket.create_connection(address, timeout=timeout_s):
                accepted.set()
        except (OSError, UnicodeError):
            pass

    # A name lookup has no time limit of its own, so it gets a thread that can be left behind.
    thread = threading.Thread(target=connect, name="net-reachability", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return accepted.is_set()
