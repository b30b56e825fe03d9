"""Jobs of `train.py` as calls that a launcher makes elsewhere, and what a worker does with one.

The directory of a run shows how far it came. A job may be started again, because its worker was lost or its queue
starts it a second time: it goes on from there to the same bytes.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval import job, terminal
from rl_eval import run as runs
from rl_eval.errors import InputError
from rl_eval.formatting import quantity
from rl_eval.launchers import LauncherSettings, Task, as_they_end, launcher_plugin, require_shared


def task_of(
    values: Mapping[str, Any], directory: Path, *, sweep: Path | None, suites: Path, jobs_at_once: int = 1
) -> Task:
    """One job as a call.

    Args:
        values: the composed config.
        directory: of the run; `sweep` is that of its sweep, `suites` the folder of the suites. Paths are relative to
            the current folder, or absolute.
        jobs_at_once: how many jobs of the sweep share the machine.
    """
    paths = {"directory": str(directory), "sweep": None if sweep is None else str(sweep), "suites": str(suites)}
    arguments = {"values": dict(values), **paths, "jobs_at_once": jobs_at_once}
    return Task("rl_eval.job_elsewhere:make", arguments, name=directory.name)


def make(
    values: Mapping[str, Any], directory: str, sweep: str | None, suites: str, jobs_at_once: int = 1
) -> str | None:
    """In a worker: one job, from where an earlier worker left it.

    Returns:
        Where and why it was not trained or judged to its end, in a sentence; None if it was.

    Raises:
        InputError: this machine does not see the folder.
    """
    path = Path(directory)
    require_shared(path if sweep is None else Path(sweep))
    path.mkdir(parents=True, exist_ok=True)
    if (path / "run.json").exists() and not (path / "config.yaml").exists():
        (path / "run.json").unlink()  # ended between two of its first files
    begun = (path / "run.json").exists()
    values = {**values, "resume": directory} if begun else values
    sweep_directory = None if sweep is None else Path(sweep)
    reason = job.run(values, path, sweep=sweep_directory, suites=Path(suites), jobs_at_once=jobs_at_once, end=False)
    return None if reason is None else f"on the machine {socket.gethostname()}: {reason}"


def run_all(settings: LauncherSettings, tasks: Sequence[Task]) -> None:
    """Have a launcher make jobs, with a line on each that went wrong; their directories show the results.

    Raises:
        InputError: the launcher cannot start.
        KeyboardInterrupt: a stop signal came; the jobs have been stopped.
    """
    plugin = launcher_plugin(settings.name)
    assert plugin.start is not None
    launcher = plugin.start(settings)
    try:
        with terminal.ProgressLine(
            len(tasks), f"{quantity(len(tasks), 'job')} by {settings.name}", unit="jobs"
        ) as line:
            for done, (index, result) in enumerate(as_they_end(launcher, tasks), 1):
                if isinstance(result, BaseException):
                    terminal.print_error(_sentence(tasks[index], result))
                elif result is not None and not plugin.shares_terminal:
                    terminal.print_error(f"{tasks[index].name}: {result}")
                line.update(done)
    finally:
        launcher.close()


def _sentence(task: Task, error: BaseException) -> str:
    if not isinstance(error, InputError):
        raise error
    directory = Path(str(task.arguments["directory"]))
    begun = (directory / "run.json").exists()
    return f"{error}" + (f": continue with `{runs.resume_command(directory)}`" if begun else "")
