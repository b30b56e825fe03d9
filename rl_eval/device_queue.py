"""The devices of a machine, one job each: a job takes the first that is free, so that fast devices take more jobs.

Every device has a lock file of this user, so processes need no common parent, and a killed job frees its device.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from rl_eval.errors import InputError

POLL_S = 0.1


@contextlib.contextmanager
def free_device(
    devices: Sequence[str], *, folder: Path | None = None, waiting: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """Hold a device that no other job holds; waits for one.

    Args:
        devices: as torch names them; `cpu` may be named several times, once for each job at once.
        folder: of the locks; None: one for all processes of this user.
        waiting: called once, if all devices are taken.
    """
    folder = _lock_folder() if folder is None else folder
    places = _places(devices)
    called = False
    while True:
        for device, place in places:
            lock = FileLock(folder / f"{place}.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                continue
            try:
                yield device
            finally:
                lock.release()
            return
        if not called:
            called = True
            waiting()
        time.sleep(POLL_S)


def _places(devices: Sequence[str]) -> list[tuple[str, str]]:
    """Devices with the names of their locks. The driver may show a process only some of the GPUs, numbered again."""
    visible = [text.strip() for text in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if text.strip()]
    places = []
    for index, device in enumerate(devices):
        kind, _, number = device.partition(":")
        if kind == "cuda":
            physical = visible[int(number or 0)] if int(number or 0) < len(visible) else number or "0"
            places.append((device, f"cuda-{physical.replace(os.sep, '-')}"))
        else:
            places.append((device, f"{kind}-{devices[:index].count(device)}"))
    return places


def _lock_folder() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else ""
    folder = Path(tempfile.gettempdir()) / f"rl_eval-devices-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if user != "" and folder.lstat().st_uid != user:
        raise InputError(f"{folder} belongs to another user: remove it, or name another folder in TMPDIR")
    return folder
