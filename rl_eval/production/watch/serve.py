"""`serve_watch`: the pages of operators, until a signal comes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.net import Url, listening_socket
from rl_eval.production.config import ProductionConfig


def serve_watch(
    config: ProductionConfig, *, host: str, port: int, token: str | None, show: Callable[[str], Any] = print
) -> int:
    """Serve the status page, the review queue and the metrics until SIGINT or SIGTERM.

    Args:
        host: the address to listen on; another one than loopback needs a token.
        token: what `Authorization: Bearer` must hold.
        show: prints a line.

    Returns:
        The exit status: 0 after SIGTERM, 130 after SIGINT.

    Raises:
        InputError: a part or the address cannot be used.
    """
    with imports_of_extra("production", "the status page"):
        from rl_eval.production.loop.versions import action_names, champion_observed
        from rl_eval.production.parts import open_parts
        from rl_eval.production.serving_cost import rate_of
        from rl_eval.production.watch.app import make_app
        from rl_eval.production.watch.overrides import complete_overrides
        from rl_eval.serving.security import Access, GuardedApp
        from rl_eval.serving.serve import run_app
    access = Access.at_address(host, token, changing=("/review",), people=True)
    rate_of(config.serve)  # before it is asked for a page
    listener = listening_socket(host, port)
    with contextlib.closing(listener), open_parts(config, create=False, create_registry=False) as parts:
        names = functools.cache(functools.partial(action_names, parts))  # a failure is not kept
        observed = functools.cache(functools.partial(champion_observed, parts))
        with contextlib.suppress(InputError):  # of a part that is away: the control loop does it later
            complete_overrides(parts)
        app = GuardedApp(make_app(parts, names, observed), access, lambda path, status, seconds: None, {})
        show(f"{Url('http', host, listener.getsockname()[1])}  shows {config.name}; Ctrl-C ends it")
        return run_app(app, listener)
