"""Runs side by side: settings that differ, scores, verdicts, and their curves on the same axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.override_text import shell_word
from rl_eval.report import charts, curves
from rl_eval.report.html_page import flat, number
from rl_eval.report.judged_run import JudgedRun, read_judged_run
from rl_eval.run import deciding_settings
from rl_eval.run_index import Entry
from rl_eval.view.rendering import render
from rl_eval.view.runs import Runs

MAX_RUNS = charts.COLOURS
MAX_SETTINGS = 100


def page(runs: Runs, entries: Sequence[Entry]) -> str:
    """The page.

    Raises:
        InputError: fewer than two runs, too many, or one that cannot be read.
    """
    if not 2 <= len(entries) <= MAX_RUNS:
        raise InputError(f"{len(entries)} runs are ticked: tick from 2 to {MAX_RUNS} runs in the table")
    records = [read_judged_run(runs.directory(entry)) for entry in entries]
    groups = [
        curves.Group(f"{index}: {brief(entry.name, 60)}", [record.curves], index)
        for index, (entry, record) in enumerate(zip(entries, records, strict=True), 1)
    ]
    metrics = {entry.metric for entry in entries}
    return render(
        "compare_view.html",
        title=f"{len(entries)} runs compared",
        here="/",
        entries=entries,
        outputs=runs.outputs,
        settings=_differing(records),
        criteria=_criteria(records),
        legend=charts.legend([(group.label, group.colour) for group in groups]),
        learning=curves.learning(groups, {}, metrics.pop() if len(metrics) == 1 else None),
        optimisation=curves.optimisation(groups),
        command=f"rl-eval compare {' '.join(shell_word(record.path) for record in records)}",
    )


def _differing(records: Sequence[JudgedRun]) -> list[tuple[str, list[str]]]:
    settings = [dict(flat(deciding_settings(record.config))) for record in records]
    keys = list(dict.fromkeys(key for values in settings for key in values))
    rows = [(key, [values.get(key, "–") for values in settings]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1][:MAX_SETTINGS]


def _criteria(records: Sequence[JudgedRun]) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """Name of suite and criterion -> what was decided on each run."""
    names: dict[tuple[str, str], None] = {}
    found: list[dict[tuple[str, str], dict[str, Any]]] = []
    for record in records:
        cells = {}
        for suite in record.suites:
            for row in suite.criteria:
                if row.estimate is not None or row.threshold is not None:
                    estimate = number(row.estimate, 4, row.threshold)
                    cells[suite.suite, row.criterion] = {"estimate": estimate, "decision": row.decision}
        names |= dict.fromkeys(cells)
        found.append(cells)
    return [(f"{suite}: {criterion}", [cells.get((suite, criterion)) for cells in found]) for suite, criterion in names]
