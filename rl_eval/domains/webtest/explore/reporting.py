"""The files of an exploration: report.html, report.json, junit.xml, and a script and a picture of each failure."""

from __future__ import annotations

import re
import shlex
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
_ENVIRONMENT = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)


def prepare_folder(folder: Path) -> None:
    """Make the folder of a report, and remove the files of an earlier one.

    Raises:
        InputError: it holds something else, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / REPORT).exists():
            raise InputError(f"--out {folder} holds other files: give a new folder, or that of an earlier report")
        for pattern in ("failure_*.py", "failure_*.png", "report.html", REPORT, "junit.xml"):
            for file in folder.glob(pattern):
                file.unlink()
    except OSError as error:
        raise InputError(f"--out {folder} cannot be written ({error.strerror}): give another folder") from error


def write_report(exploration: Exploration, folder: Path) -> None:
    """Write all files of a report.

    Raises:
        OSError: one cannot be written.
    """
    failures = [_entry(number, one, folder) for number, one in enumerate(exploration.reported(), 1)]
    flaky = [asdict(one.failure) for one in exploration.flaky()]
    values: dict[str, Any] = {
        "base_url": exploration.base_url, "policy": exploration.policy, "actions": exploration.actions,
        "states": len(exploration.states), "transitions": exploration.transitions, "seconds": exploration.seconds,
        "refused": exploration.refused, "timed_out": exploration.timed_out, "notes": exploration.notes,
        "failures": failures, "not_reproduced": flaky,
    }  # fmt: skip
    page = _ENVIRONMENT.get_template("report.html.j2").render(values, flaky=flaky, folder=shlex.quote(str(folder)))
    write_text(folder / "report.html", page)
    write_text(folder / "junit.xml", _junit(exploration, failures))
    listed = [{name: value for name, value in failure.items() if name != "script"} for failure in failures]
    write_json(folder / REPORT, {"schema": SCHEMA, **values, "failures": listed})


def _entry(number: int, finding: Finding, folder: Path) -> dict[str, Any]:
    name = f"failure_{number:02d}"
    write_text(folder / f"{name}.py", finding.script)
    if finding.screenshot:
        write_bytes(folder / f"{name}.png", finding.screenshot)
    return {
        "number": number, "kind": finding.failure.kind, "site": finding.failure.site,
        "severity": finding.failure.severity, "url": finding.url, "title": finding.title, "action": finding.action,
        "count": finding.count, "path": [describe(step) for step in finding.path], "script_file": f"{name}.py",
        "script": finding.script, "picture": f"{name}.png" if finding.screenshot else None,
    }  # fmt: skip


def _junit(exploration: Exploration, failures: list[dict[str, Any]]) -> str:
    """One test case for each failure, and one for the exploration itself, which passes."""
    cases = [f'  <testcase classname="webtest" name="explore" time="{exploration.seconds:.1f}"/>']
    for failure in failures:
        name = quoteattr(_xml(f"{failure['kind']} {failure['site']}"))
        text = escape(_xml("\n".join([*failure["path"], f"python {failure['script_file']}"])))
        message = quoteattr(_xml(f"{failure['site']} on {failure['url']}"))
        cases.append(
            f'  <testcase classname="webtest.{failure["kind"]}" name={name}>\n'
            f'    <failure type="{failure["kind"]}" message={message}>{text}</failure>\n  </testcase>'
        )
    head = f'<testsuite name={quoteattr(_xml(exploration.base_url))} tests="{len(cases)}" failures="{len(failures)}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>", ""])


def _xml(text: str) -> str:
    """A text without characters that XML does not allow."""
    return re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd]", "?", text)
