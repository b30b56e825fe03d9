"""The files that a session leaves for CI: `--rl-verdict` and `--rl-badge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval.pytest_plugin._badge import write_badge
from rl_eval.pytest_plugin._summary import properties_of, reports_of

if TYPE_CHECKING:
    from rl_eval.pytest_plugin._session import GateSession


def write_files(reporter: Any, session: GateSession) -> None:
    """Write the files that were asked for; one that cannot be written is a line, and the session fails."""
    options = {"--rl-verdict": "rl_eval_verdict", "--rl-badge": "rl_eval_badge"}
    for option, name in options.items():
        text = reporter.config.getoption(name)
        if not text:
            continue
        file = session.path(text)
        try:
            if option == "--rl-badge":
                properties = map(properties_of, reports_of(reporter))
                write_badge(file, [values["decision"] for values in properties if "decision" in values])
            else:
                _write_verdict(file, session)
        except OSError as error:
            reporter.write_line(f"{option} {file} cannot be written ({error.strerror or error})", red=True)
            reporter._session.exitstatus = reporter._session.exitstatus or 1


def _write_verdict(file: Path, session: GateSession) -> None:
    from rl_eval.gates.verdict_file import write_verdict_file

    file.parent.mkdir(parents=True, exist_ok=True)
    write_verdict_file(file, session.verdicts())
