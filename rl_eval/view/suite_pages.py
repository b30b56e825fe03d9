"""Suites over time: what each has decided on the runs below the folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rl_eval.errors import InputError
from rl_eval.formatting import COMPARISON_SIGNS, brief
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.gates.verdict_file import read_suite_verdicts
from rl_eval.report.html_page import number
from rl_eval.run_index import Entry
from rl_eval.view.history_chart import Verdict, history
from rl_eval.view.rendering import render
from rl_eval.view.runs import Runs

MAX_VERDICTS = 100  # of one suite, the newest
MAX_DOTS = 50  # of them, the newest, in a chart
MAX_CRITERIA = 30


@dataclass(frozen=True)
class _Judged:
    entry: Entry
    suite: SuiteVerdict


def list_page(runs: Runs) -> str:
    """Every suite that judged a run, with how often it decided what."""
    counts: dict[str, Counter[str]] = {}
    newest: dict[str, str] = {}
    for entry in runs.listing().entries:
        for suite in entry.suites:
            counts.setdefault(suite.suite, Counter())[suite.decision] += 1
            newest[suite.suite] = max(newest.get(suite.suite, ""), entry.started)
    rows = [
        {"name": name, "counts": counts[name], "total": counts[name].total(), "newest": newest[name]}
        for name in sorted(counts)
    ]
    return render("suites.html", title="Suites", here="/suites", rows=rows)


def history_page(runs: Runs, name: str) -> str:
    """The verdicts of a suite over time.

    Raises:
        InputError: no run was judged by a suite of that name.
    """
    entries = [entry for entry in runs.listing().entries if any(suite.suite == name for suite in entry.suites)]
    if not entries:
        raise InputError(f"no run here was judged by a suite {brief(name, 60)!r}")
    judged, unreadable = [], 0
    for entry in entries[:MAX_VERDICTS]:
        try:
            suites = read_suite_verdicts(runs.directory(entry))
        except InputError:
            unreadable += 1
            continue
        judged += [_Judged(entry, suite) for suite in suites if suite.suite == name]
    names = dict.fromkeys(row.criterion for one in judged for row in one.suite.criteria if row.threshold is not None)
    return render(
        "suite.html",
        title=name,
        here="/suites",
        judged=judged,
        shown=len(entries[:MAX_VERDICTS]),
        total=len(entries),
        unreadable=unreadable,
        criteria=[_criterion(criterion, judged[:MAX_DOTS][::-1]) for criterion in list(names)[:MAX_CRITERIA]],
    )


def _criterion(name: str, oldest_first: Sequence[_Judged]) -> dict[str, object]:
    rows = [(one, row) for one in oldest_first for row in one.suite.criteria if row.criterion == name]
    verdicts = [
        Verdict(
            row.estimate, row.interval, row.decision, f"{one.entry.name}, {one.entry.started[:16].replace('T', ' ')}"
        )
        for one, row in rows
    ]
    latest = rows[-1][1]
    sign = COMPARISON_SIGNS.get(latest.direction, "")
    return {
        "name": name,
        "metric": latest.metric,
        "requirement": f"{sign} {number(latest.threshold)}",
        "chart": history(verdicts, latest.threshold, f"{latest.metric} of {name}"),
    }
