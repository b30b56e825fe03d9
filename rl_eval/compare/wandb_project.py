"""Read the runs of a W&B project through W&B's public API."""

from __future__ import annotations

import itertools
import os
import re
from typing import Any
from urllib.parse import parse_qsl

from rl_eval.compare.compared_run import ComparedRun
from rl_eval.compare.wandb_offline import run_from_wandb
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra

MAX_RUNS = 200  # of one project
HISTORY_ROWS = 500  # of one run
TIMEOUT_S = 20
_PROJECT = re.compile(r"wandb:([^/?#]+)/([^/?#]+)(?:\?(.*))?")
_CURVES = ("episode_return_mean", "validation_score")


def read_project(name: str) -> list[ComparedRun]:
    """The runs of `wandb:entity/project[?group=…]`, oldest first.

    Raises:
        InputError: the name is malformed, W&B does not answer or refuses, or there are no such runs or too many.
    """
    entity, project, group = parse_project(name)
    try:
        runs = _runs(f"{entity}/{project}", {"group": group} if group else {})
        return [_compared_run(run, entity, project) for run in runs]
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


def _compared_run(run: Any, entity: str, project: str) -> ComparedRun:
    # one column at a time: W&B returns only the rows that have all of the keys
    histories = [run.history(samples=HISTORY_ROWS, keys=["env_steps", name], pandas=False) for name in _CURVES]
    history = [row for rows in histories for row in rows]
    return run_from_wandb(
        f"wandb:{entity}/{project}/{run.id}", dict(run.config), run.summary_metrics, history, run.state
    )
