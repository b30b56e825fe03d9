"""What learning imports, when the first `/update` needs it: a signal ends the process at once meanwhile."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from rl_eval.agent_registry import agents
from rl_eval.extras import imports_of_extra
from rl_eval.serving.threads import in_thread


async def import_learning() -> None:
    """Import the agents and torch in a thread.

    Raises:
        InputError: they are not here.
    """
    with _ended_by_signals():
        await in_thread(_import)


def _import() -> None:
    agents()  # where they are missing, one sentence
    with imports_of_extra("train", "learning"):
        import torch

        torch.set_num_threads(1)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Inside, the system ends the process on a signal, since a library that is being loaded lets no Python run.

    All that was acknowledged is in the store, so that the process may end anywhere.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
