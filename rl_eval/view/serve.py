"""`serve`: read the runs, listen, and answer until a signal comes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl_eval.extras import imports_of_extra
from rl_eval.net import Url, listening_socket

PURPOSE = "the page over all runs"


def serve(
    outputs: Path,
    *,
    host: str,
    port: int,
    token: str | None,
    show: Callable[[str], Any] = print,
    on_read: Callable[[int, int], None] | None = None,
) -> int:
    """Show the runs below a folder until SIGINT or SIGTERM.

    Args:
        host: the address to listen on; any address except loopback needs a token.
        token: the password that browsers ask for, or the bearer token of scripts.
        show: prints a line.
        on_read: called with how many runs were read before the page is there, and how many there are.

    Returns:
        The exit status: 0 after SIGTERM, 130 after SIGINT.

    Raises:
        InputError: the folder or the address cannot be used.
    """
    with imports_of_extra("serve", PURPOSE):
        from rl_eval.serving.security import Access, GuardedApp
        from rl_eval.serving.serve import run_app
        from rl_eval.view.app import make_app
        from rl_eval.view.runs import Runs
    access = Access.at_address(host, token, changing=(), people=True)
    runs = Runs(outputs, on_read)
    listener = listening_socket(host, port)
    with contextlib.closing(listener):
        app = GuardedApp(make_app(runs), access, lambda path, status, seconds: None, {})
        address = Url("http", host, listener.getsockname()[1])
        show(f"{address}  shows {len(runs.listing().entries):,} runs in {outputs}; Ctrl-C ends it")
        return run_app(app, listener)
