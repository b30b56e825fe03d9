"""Run the script of each failure in a process of its own, and keep the shortest that shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl_eval.domains.webtest.browser.steps import Step
from rl_eval.domains.webtest.explore.findings import Exploration, Finding, paths
from rl_eval.domains.webtest.explore.script import script

SCRIPT_S = 60.0  # for one script
WHOLE_S = 1200.0  # for all of them


def reproduce(
    exploration: Exploration,
    log_in: Callable[[], dict[str, Any]] | None,
    secret: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Give each finding the script that shows it again, in a fresh browser.

    Where none shows it, and one did not end in time, it stays `not_tried`.

    Args:
        log_in: gives a storage state; it is written to a file that only this person can read, and removed.
        secret: the value of secret fields, given to the scripts in their environment.
        progress: called with the number of findings that are done.

    Raises:
        InputError: the log-in does not work any more.
        KeyboardInterrupt: a stop signal came; the findings that were not done are `not_tried`.
    """
    until = time.monotonic() + WHOLE_S
    with tempfile.TemporaryDirectory(prefix="webtest-") as folder:
        environment = {**os.environ, "WEBTEST_SECRET": secret}
        if log_in is not None:
            environment["WEBTEST_AUTH"] = _state_file(Path(folder), log_in())
        for number, finding in enumerate(exploration.findings, 1):
            if time.monotonic() > until:
                exploration.notes.append("there was no time left to reproduce all failures")
                break
            if late := _try(finding, exploration.base_url, Path(folder), environment):
                site = f"{finding.failure.kind} at {finding.failure.site}"
                exploration.notes.append(f"{late} of the scripts of {site} did not end within {SCRIPT_S:g} s")
            progress(number)


def _state_file(folder: Path, state: dict[str, Any]) -> str:
    file = folder / "state.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(state))
    return str(file)


def _try(finding: Finding, base_url: str, folder: Path, environment: dict[str, str]) -> int:
    """Run the scripts of a failure until one shows it; how many did not end, where none does."""
    late = 0
    for path in paths(finding.steps, base_url):
        try:
            if _shows(finding, path, base_url, folder, environment):
                finding.replay = "shown"
                return 0
        except subprocess.TimeoutExpired:
            late += 1
    finding.replay = "not_tried" if late else "not_shown"
    return late


def _shows(finding: Finding, path: tuple[Step, ...], base_url: str, folder: Path, environment: dict[str, str]) -> bool:
    text = script(finding.failure, path, base_url)
    file = folder / "script.py"
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, str(file)], env=environment, cwd=folder, timeout=SCRIPT_S, capture_output=True
    )
    if done.returncode:
        return False
    finding.script, finding.path = text, path
    return True
