"""Reading a run for diagnostics: a run directory, or a log of another program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun, read_diagnosed_run
from rl_eval.foreign_logs import is_log, read_log


def read(path: Path | str, *, trust: bool = False, columns: Mapping[str, str] | None = None) -> DiagnosedRun:
    """A run directory, or a log of another program: a CSV file, an event file of TensorBoard, or a folder of either.

    Args:
        trust: whether an environment that the run names may import a module.
        columns: of a log, our name -> the name in the file.

    Raises:
        InputError: the path does not exist, or has none of these formats.
    """
    path = Path(path)
    if not is_log(path) or (columns is None and (path / "run.json").exists()):
        return read_diagnosed_run(path, trust=trust)
    log = read_log(path, columns or {})
    only_curves = f"{log.path} has only curves: diagnostics of the config, the policy or the episodes did not run"
    return DiagnosedRun(log.path, dict(log.counts), curves=log.curves, missing=[only_curves])
