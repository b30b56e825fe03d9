"""The page of one run: its verdicts, its curves, which grow while it trains, and commands to paste."""

from __future__ import annotations

from typing import Any

from rl_eval.formatting import brief
from rl_eval.override_text import shell_word
from rl_eval.report import criterion_rows, one_run, verdicts
from rl_eval.report import curves as report_curves
from rl_eval.report.judged_run import JudgedRun, read_judged_run
from rl_eval.run import resume_command
from rl_eval.run_index import Entry
from rl_eval.view.rendering import render
from rl_eval.view.runs import Runs


def page(runs: Runs, entry: Entry) -> str:
    """The page.

    Raises:
        InputError: the run cannot be read.
    """
    run = read_judged_run(runs.directory(entry))
    return render(
        "run_view.html",
        title=one_run.title(run),
        here="/",
        entry=entry,
        facts=one_run.facts(run),
        headline=verdicts.headline(run.suites, damaged=run.damaged_verdict),
        missing=run.missing,
        suites=[
            {
                "verdict": suite,
                "rows": _rows(suite),
                "checks": criterion_rows.checks(suite),
                "plumbing": criterion_rows.plumbing(suite),
            }
            for suite in run.suites
        ],
        has_report=(run.path / "report.html").is_file(),
        commands=_commands(run, entry),
        **_curves(run),
    )


def curves(runs: Runs, entry: Entry) -> str:
    """Only the curves, for a page that shows them already.

    Raises:
        InputError: the run cannot be read.
    """
    return render("curves.html", entry=entry, **_curves(read_judged_run(runs.directory(entry))))


def _curves(run: JudgedRun) -> dict[str, Any]:
    group = [report_curves.Group(run.path.name, [run.curves])]
    return {
        "steps": run.info.get("env_steps"),
        "total": run.config.get("total_steps"),
        "learning": report_curves.learning(group, one_run.bars(run), one_run.validation_metric(run)),
        "optimisation": report_curves.optimisation(group),
        "rewards": report_curves.rewards(group),
    }


def _rows(suite: Any) -> list[dict[str, Any]]:
    """The criteria with their places in the verdict, which are part of an address."""
    places = {id(verdict): place for place, verdict in enumerate(suite.criteria)}
    return [{"row": row, "place": places[id(row.verdict)]} for row in criterion_rows.criteria(suite)]


def _commands(run: JudgedRun, entry: Entry) -> list[tuple[str, str]]:
    path = shell_word(run.path)
    commands = [
        ("Why it has this result", f"rl-eval doctor {path}"),
        ("Its report, written again", f"rl-eval report {path}"),
    ]
    if entry.status in ("running", "interrupted", "over_budget"):
        commands.insert(0, ("Continue it, if no process trains it", resume_command(run.path)))
    for suite in run.suites:
        if suite.part != "test":
            judge = f"pytest {shell_word(brief(suite.file, 200))} --rl-run {path}"
            commands.append(("Judge it on the test set", judge))
    return commands
