"""What a session prints: which runs are judged, the sentences of failures, and the summary of all suites.

All of it comes from reports, so that it works under xdist too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rich.console import Console

# Properties of a report that is not about a criterion: why the whole suite is not judged, and what would train a run.
NOT_JUDGED, TRAIN_COMMAND = "not_judged", "train_command"
FACTS = ("judged", "test set", "assumed", "cost")
# An end that is infinite has no property.
INTERVAL_ENDS = ("interval_low", "interval_high")


@dataclass(frozen=True)
class Sentences:
    """The reason of a failure, a sentence per line; printed between words where pytest writes to a terminal."""

    text: str

    def __str__(self) -> str:
        return self.text

    def toterminal(self, writer: Any) -> None:
        """Print it as pytest prints a failure."""
        for line in wrapped(self.text.splitlines(), writer):
            writer.line(line)


def wrapped(lines: Iterable[str], writer: Any) -> list[str]:
    """Lines wrapped between words where the writer of pytest writes to a terminal, else as they are."""
    from rl_eval.terminal import is_terminal, wrap_words

    if not is_terminal(writer._file):
        return list(lines)
    rows = []
    for line in lines:
        begin = line[: len(line) - len(line.lstrip())]
        indent = f"{begin}  "
        words = wrap_words(line, writer.fullwidth - len(indent), taken=len(begin) - len(indent))
        rows.append(begin + f"\n{indent}".join(words))
    return rows


@dataclass
class SuiteReports:
    """What the reports of one suite's items carry.

    Attributes:
        rows: of its criteria: their order, and their properties.
        not_judged: why none of its items is judged.
    """

    rows: list[tuple[tuple[bool, int], dict[str, Any]]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    not_judged: str | None = None
    train_command: str | None = None


def print_summary(reporter: Any) -> None:
    """Each suite with what it judged and the table of its criteria, then those that are not judged."""
    suites, passed_over = suites_of(reporter)
    if not suites:
        return
    from rl_eval.terminal import console_for, print_labelled, print_suite

    reporter.write_sep("=", "acceptance criteria")
    reporter.flush()
    console = console_for(reporter._tw._file)
    judged = {name: suite for name, suite in suites.items() if suite.rows}
    for name, suite in judged.items():
        rows = [row for _, row in sorted(suite.rows, key=lambda row: row[0])]
        print_suite(name, rows, console, suite.facts)
        console.print()
    _print_not_judged({name: suite for name, suite in suites.items() if suite.not_judged}, reporter, console)
    for sentence in passed_over:
        print_labelled(console, "passed over:", sentence, "bold yellow", indent=2)


def suites_of(reporter: Any) -> tuple[dict[str, SuiteReports], list[str]]:
    """File -> its reports, in the order of the session; and the runs that were passed over."""
    suites: dict[str, SuiteReports] = {}
    passed_over: dict[str, None] = {}  # in order, without duplicates
    for report in sorted(reports_of(reporter), key=lambda report: report.location[:1]):
        properties = properties_of(report)
        passed_over |= {value: None for name, value in report.user_properties if name == "passed_over"}
        if "decision" not in properties and NOT_JUDGED not in properties:
            continue
        suite = suites.setdefault(report.nodeid.partition("::")[0], SuiteReports())
        if NOT_JUDGED in properties:
            suite.not_judged, suite.train_command = properties[NOT_JUDGED], properties.get(TRAIN_COMMAND)
            continue
        # controls and the like come last
        suite.rows.append(((not properties["direction"], report.location[1]), properties))
        suite.facts = suite.facts or [pair for pair in report.user_properties if pair[0] in FACTS]
    return suites, list(passed_over)


def properties_of(report: Any) -> dict[str, Any]:
    """The properties of a report, with its interval as the table takes it."""
    properties = dict(report.user_properties)
    if properties.keys() & set(INTERVAL_ENDS):
        properties["interval"] = tuple(properties.get(end) for end in INTERVAL_ENDS)
    return properties


def reports_of(reporter: Any) -> Iterable[Any]:
    """One report per item: that of the phase which carries its verdict."""
    reports = (report for reports in reporter.stats.values() for report in reports)
    return {report.nodeid: report for report in reports if getattr(report, "user_properties", ())}.values()


def _print_not_judged(suites: dict[str, SuiteReports], reporter: Any, console: Console) -> None:
    """Suites without a judged item: those without a run, with the command that trains one, and others with a reason."""
    from rl_eval.gates.training_commands import DATA_PLACEHOLDER
    from rl_eval.terminal import print_commands, print_labelled

    commands = {name: suite.train_command for name, suite in suites.items() if suite.train_command}
    with_data = {name: command for name, command in commands.items() if DATA_PLACEHOLDER in command}
    without_data = {name: command for name, command in commands.items() if name not in with_data}
    outputs = reporter.config.getoption("rl_eval_outputs") or "outputs"
    advice = "train with these commands or with --rl-train-missing, or name a run or a policy with --rl-run"
    advice_on_data = "fill in its path, or name it with --rl-data"
    for group, end in ((without_data, f": {advice}"), (with_data, f", and their data is not named: {advice_on_data}")):
        if group:
            judges = "this suite" if len(group) == 1 else f"these {len(group)} suites"
            reason = f"no finished run in {outputs} fits {judges}{end}"
            print_labelled(console, "NOT JUDGED", reason, "bold red", indent=2)
            print_commands(console, group)
    others: dict[str, list[str]] = {}  # reason -> suites
    for name, suite in suites.items():
        if name not in commands:
            others.setdefault(str(suite.not_judged), []).append(name)
    for reason, names in others.items():
        print_labelled(console, "NOT JUDGED", f"{', '.join(names)}: {reason}", "bold red", indent=2)


def status_of(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """How pytest counts an item that is not judged or not checked, on which the summary has a line already."""
    if report.when != "setup" or report.passed:
        return None
    if _has(report, NOT_JUDGED):
        return (
            "not judged",
            "E" if report.failed else "s",
            ("NOT JUDGED", {"red": report.failed, "yellow": report.skipped}),
        )
    if report.skipped and _has(report, "decision"):
        return "not checked", "s", ("NOT CHECKED", {"yellow": True})
    return None


def _has(report: Any, name: str) -> bool:
    return any(key == name for key, _ in getattr(report, "user_properties", ()))


def with_sentences(report: pytest.TestReport) -> None:
    """Let a failure of a suite's item be printed between words."""
    if report.failed and isinstance(report.longrepr, str) and (_has(report, "decision") or _has(report, NOT_JUDGED)):
        report.longrepr = Sentences(report.longrepr)  # type: ignore[assignment]
