"""Read the runs of a W&B project through W&B's public API."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from rl_eval.compare.compared_run import ComparedRun
from rl_eval.compare.other_runs import SCORES, other_run
from rl_eval.compare.wandb_offline import columns_of, is_ours, own_config, run_from_wandb
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.foreign_logs import translate
from rl_eval.foreign_logs.columns import KNOWN, STEPS

MAX_RUNS = 200  # of one project
HISTORY_ROWS = 500  # of one run
OTHER_ROWS = 10_000  # of a run of another program, which may have one for each episode
TIMEOUT_S = 20
_PROJECT = re.compile(r"wandb:([^/?#]+)/([^/?#]+)(?:\?(.*))?")
_CURVES = ("episode_return_mean", "validation_score")


def read_project(name: str, columns: Mapping[str, str]) -> list[ComparedRun]:
    """The runs of `wandb:entity/project[?group=…]`, oldest first.

    Args:
        columns: of runs of other programs, our name -> theirs.

    Raises:
        InputError: the name is malformed, W&B does not answer or refuses, or there are no such runs or too many.
    """
    entity, project, group = parse_project(name)
    try:
        runs = _runs(f"{entity}/{project}", {"group": group} if group else {})
        return [_compared_run(run, f"wandb:{entity}/{project}/{run.id}", columns) for run in runs]
    except InputError:
        raise
    except Exception as error:  # W&B and its connection raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{name} cannot be read ({reason[:200]}): check the name, the network and `wandb login`"
        ) from error


def parse_project(name: str) -> tuple[str, str, str | None]:
    """Entity, project and group of `wandb:entity/project[?group=…]`.

    Raises:
        InputError: the name is malformed.
    """
    match = _PROJECT.fullmatch(name)
    query = parse_qsl(match[3] or "", keep_blank_values=True) if match else []
    if not match or any(key != "group" or not value for key, value in query) or len(query) > 1:
        raise InputError(
            f"{name!r} does not name runs of W&B: write wandb:entity/project or wandb:entity/project?group=…"
        )
    return match[1], match[2], query[0][1] if query else None


def _runs(path: str, filters: dict[str, Any]) -> list[Any]:
    # set before W&B is first imported: its error reports would delay the end of the process
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    with imports_of_extra("wandb", f"wandb:{path}"):
        import wandb

    listing = wandb.Api(timeout=TIMEOUT_S).runs(path, filters=filters, per_page=50, lazy=False)
    runs = list(itertools.islice(listing, MAX_RUNS + 1))
    if not runs:
        raise InputError(f"wandb:{path} has no run{' of that group' if filters else ''}: check the name")
    if len(runs) > MAX_RUNS:
        raise InputError(f"wandb:{path} has more than {MAX_RUNS} runs: name a group of them with ?group=…")
    return runs


def _compared_run(run: Any, name: str, columns: Mapping[str, str]) -> ComparedRun:
    config = dict(run.config)
    if is_ours(config):
        history = _rows(run, STEPS, _CURVES, HISTORY_ROWS)
        return run_from_wandb(name, config, run.summary_metrics, history, run.state)
    names = [key for key in run.summary_metrics if not key.startswith("_")]
    known = {ours: theirs for theirs, ours in reversed(KNOWN.items()) if theirs in names}
    steps = columns.get(STEPS) or known.get(STEPS, STEPS)
    scores = {columns.get(score) or known.get(score, score) for score in SCORES}
    table = columns_of(_rows(run, steps, sorted(scores.intersection(names)), OTHER_ROWS))
    curves = translate(
        table, {ours: theirs for ours, theirs in columns.items() if ours in (STEPS, *SCORES)}, name, names
    )
    return other_run(name, own_config(config), curves, names, run.name or run.id, run.state)


def _rows(run: Any, steps: str, names: Iterable[str], count: int) -> list[dict[str, Any]]:
    """At most `count` rows of each column; W&B returns only the rows that have all keys, so one column at a time."""
    histories = [run.history(samples=count, keys=[steps, name], pandas=False) for name in names]
    return [row for rows in histories for row in rows]
