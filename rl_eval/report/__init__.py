"""One self-contained HTML page on a run, or on several.

    write_report([Path("outputs/<date>/<run>")])

`page` and `charts` are the parts that any page is made of; `reading` is what may be believed of a directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rl_eval.errors import InputError

__all__ = ["write_report"]


def write_report(paths: Sequence[Path], out: Path | None = None, *, trust: bool = False) -> Path:
    """Write the page on the runs that paths name; a sweep stands for its runs.

    Args:
        out: where to; None: `report.html` in the run, the sweep, or the folder that all of the runs lie in.
        trust: whether an environment that a run names may import a module.

    Returns:
        Where it is.

    Raises:
        InputError: no run is named, one cannot be read, or the page cannot be written.
    """
    from rl_eval.report.one_run import run_page
    from rl_eval.report.page import write
    from rl_eval.report.reading import runs_named
    from rl_eval.report.several_runs import runs_page

    runs = runs_named(paths)
    if not runs:
        raise InputError("no run is named: name a run directory or a sweep, such as outputs/<date>/<run>")
    single = len(runs) == 1 and list(paths) == runs
    folder = runs[0] if single else paths[0] if len(paths) == 1 else _common(runs, out)
    file = out or folder / "report.html"
    if file.is_symlink():
        raise InputError(f"{file} is a link: name another file with --out")
    if single:
        html = run_page(runs[0], trust=trust)
    else:
        html = runs_page(runs, folder.resolve().name, file.parent, trust=trust)
    write(file, html)
    return file


def _common(runs: Sequence[Path], out: Path | None) -> Path:
    """The folder that all runs lie in."""
    folders = {run.resolve().parent for run in runs}
    if len(folders) > 1 and out is None:
        raise InputError("the runs lie in different folders: say where the page is to be written with --out FILE")
    return runs[0].parent
