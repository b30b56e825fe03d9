"""Where the runs below a folder are, and whether their files have changed: names, sizes and times, no content."""

from __future__ import annotations

import contextlib
import math
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

MAX_DEPTH = 8  # folders below the first
MAX_FOLDERS = 200_000
FILES = ("run.json", "verdict.json")  # an entry comes from these


def scan(outputs: Path) -> tuple[dict[str, str], bool]:
    """The run directories below a folder. Links are not followed.

    Returns:
        Path relative to the folder -> its stamp, a text that is another one where one of `FILES` has changed; and
        whether there were more folders than are looked into.
    """
    stamps: dict[str, str] = {}
    waiting = [("", 0)]
    folders = 0
    while waiting:
        relative, depth = waiting.pop()
        folders += 1
        if folders > MAX_FOLDERS:
            return stamps, True
        names = {entry.name: entry for entry in _entries(outputs / relative)}
        if "run.json" in names:
            if "config.yaml" in names:  # else half-written, or of another program
                stamps[relative or "."] = " ".join(_stamp(names.get(name)) for name in FILES)
            continue
        if depth < MAX_DEPTH:
            waiting += [
                (f"{relative}/{name}" if relative else name, depth + 1)
                for name, entry in names.items()
                if not name.startswith(".") and _is_folder(entry)
            ]
    return stamps, False


def silent_for(directory: Path, now: float | None = None) -> float:
    """Seconds since a run wrote its record or its metrics; infinite if it has neither.

    Args:
        now: seconds of the epoch; default: the current time.
    """
    times = []
    for name in ("run.json", "metrics.csv"):
        with contextlib.suppress(OSError):
            times.append((directory / name).lstat().st_mtime)
    return max((time.time() if now is None else now) - max(times), 0.0) if times else math.inf


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:  # removed meanwhile, or not ours to read
        return


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _stamp(entry: os.DirEntry[str] | None) -> str:
    if entry is None:
        return "-"
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return "-"
    return f"{stat.S_IFMT(status.st_mode):o}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
