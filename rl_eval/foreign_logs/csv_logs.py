"""CSV logs: `progress.csv` and `monitor.csv` of Stable-Baselines3, and any file with a header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.foreign_logs.columns import recent_mean, translate
from rl_eval.foreign_logs.foreign_log import ForeignLog
from rl_eval.run import read_table
from rl_eval.untrusted_files import only_regular

MAX_FILES = 1_000
MAX_FIRST_LINE_BYTES = 1 << 16


def read_csv(file: Path, columns: Mapping[str, str]) -> ForeignLog:
    """A CSV file with a header, such as `progress.csv`, which Stable-Baselines3's `CSVOutputFormat` writes.

    Raises:
        InputError: the file cannot be read, or lacks a named column or one for env_steps.
    """
    table = read_table(file)
    curves = translate(table, columns, file)
    steps = curves["env_steps"][np.isfinite(curves["env_steps"])]
    counted = "time/total_timesteps" in table
    counts = {"env_steps": int(steps[-1]) if len(steps) else 0} if counted else {}
    return ForeignLog(file, curves, tuple(table), counts=counts)


def is_monitor(file: Path) -> bool:
    """Whether a file begins like a `monitor.csv`."""
    return _first_line(file).startswith("#{")


def monitors(folder: Path) -> list[Path]:
    """The monitor files of a folder, by name, without links.

    Raises:
        InputError: there are too many.
    """
    files = sorted(file for file in folder.glob("*monitor.csv") if file.is_file() and not file.is_symlink())
    if len(files) > MAX_FILES:
        raise InputError(f"{folder} has more than {MAX_FILES:,} monitor files: name one of them")
    return files


def read_monitors(path: Path, files: list[Path], columns: Mapping[str, str]) -> ForeignLog:
    """`monitor.csv` files, one for each environment copy, merged by the time of their episodes.

    A row is an episode: return `r`, length `l`, seconds `t` since the `t_start` in the JSON of the first line.

    Raises:
        InputError: a file cannot be read, or is not a monitor file, or lacks a named column.
    """
    returns, lengths, ended, settings = [], [], [], {}
    for file in files:
        start, env_id = _header(file)
        table = read_table(file, skip_lines=1)
        if not {"r", "l", "t"} <= table.keys():
            raise InputError(f"{file} has no columns r, l and t, so it is not a monitor.csv of Stable-Baselines3")
        valid = np.isfinite(np.stack([table[name] for name in "rlt"])).all(axis=0) & (table["l"] >= 0)
        returns.append(table["r"][valid])
        lengths.append(table["l"][valid])
        ended.append(table["t"][valid] + start)
        if env_id:
            settings["env_id"] = env_id
    time = np.concatenate(ended)
    order = np.argsort(time, kind="stable")
    length, episode_return, time = np.concatenate(lengths)[order], np.concatenate(returns)[order], time[order]
    steps = np.cumsum(length)
    table = {"r": episode_return, "l": length, "t": time}
    known = {
        "env_steps": steps,
        "wall_s": time - min((t.min() for t in ended if len(t)), default=0.0),
        "episodes": np.arange(1.0, len(length) + 1),
        "episode_return_mean": recent_mean(episode_return),
        "episode_length_mean": recent_mean(length),
    }
    total = int(steps[-1]) if len(steps) and steps[-1] < 2**53 else 0
    curves = translate({**table, **known}, columns, path)
    return ForeignLog(path, curves, tuple(table), settings, {"steps_finished": total})


def _first_line(file: Path) -> str:
    try:
        with open(file, "rb", opener=only_regular) as opened:
            return opened.readline(MAX_FIRST_LINE_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from error


def _header(file: Path) -> tuple[float, str]:
    """The start time of a monitor in seconds, and its environment, empty if it is not known."""
    line = _first_line(file)
    try:
        header: Any = json.loads(line.removeprefix("#"))
        start, env_id = float(header["t_start"]), header.get("env_id")
    except (ValueError, RecursionError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise InputError(
            f"{file} does not start with a line of JSON with t_start, so it is damaged or not a monitor.csv"
        ) from error
    return start, env_id if isinstance(env_id, str) and env_id != "None" else ""
