"""What kind of log a path is, and reading it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.foreign_logs.csv_logs import is_monitor, monitors, read_csv, read_monitors
from rl_eval.foreign_logs.event_files import event_files, read_events
from rl_eval.foreign_logs.foreign_log import ForeignLog

_DEPTH = 2  # of folders below the one that is named: `runs/ALE/Pong-v5__ppo__1__1700000000`


def is_log(path: Path) -> bool:
    """Whether a path is a file, or a folder with `progress.csv`, `monitor.csv` or event files directly in it."""
    if path.is_dir():
        return (path / "progress.csv").is_file() or bool(monitors(path)) or bool(event_files(path))
    return path.is_file()


def find_logs(path: Path) -> list[Path]:
    """The logs that a path names: itself, or the folders below it that are logs, by name; links are not followed.

    Raises:
        InputError: a folder cannot be read.
    """
    if is_log(path):
        return [path]
    folders = [path] if path.is_dir() else []
    for _ in range(_DEPTH):
        try:
            children = [child for folder in folders for child in sorted(folder.iterdir())]
            folders = [child for child in children if child.is_dir() and not child.is_symlink()]
        except OSError as error:
            raise InputError(f"{error.filename} cannot be read ({error.strerror}): name the folder of a run") from error
        if logs := [folder for folder in folders if is_log(folder)]:
            return logs
    return []


def read_log(path: Path, columns: Mapping[str, str]) -> ForeignLog:
    """A log: a file, or a folder. Curves of a folder are those of `progress.csv`, else of its events, else of monitors.

    Args:
        columns: our name -> the name in the log, where the name is not known.

    Raises:
        InputError: it cannot be read, or has no such column.
    """
    if path.is_file():
        if "tfevents" in path.name:
            return read_events(path, [path], columns)
        return read_monitors(path, [path], columns) if is_monitor(path) else read_csv(path, columns)
    monitor_files, progress = monitors(path), path / "progress.csv"
    if progress.is_file():
        log = read_csv(progress, columns)
    elif files := event_files(path):
        log = read_events(path, files, columns)
    elif monitor_files:
        return read_monitors(path, monitor_files, columns)
    else:
        raise InputError(f"{path} has no progress.csv, monitor.csv or event file: name the folder of a run")
    if not monitor_files:
        return log
    # Both count the same steps: the log all of them, the monitors those of finished episodes.
    counted = read_monitors(path, monitor_files, {})
    settings = {**counted.settings, **log.settings}
    return ForeignLog(log.path, log.curves, log.columns, settings, {**log.counts, **counted.counts})
