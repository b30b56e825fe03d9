"""`write_report`: write the page on one run or on several to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.report.html_page import write
from rl_eval.report.one_run import run_page
from rl_eval.report.several_runs import runs_page
from rl_eval.report.verdict_page import verdict_page
from rl_eval.run import expand_sweeps


def write_report(paths: Sequence[Path], out: Path | None = None, *, trust: bool = False) -> Path:
    """Write the page on some runs, or on a verdict file of pytest; a sweep means all of its runs.

    Args:
        out: the file to write; None: `report.html` in the run, the sweep, or the common folder of the runs; for a
            verdict file, its name with `.html`.
        trust: whether an environment that a run names may import a module.

    Returns:
        The file.

    Raises:
        InputError: no run is named, one is not a run, or the page cannot be written.
    """
    if verdict := next((path for path in paths if path.is_file()), None):
        return _write_verdict_page(verdict, paths, out)
    runs = expand_sweeps(paths)
    for run in runs:
        if not (run / "run.json").is_file():
            raise InputError(
                f"{run} is neither a run directory (it has no run.json) nor a sweep (no sweep.json): "
                "name one that train.py made, such as outputs/<date>/<run>"
            )
    if not runs:
        raise InputError("no run is named: name a run directory or a sweep, such as outputs/<date>/<run>")
    single = len(runs) == 1 and list(paths) == runs
    folder = runs[0] if single else paths[0] if len(paths) == 1 else _common_folder(runs, out)
    file = out or folder / "report.html"
    if file.is_symlink():
        raise InputError(f"{file} is a link: name another file with --out")
    if single:
        html = run_page(runs[0], trust=trust)
    else:
        html = runs_page(runs, folder.resolve().name, file.parent, trust=trust)
    write(file, html)
    return file


def _write_verdict_page(file: Path, paths: Sequence[Path], out: Path | None) -> Path:
    if len(paths) > 1:
        raise InputError(f"{file} is a verdict file, and a page shows only one of these: give no other file or run")
    if file.name == "run.json":
        raise InputError(f"{file} is inside a run: name the run directory, {file.parent}")
    page = out or file.with_suffix(".html")
    if page.is_symlink():
        raise InputError(f"{page} is a link: name another file with --out")
    write(page, verdict_page(file))
    return page


def _common_folder(runs: Sequence[Path], out: Path | None) -> Path:
    """The folder that contains all runs."""
    folders = {run.resolve().parent for run in runs}
    if len(folders) > 1 and out is None:
        raise InputError("the runs are in different folders: name the file to write with --out FILE")
    return runs[0].parent
