"""The names of other programs and ours: one map for CSV files, TensorBoard and W&B; others with `--columns`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rl_eval.errors import InputError, nearest

STEPS = "env_steps"
# Names of Stable-Baselines3 (its docs, "Logger") and of CleanRL (its scripts) -> ours. The first that a log has counts.
KNOWN = {
    "time/total_timesteps": STEPS,
    "global_step": STEPS,
    "time/time_elapsed": "wall_s",
    "time/episodes": "episodes",
    "rollout/ep_rew_mean": "episode_return_mean",
    "charts/episodic_return": "episode_return_mean",
    "rollout/ep_len_mean": "episode_length_mean",
    "charts/episodic_length": "episode_length_mean",
    "rollout/success_rate": "success_rate",
    "eval/mean_reward": "validation_score",
    "train/policy_gradient_loss": "policy_loss",
    "train/policy_loss": "policy_loss",
    "losses/policy_loss": "policy_loss",
    "train/value_loss": "value_loss",
    "losses/value_loss": "value_loss",
    "train/entropy_loss": "entropy",
    "losses/entropy": "entropy",
    "train/explained_variance": "explained_variance",
    "losses/explained_variance": "explained_variance",
    "train/approx_kl": "approx_kl",
    "losses/approx_kl": "approx_kl",
    "train/clip_fraction": "clip_fraction",
    "losses/clipfrac": "clip_fraction",
    "train/learning_rate": "lr",
    "charts/learning_rate": "lr",
    "train/n_updates": "training_epochs",
    "train/std": "action_std",
}
NEGATIVE = {"train/entropy_loss"}  # the loss is minus the entropy
PER_EPISODE = {"charts/episodic_return", "charts/episodic_length"}
RECENT_EPISODES = 100
MAX_SHOWN = 40  # names in a message


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


def translate(
    table: Mapping[str, np.ndarray], columns: Mapping[str, str], where: object, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """The columns of a log under our names too. A column that has our name needs no entry.

    Args:
        table: name in the log -> `[rows]`.
        columns: our name -> the name in the log; it comes before the names that are known.
        where: the log, for messages.
        names: those of the log; None: those of the table.

    Raises:
        InputError: a column that is named is missing, or none counts steps.
    """
    names = list(table) if names is None else names
    for name, column in columns.items():
        if column not in table:
            raise InputError(
                f"--columns {name}={column}: {where} has no column {column!r}: {nearest(column, names)}{has(names)}"
            )
    curves = dict(table)
    for column, name in KNOWN.items():
        if column in table:
            curves.setdefault(name, _values(table, column))
    curves |= {name: _values(table, column) for name, column in columns.items()}
    if STEPS not in curves:
        raise missing_column(where, STEPS, "that counts steps", names)
    return curves


def missing_column(where: object, name: str, what: str, names: Sequence[str]) -> InputError:
    """One sentence that lists the columns that are there.

    Args:
        what: the column that is missing, as the end of "the one …".
    """
    return InputError(f"{where} has no column {name}: name the one {what}, --columns {name}=<column>; {has(names)}")


def has(names: Sequence[str]) -> str:
    """`it has a, b, c`."""
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return f"it has {', '.join(names[:MAX_SHOWN]) or 'none'}{more}"


def recent_mean(values: np.ndarray) -> np.ndarray:
    """`[n]` the mean of each value and the 99 values before it."""
    before = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - RECENT_EPISODES, 0)
    return (before[last] - before[first]) / (last - first)


def _values(table: Mapping[str, np.ndarray], column: str) -> np.ndarray:
    values = table[column]
    if column in NEGATIVE:
        return -values
    if column not in PER_EPISODE:
        return values
    means, present = np.full(len(values), np.nan), np.isfinite(values)
    means[present] = recent_mean(values[present])
    return means
