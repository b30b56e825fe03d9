"""What GitHub Actions shows of a session: an annotation on the line of each missed criterion, and the summary page.

GitHub reads annotations from the output (`::error file=…,line=…::…`), and Markdown from the file that the variable
`GITHUB_STEP_SUMMARY` names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rl_eval.formatting import brief, display_text
from rl_eval.pytest_plugin._markdown import session_markdown
from rl_eval.pytest_plugin._summary import properties_of, reports_of

MAX_ANNOTATIONS = 10  # of one kind that GitHub shows of a step
MAX_SUMMARY_BYTES = 1 << 20  # that GitHub takes
_MISSED = ("FAIL", "ERROR", "INCONCLUSIVE")
_LINE_OF_ERROR = re.compile(r":(\d+): ")


def report_to_github(reporter: Any, environ: Mapping[str, str] = os.environ) -> None:
    """Print annotations and append to the summary page, where the session runs in a job of GitHub Actions."""
    if environ.get("GITHUB_ACTIONS") == "true":
        folder = Path(environ.get("GITHUB_WORKSPACE") or ".").resolve()
        for line in error_commands(reporter, folder):
            reporter.write_line(line)
    if (name := environ.get("GITHUB_STEP_SUMMARY")) and (text := session_markdown(reporter)):
        file = Path(name)
        written = file.stat().st_size if file.exists() else 0
        content = text.encode(errors="replace")
        if written + len(content) <= MAX_SUMMARY_BYTES:
            with open(file, "ab") as summary:
                summary.write(content)


def error_commands(reporter: Any, folder: Path) -> Iterator[str]:
    """A command of GitHub for each reason why criteria are missed, and for each suite that is not valid.

    Args:
        folder: what the paths of files are relative to, where they are below it.
    """
    commands = [*_of_broken_suites(reporter, folder), *_of_items(reporter, folder)]
    yield from commands[:MAX_ANNOTATIONS]


def _of_items(reporter: Any, folder: Path) -> Iterator[str]:
    missed: dict[tuple[str, str], list[Any]] = {}  # criteria of a suite that share a reason, as without a run
    for report in sorted(reports_of(reporter), key=lambda report: report.location[:2]):
        properties = properties_of(report)
        if properties.get("decision") in _MISSED:
            missed.setdefault((report.location[0], properties["detail"]), []).append(report)
    for (file, detail), reports in missed.items():
        properties = properties_of(reports[0])
        title = f"{properties['decision']} {properties['suite']}::{properties['criterion']}"
        if len(reports) > 1:
            title += f" and {len(reports) - 1} more"
        yield _error(reporter.config.rootpath / file, folder, (reports[0].location[1] or 0) + 1, title, detail)


def _of_broken_suites(reporter: Any, folder: Path) -> Iterator[str]:
    """Of files that cannot be collected; the line is that of their sentence."""
    for report in reporter.stats.get("error", ()):
        if report.when != "collect" or not report.nodeid.endswith((".yaml", ".yml")):
            continue
        sentence = str(report.longrepr)
        line = _LINE_OF_ERROR.search(sentence)
        file = reporter.config.rootpath / report.nodeid
        yield _error(file, folder, int(line[1]) if line else 1, "the suite is not valid", sentence)


def _error(file: Path, folder: Path, line: int, title: str, text: str) -> str:
    place = file.resolve()
    shown = place.relative_to(folder) if place.is_relative_to(folder) else place
    values = ",".join(
        f"{name}={_escaped(str(value), ':,')}" for name, value in (("file", shown), ("line", line), ("title", title))
    )
    return f"::error {values}::{_escaped(brief(display_text(text)))}"


def _escaped(text: str, more: str = "") -> str:
    """Text without the characters that end a command or one of its values."""
    return "".join(f"%{ord(letter):02X}" if letter in f"%\r\n{more}" else letter for letter in text)
