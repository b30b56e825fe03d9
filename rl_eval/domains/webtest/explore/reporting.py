"""The files of an exploration: report.html, report.json, junit.xml, and a script and a picture of each failure."""

from __future__ import annotations

import re
import shlex
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import jinja2

from rl_eval.domains.webtest.explore.findings import Exploration, Finding
from rl_eval.domains.webtest.explore.script import describe
from rl_eval.errors import InputError
from rl_eval.run import SCHEMA, write_bytes, write_json, write_text

REPORT = "report.json"
_FILES = ("failure_*.py", "failure_*.png", "report.html", REPORT, "junit.xml")
_ENVIRONMENT = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)


def require_folder(folder: Path) -> None:
    """Make the folder of a report. Files of an earlier report stay until `write_report`.

    Raises:
        InputError: it holds something else, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Without its last file, a report that was not written to its end is known by its first ones.
        others = {file.name for file in folder.iterdir()} - {file.name for file in folder.glob("failure_*")}
        if others and not (folder / REPORT).exists():
            raise InputError(f"--out {folder} has other files: give a new folder, or that of an earlier report")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"--out {folder} cannot be written ({error.strerror}): give another folder") from error


def write_report(exploration: Exploration, folder: Path) -> None:
    """Write all files of a report in place of those of an earlier one.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in _FILES:
        for file in folder.glob(pattern):
            file.unlink()
    shown, untried = exploration.replayed("shown"), exploration.replayed("not_tried")
    entries = [_entry(number, one, folder) for number, one in enumerate([*shown, *untried], 1)]
    values: dict[str, Any] = {
        "base_url": exploration.base_url, "policy": exploration.policy, "budget": exploration.budget,
        "actions": exploration.actions, "states": exploration.states, "transitions": exploration.transitions,
        "seconds": exploration.seconds, "refused": exploration.refused, "timed_out": exploration.timed_out,
        "ended": exploration.ended, "notes": exploration.notes, "failures": entries[: len(shown)],
        "not_tried": entries[len(shown) :],
        "not_reproduced": [asdict(one.failure) for one in exploration.replayed("not_shown")],
    }  # fmt: skip
    page = _ENVIRONMENT.get_template("report.html.j2").render(values, folder=shlex.quote(str(folder)))
    write_text(folder / "report.html", page)
    write_text(folder / "junit.xml", _junit(exploration, values["failures"], values["not_tried"]))
    listed = [{name: value for name, value in entry.items() if name != "script"} for entry in entries]
    values |= {"failures": listed[: len(shown)], "not_tried": listed[len(shown) :]}
    write_json(folder / REPORT, {"schema": SCHEMA, **values})


def _entry(number: int, finding: Finding, folder: Path) -> dict[str, Any]:
    name = f"failure_{number:02d}"
    if finding.script:
        write_text(folder / f"{name}.py", finding.script)
    if finding.screenshot:
        write_bytes(folder / f"{name}.png", finding.screenshot)
    return {
        "number": number, "kind": finding.failure.kind, "site": finding.failure.site,
        "severity": finding.failure.severity, "url": finding.url, "title": finding.title, "action": finding.action,
        "count": finding.count, "path": [describe(step) for step in finding.path],
        "script_file": f"{name}.py" if finding.script else None, "script": finding.script,
        "picture": f"{name}.png" if finding.screenshot else None,
    }  # fmt: skip


def _junit(exploration: Exploration, failures: list[dict[str, Any]], untried: list[dict[str, Any]]) -> str:
    """One test case for each failure, a skipped one for each that was not tried, and one for the exploration itself.

    That case passes, or is an error where the exploration ended before its budget was spent.
    """
    error = f"<error message={quoteattr(_xml(exploration.ended))}/>" if exploration.ended else ""
    cases = [f'  <testcase classname="webtest" name="explore" time="{exploration.seconds:.1f}">{error}</testcase>']
    for failure in failures:
        text = escape(_xml("\n".join([*failure["path"], f"python {failure['script_file']}"])))
        message = quoteattr(_xml(f"{failure['site']} on {failure['url']}"))
        cases.append(_case(failure, f'<failure type="{failure["kind"]}" message={message}>{text}</failure>'))
    cases += [_case(one, '<skipped message="its script was not tried"/>') for one in untried]
    counts = f'tests="{len(cases)}" failures="{len(failures)}" errors="{int(bool(error))}" skipped="{len(untried)}"'
    head = f"<testsuite name={quoteattr(_xml(exploration.base_url))} {counts}>"
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>", ""])


def _case(failure: dict[str, Any], outcome: str) -> str:
    name = quoteattr(_xml(f"{failure['kind']} {failure['site']}"))
    return f'  <testcase classname="webtest.{failure["kind"]}" name={name}>\n    {outcome}\n  </testcase>'


def _xml(text: str) -> str:
    """A text without characters that XML does not allow."""
    return re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd]", "?", text)
