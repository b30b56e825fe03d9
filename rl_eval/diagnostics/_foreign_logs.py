"""Learning curves of other programs: logs of Stable-Baselines3, and any CSV file with named columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.errors import InputError, nearest
from rl_eval.run import read_table

# Stable-Baselines3's names in progress.csv (its docs, "Logger") -> ours.
PROGRESS = {
    "time/total_timesteps": "env_steps",
    "time/time_elapsed": "wall_s",
    "time/episodes": "episodes",
    "rollout/ep_rew_mean": "episode_return_mean",
    "rollout/ep_len_mean": "episode_length_mean",
    "rollout/success_rate": "success_rate",
    "eval/mean_reward": "validation_score",
    "train/policy_gradient_loss": "policy_loss",
    "train/policy_loss": "policy_loss",
    "train/value_loss": "value_loss",
    "train/explained_variance": "explained_variance",
    "train/approx_kl": "approx_kl",
    "train/clip_fraction": "clip_fraction",
    "train/learning_rate": "lr",
    "train/n_updates": "training_epochs",
    "train/std": "action_std",
}
RECENT_EPISODES = 100
MAX_FILES = 1_000
MAX_FIRST_LINE_BYTES = 1 << 16


def is_stable_baselines3(path: Path) -> bool:
    """Whether a file or directory is a log of Stable-Baselines3, by its names and first lines."""
    if path.is_dir():
        return (path / "progress.csv").is_file() or bool(_monitors(path))
    return path.is_file() and (_first_line(path).startswith("#{") or "time/total_timesteps" in _first_line(path))


def read_stable_baselines3(path: Path) -> DiagnosedRun:
    """The curves of `progress.csv`, of `monitor.csv` files, or of a directory with either or both.

    Raises:
        InputError: a file is missing, a link, too large, or not in the expected format.
    """
    if path.is_file():
        return read_monitors(path, [path]) if _first_line(path).startswith("#{") else read_progress(path)
    monitors = _monitors(path)
    if not (path / "progress.csv").is_file():
        return read_monitors(path, monitors)
    run = read_progress(path / "progress.csv")
    if not monitors:
        return run
    # Both count the same steps: progress.csv all of them, the monitors those of finished episodes.
    counted = {"steps_finished": read_monitors(path, monitors).info["steps_finished"]}
    return DiagnosedRun(path, {**run.info, **counted}, curves=run.curves, missing=run.missing)


def read_progress(file: Path) -> DiagnosedRun:
    """`progress.csv`, as `stable_baselines3.common.logger.CSVOutputFormat` writes it.

    Raises:
        InputError: the file cannot be read, or has no column `time/total_timesteps`.
    """
    table = read_table(file)
    if "time/total_timesteps" not in table:
        raise InputError(
            f"{file} has no column time/total_timesteps, so it is not a progress.csv of Stable-Baselines3: "
            "map its columns with --columns env_steps=<its column>,…"
        )
    curves = {PROGRESS[name]: values for name, values in table.items() if name in PROGRESS}
    if "train/entropy_loss" in table:  # the loss is minus the entropy
        curves["entropy"] = -table["train/entropy_loss"]
    steps = curves["env_steps"][np.isfinite(curves["env_steps"])]
    return DiagnosedRun(
        file, {"env_steps": int(steps[-1]) if len(steps) else 0}, curves=curves, missing=[_no_more(file)]
    )


def read_monitors(path: Path, files: list[Path]) -> DiagnosedRun:
    """`monitor.csv` files, one for each environment copy, merged by the time of their episodes.

    A row is an episode: return `r`, length `l`, seconds `t` since the `t_start` in the JSON of the first line.

    Raises:
        InputError: a file cannot be read, or is not a monitor file.
    """
    returns, lengths, ended = [], [], []
    for file in files:
        start = _t_start(file)
        table = read_table(file, skip_lines=1)
        if not {"r", "l", "t"} <= table.keys():
            raise InputError(f"{file} has no columns r, l and t, so it is not a monitor.csv of Stable-Baselines3")
        valid = np.isfinite(np.stack([table[name] for name in "rlt"])).all(axis=0) & (table["l"] >= 0)
        returns.append(table["r"][valid])
        lengths.append(table["l"][valid])
        ended.append(table["t"][valid] + start)
    order = np.argsort(np.concatenate(ended), kind="stable")
    length, episode_return = np.concatenate(lengths)[order], np.concatenate(returns)[order]
    steps = np.cumsum(length)
    curves = {
        "env_steps": steps,
        "wall_s": np.concatenate(ended)[order] - min((t.min() for t in ended if len(t)), default=0.0),
        "episodes": np.arange(1.0, len(length) + 1),
        "episode_return_mean": _recent_mean(episode_return),
        "episode_length_mean": _recent_mean(length),
    }
    total = int(steps[-1]) if len(steps) and steps[-1] < 2**53 else 0
    return DiagnosedRun(path, {"steps_finished": total}, curves=curves, missing=[_no_more(path)])


def read_columns(file: Path, columns: Mapping[str, str]) -> DiagnosedRun:
    """Any CSV file with a header.

    Args:
        columns: our name -> the name in the file; columns with our name need no entry.

    Raises:
        InputError: the file cannot be read, or lacks a named column or one for env_steps.
    """
    table = read_table(file)
    for name, column in columns.items():
        if column not in table:
            raise InputError(
                f"--columns {name}={column}: {file} has no column {column!r}: {nearest(column, table)}"
                f"it has {', '.join(list(table)[:40])}"
            )
    curves = {**table, **{name: table[column] for name, column in columns.items()}}
    if "env_steps" not in curves:
        raise InputError(
            f"{file} has no column env_steps: name the one that counts steps, --columns env_steps=<column>; "
            f"it has {', '.join(list(table)[:40])}"
        )
    return DiagnosedRun(file, curves=curves, missing=[_no_more(file)])


def parse_columns(text: str) -> dict[str, str]:
    """`env_steps=step,value_loss=vf` as our name -> the name in the file.

    Raises:
        InputError: a part is not `name=column`, or repeats a name.
    """
    columns: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = (side.strip() for side in part.partition("="))
        if not equals or not name or not column or name in columns:
            raise InputError(
                f"--columns {text!r}: {part.strip()!r} is not name=column, or repeats a name: "
                "write env_steps=step,value_loss=vf"
            )
        columns[name] = column
    return columns


def _monitors(folder: Path) -> list[Path]:
    """The monitor files of a directory, by name, without links."""
    files = sorted(file for file in folder.glob("*monitor.csv") if file.is_file() and not file.is_symlink())
    if len(files) > MAX_FILES:
        raise InputError(f"{folder} has more than {MAX_FILES:,} monitor files: name one of them")
    return files


def _first_line(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            return opened.readline(MAX_FIRST_LINE_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from error


def _t_start(file: Path) -> float:
    """The start time of a monitor, in seconds."""
    line = _first_line(file)
    try:
        header: Any = json.loads(line.removeprefix("#"))
        return float(header["t_start"])
    except (ValueError, RecursionError, KeyError, TypeError, OverflowError) as error:
        raise InputError(
            f"{file} does not start with a line of JSON with t_start, so it is damaged or not a monitor.csv"
        ) from error


def _recent_mean(values: np.ndarray) -> np.ndarray:
    """`[n]` the mean of each value and the 99 values before it."""
    before = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - RECENT_EPISODES, 0)
    return (before[last] - before[first]) / (last - first)


def _no_more(path: Path) -> str:
    return f"{path} has only curves: diagnostics of the config, the policy or the episodes did not run"
