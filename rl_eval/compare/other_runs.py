"""Runs of other programs in a comparison: the returns that they recorded while they trained.

Nothing can be played, so nothing is claimed about held-out episodes. Runs with one config, or without a config in
folders of one name, are one group.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.compare.compared_run import ComparedRun, flat_config
from rl_eval.compare.groups import ComparisonTask, RunGroup
from rl_eval.compare.statistics import GroupScores
from rl_eval.errors import InputError
from rl_eval.foreign_logs import read_log
from rl_eval.foreign_logs.columns import STEPS, missing_column
from rl_eval.metrics import Metric

# What can be compared -> the column that is missing, as a sentence ends.
SCORES = {
    "episode_return_mean": "that has the return of training episodes",
    "validation_score": "that has the score of evaluations",
    "success_rate": "that has the share of successes",
}
FOLDER = "folder"  # the key of a run without a config
ENVIRONMENT_KEYS = ("env_id", "env_name", "env")
# Settings of CleanRL and Stable-Baselines3 that change neither what is learned nor how.
_INCIDENTAL = re.compile(
    r"_.*|seed|track|wandb_.*|capture_video|cuda|torch_deterministic|save_model|upload_model|hf_entity|tensorboard_log|"
    r"device|verbose|run_name|start_time"
)
_CLEANRL_NAME = re.compile(r"(?P<env_id>.+)__(?P<exp_name>.+)__(?P<seed>\d+)__\d+")
_RUN_NUMBER = re.compile(r"(?:^|(?<!\de)[-_ ])(?:seed|run|s)?[-_=]?\d+$", re.IGNORECASE)  # not of 1e-3
_UNEQUAL = 1.05  # ends of runs that differ by more than this factor are noted


def run_of_log(path: Path, columns: Mapping[str, str]) -> ComparedRun:
    """The run in a CSV or event file, or in a folder of these.

    Raises:
        InputError: it cannot be read, or has no column that counts steps.
    """
    log = read_log(path, columns)
    named = (
        path.parent if path.is_file() and "tfevents" in path.name else path.with_suffix("") if path.is_file() else path
    )
    return other_run(str(path), log.settings, log.curves, log.columns, str(named.resolve()))


def other_run(
    name: str,
    settings: Mapping[str, Any],
    curves: Mapping[str, np.ndarray],
    columns: Sequence[str],
    folder: str,
    status: str = "finished",
) -> ComparedRun:
    """A run of another program.

    Args:
        settings: its config, nested or not.
        curves: our name -> `[rows]`.
        columns: the names in its log.
        folder: the path or name by which it is grouped if it has no config.

    Raises:
        InputError: the config has too many keys.
    """
    recorded = flat_config(settings, name)
    if not recorded.keys() - {"seed", *ENVIRONMENT_KEYS} and (match := _CLEANRL_NAME.fullmatch(Path(folder).name)):
        recorded |= {**match.groupdict(), "seed": int(match["seed"])}
    config = {
        key: value
        for key, value in recorded.items()
        # an address in memory differs in every run
        if key == "seed" or not (_INCIDENTAL.fullmatch(key) or " at 0x" in str(value))
    }
    if not config.keys() - {"seed", *ENVIRONMENT_KEYS}:
        parts = [_RUN_NUMBER.sub("", part) for part in Path(folder).parts]
        config[FOLDER] = "/".join(part for part in parts if part.strip("/")) or name
    return ComparedRun(name, "other", config, status, {}, dict(curves), columns=tuple(columns))


def shorten_folders(*lists: Sequence[ComparedRun]) -> list[list[ComparedRun]]:
    """The runs of each list, with folders below the one that they have in common."""
    parts = [run.config[FOLDER].split("/") for runs in lists for run in runs if FOLDER in run.config]
    shared = 0
    while all(len(some) > shared + 1 and some[shared] == parts[0][shared] for some in parts) and parts:
        shared += 1

    def shortened(run: ComparedRun) -> ComparedRun:
        if FOLDER not in run.config:
            return run
        return replace(run, config={**run.config, FOLDER: "/".join(run.config[FOLDER].split("/")[shared:])})

    return [[shortened(run) for run in runs] for runs in lists]


def recorded_task(runs: Sequence[ComparedRun], metric: str | None) -> ComparisonTask:
    """The column that runs of other programs, or of them and of ours, are compared by.

    Args:
        metric: one of `SCORES`; None: the mean return of training episodes.

    Raises:
        InputError: it is another, a run has no such column, or the environments differ.
    """
    name = metric or next(iter(SCORES))
    if name not in SCORES:
        raise InputError(
            f"--metric {name} is not in the logs of other programs: choose {', '.join(SCORES)}, or leave out these runs"
        )
    environments = {_environment(run): run for run in reversed(runs) if run.source == "other" and _environment(run)}
    if len(environments) > 1:
        (first, one), (other, another) = list(environments.items())[:2]
        raise InputError(
            f"{one.name} was trained on {first} and {another.name} on {other}, so their tasks differ: compare runs of "
            "one environment"
        )
    for run in runs:
        if not len(_recorded(run, name)[0]):
            raise missing_column(run.name, name, SCORES[name], run.columns or list(run.curves))
    shown = Metric(name, "task", "the last value that the log records", _never_played, better="higher")
    return ComparisonTask(None, shown, next(iter(environments), None) or "an environment without a name")


def training_scores(groups: Sequence[RunGroup], column: str) -> list[GroupScores]:
    """The last value of a column of each run; nothing pairs the runs."""
    return [GroupScores(np.array([_recorded(run, column)[1][-1] for run in group.runs])) for group in groups]


def notes_on_logs(groups: Sequence[RunGroup], column: str) -> list[str]:
    """What a comparison of such runs can claim, and what differs between them."""
    runs = [run for group in groups for run in group.runs]
    what = "a mean of the last 100 episodes in known columns" if column == "episode_return_mean" else "not held out"
    notes = [
        f"policies of other programs are not played: the scores are the last recorded {column} of training ({what}), "
        "not paired and not on held-out episodes, and the same environment and reward are assumed"
    ]
    ends = [_recorded(run, column)[0][-1] for run in runs]
    if max(ends) > _UNEQUAL * min(ends):
        notes.append(f"the runs end at {min(ends):,.0f} to {max(ends):,.0f} steps, and are compared at their ends")
    ended = [run.name for run in runs if len(run.curves[column]) and not np.isfinite(run.curves[column][-1])]
    if ended:
        notes.append(f"{column} is no number at the end of {ended[0]}: its last number is compared")
    if any(FOLDER in run.config for run in runs):
        notes.append("runs without a config are grouped by their folders, without a number at the end of a name")
    unfinished = [run.name for run in runs if run.status != "finished"]
    if unfinished:
        notes.append(f"{len(unfinished)} of the runs did not finish, such as {unfinished[0]}")
    return notes


def _recorded(run: ComparedRun, column: str) -> tuple[np.ndarray, np.ndarray]:
    """`[n]` steps and `[n]` values of the rows that have both, in the order of steps."""
    empty = np.zeros(0)
    steps, values = run.curves.get(STEPS, empty), run.curves.get(column, empty)
    if len(steps) != len(values):
        return empty, empty
    rows = np.flatnonzero(np.isfinite(steps) & np.isfinite(values))
    rows = rows[np.argsort(steps[rows], kind="stable")]
    return steps[rows], values[rows]


def _environment(run: ComparedRun) -> str | None:
    return next((str(run.config[key]) for key in ENVIRONMENT_KEYS if key in run.config), None)


def _never_played(*_: Any) -> float:
    raise AssertionError("a recorded column is not computed")
