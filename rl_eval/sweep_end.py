"""The end of `train.py`: the table and the cost of a sweep, and the exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_eval import run, terminal
from rl_eval.cost import cost_text, recorded_cost, total
from rl_eval.errors import InputError
from rl_eval.formatting import quantity
from rl_eval.gates.judge_command import judge_best_commands
from rl_eval.gates.validation_ranking import best_on_validation
from rl_eval.run import Run


def _verdict_rows(directory: Path) -> list[dict[str, Any]]:
    """The criteria that judged a run, each with the part that was played; empty if none did."""
    if not (directory / "verdict.json").exists():
        return []
    suites = run.read_verdicts(directory)
    return [{**row, "part": suite.get("part")} for suite in suites for row in suite["criteria"]]


def _print_sweep(runs: Sequence[Run], suites: Path) -> None:
    """Print the comparison of a sweep's jobs, and the command that judges the best where the test set judged none."""
    verdicts = {run.path: rows for run in runs if (rows := _verdict_rows(run.path))}
    finished = [run for run in runs if run.finished]
    best = best_on_validation([[run] for run in finished])
    path, metric = (None, "") if best is None else (finished[best.index].path, best.metric)
    terminal.console_for(sys.stdout).print(terminal.sweep_table(runs, verdicts, best=path, metric=metric))
    on_test = [run for run in finished if any(row["part"] in (None, "test") for row in verdicts.get(run.path, ()))]
    if on_test:  # with judge=test, as a person asked for
        terminal.print_line(
            f"{quantity(len(on_test), 'job')} judged on the test set, which the ledger counts as that many policies: "
            "choose on validation, and confirm the choice on data that judged none of them"
        )
        return
    for sentence in judge_best_commands(finished, suites):
        terminal.print_line(sentence)


def _record_cost(sweep: Path, runs: Sequence[Run]) -> None:
    """Write the cost of a sweep, the sum of its jobs', into `sweep.json`, and print it."""
    cost = total(recorded_cost(job).total for job in runs)
    values = {**cost.to_json(), "currency": cost.currency}
    run.write_json(sweep / "sweep.json", {**run.read_json(sweep / "sweep.json"), "cost": values})
    terminal.print_line(f"cost of the sweep: {cost_text(cost)}")


def exit_status(directories: list[Path], interrupted: bool, suites: Path | None) -> int:
    """Print the comparison of a sweep, and turn the status of the runs into an exit status.

    Args:
        suites: of a sweep, the folder of the suites; None for a single run.
    """
    runs, failed = [], False
    for directory in directories:
        try:
            runs.append(run.read_run(directory))
        except InputError:
            failed = True
    if suites is not None and runs:
        _print_sweep(runs, suites)
        _record_cost(directories[0].parent, runs)
    statuses = {r.info["status"] for r in runs}
    if interrupted or "interrupted" in statuses:
        return 130
    # A job that has ended and whose run is still "running" could not write down why.
    return 1 if failed or statuses & {"failed", "running", "over_budget"} else 0
