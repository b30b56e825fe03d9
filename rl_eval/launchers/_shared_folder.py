"""Whether a worker sees the folder of the process that asked for its call."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

from rl_eval.errors import InputError

WAIT_S = 40.0  # for which a network file system may not show a folder that another machine has just made


def require_shared(folder: Path, wait_s: float = WAIT_S) -> None:
    """Check that a folder which the asking process has made is on this machine, too.

    Raises:
        InputError: it is not.
    """
    until = time.monotonic() + wait_s
    while not folder.is_dir():
        if time.monotonic() > until:
            raise InputError(
                f"the machine {socket.gethostname()} does not see {folder.absolute()}: put the checkout, the data and "
                "outputs/ on a file system that all machines share"
            )
        time.sleep(0.5)
        with contextlib.suppress(OSError):  # a look at the parent makes the file system ask again
            os.listdir(folder.absolute().parent)
