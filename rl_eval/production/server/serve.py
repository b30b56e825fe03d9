"""`serve`: the production server as a process."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rl_eval.extras import imports_of_extra
from rl_eval.net import Url, listening_socket
from rl_eval.production.config import ProductionConfig
from rl_eval.production.keyed_store import open_for_serving
from rl_eval.production.queues import open_queue
from rl_eval.serving.serve import run_app

log = logging.getLogger(__name__)
ADDRESS = "serve.host: {host} and serve.port: {port} of the config"


def serve(config: ProductionConfig, registry: Any, *, token: str | None, show: Callable[[str], Any] = print) -> int:
    """Serve until SIGINT or SIGTERM.

    Args:
        registry: see `rl_eval.production.server.follower.Registry`.
        token: what `Authorization: Bearer` must hold; an address other than loopback needs one.

    Returns:
        The exit status: 0 after SIGTERM, 130 after SIGINT.

    Raises:
        InputError: the config, the queue or the address cannot be used.
    """
    with imports_of_extra("serve", "the production server"):
        from threadpoolctl import threadpool_limits

        from rl_eval.production.server.app import guarded
        from rl_eval.production.server.follower import Follower
        from rl_eval.production.server.production_server import ProductionServer
        from rl_eval.serving.security import Access
    host, port = config.serve.host, config.serve.port
    access = Access.at_address(host, token, "serve.host")
    threadpool_limits(1, user_api="blas")  # two threads on a small matrix are slower than one
    with contextlib.ExitStack() as stack:
        store, key = open_for_serving(config)
        stack.callback(store.close)
        queue = open_queue(config.collect, config.path)
        stack.callback(queue.close)
        copies = Path(stack.enter_context(TemporaryDirectory(prefix="rl_eval-versions-", ignore_cleanup_errors=True)))
        server = ProductionServer(config, queue, key)
        stack.callback(server.close)
        listener = stack.enter_context(contextlib.closing(listening_socket(host, port, ADDRESS)))
        follower = Follower(server, registry, store, copies)
        follower.look()
        stop = threading.Event()
        stack.callback(stop.set)
        threading.Thread(target=follower.run, args=(stop,), daemon=True, name="follower").start()
        show(f"{Url('http', host, listener.getsockname()[1])}  serves {config.name}; Ctrl-C ends it")
        return run_app(guarded(server, access), listener)
