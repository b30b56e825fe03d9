"""`run_loop`: the control loop as a process, with a collector in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rl_eval.extras import imports_of_extra
from rl_eval.production.collector import collect
from rl_eval.production.config import ProductionConfig
from rl_eval.production.loop.config_check import check_config
from rl_eval.production.loop.loop import Loop
from rl_eval.production.parts import open_parts


def run_loop(
    config: ProductionConfig,
    stop: threading.Event,
    *,
    collects: bool = True,
    turns: int | None = None,
    say: Callable[[str], Any] = print,
) -> None:
    """Turn until `stop` is set.

    Args:
        collects: whether a collector runs in a thread of its own.
        turns: to end after; None: none.
        say: prints a line.

    Raises:
        InputError: a part cannot be opened, or a suite, an environment or a machine that the config names is missing.
    """
    check_config(config)
    with imports_of_extra("serve", "the control loop"):
        from threadpoolctl import threadpool_limits
    threadpool_limits(1)  # on small networks, more threads are slower than one
    with open_parts(config) as parts:
        loop, collected = Loop(parts, say), threading.Event()
        thread = threading.Thread(target=collect, args=(config, collected, say), daemon=True, name="collector")
        if collects:
            thread.start()
        try:
            done = 0
            while not stop.is_set() and (turns is None or done < turns):
                loop.turn()
                done += 1
                stop.wait(config.loop.turn)
        finally:
            collected.set()
            if collects:
                thread.join(5.0)
