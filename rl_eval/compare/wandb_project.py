"""The runs of a W&B project, read over W&B's public API."""

from __future__ import annotations

import itertools
import os
import re
from typing import Any
from urllib.parse import parse_qsl

from rl_eval.compare.entry import Entry
from rl_eval.compare.wandb_offline import entry_of
from rl_eval.errors import InputError

MOST = 200  # runs of one project
SAMPLES = 500  # rows of history a run
TIMEOUT = 20  # seconds an answer may take
_NAMED = re.compile(r"wandb:([^/?#]+)/([^/?#]+)(?:\?(.*))?")
_CURVES = ("episode_return_mean", "select_score")


def read_project(named: str) -> list[Entry]:
    """The runs of `wandb:entity/project[?group=…]`, oldest first.

    Raises:
        InputError: it is written wrongly, W&B does not answer or refuses, or there are no such runs, or too many.
    """
    entity, project, group = parse(named)
    try:
        runs = _runs(f"{entity}/{project}", {"group": group} if group else {})
        return [_entry(run, entity, project) for run in runs]
    except InputError:
        raise
    except Exception as error:  # whatever W&B and its connection raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{named} cannot be read ({said[:200]}): check the name, the network and `wandb login`"
        ) from error


def parse(named: str) -> tuple[str, str, str | None]:
    """Entity, project and group of `wandb:entity/project[?group=…]`.

    Raises:
        InputError: it is written in another way.
    """
    match = _NAMED.fullmatch(named)
    given = parse_qsl(match[3] or "", keep_blank_values=True) if match else []
    if not match or any(key != "group" or not value for key, value in given) or len(given) > 1:
        raise InputError(
            f"{named!r} does not name runs of W&B: write wandb:entity/project or wandb:entity/project?group=…"
        )
    return match[1], match[2], given[0][1] if given else None


def _runs(path: str, filters: dict[str, Any]) -> list[Any]:
    # before W&B is first imported: its reports of its own errors hold up the end of the process
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    found = wandb.Api(timeout=TIMEOUT).runs(path, filters=filters, per_page=50, lazy=False)
    runs = list(itertools.islice(found, MOST + 1))
    if not runs:
        raise InputError(f"wandb:{path} has no run{' of that group' if filters else ''}: check the name")
    if len(runs) > MOST:
        raise InputError(f"wandb:{path} has more than {MOST} runs: name a group of them with ?group=…")
    return runs


def _entry(run: Any, entity: str, project: str) -> Entry:
    # one column at a time: W&B gives the rows that have all of the keys
    asked = [run.history(samples=SAMPLES, keys=["env_steps", name], pandas=False) for name in _CURVES]
    history = [row for rows in asked for row in rows]
    return entry_of(f"wandb:{entity}/{project}/{run.id}", dict(run.config), run.summary_metrics, history, run.state)
