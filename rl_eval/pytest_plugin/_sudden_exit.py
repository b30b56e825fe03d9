"""`os._exit` in code of others cannot end a session as if all criteria had passed."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import NoReturn


@contextlib.contextmanager
def refused_exits() -> Iterator[None]:
    """Inside, `os._exit` raises SystemExit, as `sys.exit` does, only in this thread and process.

    A session that ends in the middle would have the status that the call names, and 0 is that of a gate that passes.
    """
    end, process, thread = os._exit, os.getpid(), threading.get_ident()

    def refuse(status: int) -> NoReturn:
        if (os.getpid(), threading.get_ident()) != (process, thread):
            end(status)
        raise SystemExit(f"os._exit({status}) was called")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = end
