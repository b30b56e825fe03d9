"""The command line of `train.py`: from arguments to jobs, and from their results to an exit status."""

from __future__ import annotations

import datetime
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError
from rl_eval.extras import require_extra
from rl_eval.hydra_compose import (
    check_arguments,
    compose,
    config_dir_of,
    expand_sweep,
    override_value,
    path_override,
    quote_run_paths,
    split_arguments,
)
from rl_eval.search_path import add_folders

# Flags with which Hydra prints something and runs nothing.
PRINTING_FLAGS = (
    "--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc",
)  # fmt: skip
DIRECTORY_KEYS = ("hydra.run.dir=", "hydra.sweep.dir=")


@dataclass(frozen=True)
class Job:
    """One run to make: its overrides, its composed config as plain values, and its folder below a sweep's."""

    overrides: list[str]
    values: dict[str, Any]
    folder: str


def _print(job: Callable[[], None]) -> int:
    """Let Hydra print help or a config; a reader that hangs up, such as `head`, is no error."""
    try:
        job()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed at exit
    return 0


def launch(root: Path, argv: Sequence[str], job: Callable[[], None]) -> int:
    """Run what the command line asks for; returns the exit status.

    Args:
        root: the folder that holds `conf/` and `suites/`.
        argv: the arguments, without the program's name.
        job: the function under `hydra.main`; reads `sys.argv`.

    0: training finished, whatever the verdict; 1: it failed; 2: bad input, nothing was written;
    130: Ctrl-C.
    """
    try:
        require_extra("train", "train.py", "hydra", "omegaconf", "torch")
        flags, overrides = split_arguments(argv)
        check_arguments(flags, overrides)
        overrides = quote_run_paths([*groups_of_parent(overrides), *overrides])
        if any(flag.split("=")[0] in PRINTING_FLAGS for flag in flags):
            # Flags first: Hydra's parser takes overrides in one place only.
            sys.argv[1:] = [*flags, *overrides]
            return _print(job)
        if any(override.startswith("resume=") for override in overrides):
            directories = _prepare_resume(flags, overrides)
        else:
            directories = _prepare(root, flags, overrides)
    except InputError as error:
        from rl_eval import terminal  # slow to load, and `--help` does without

        terminal.print_error(str(error))
        return 2
    interrupted = False
    try:
        job()
    except KeyboardInterrupt:
        interrupted = True
    return _exit_status(directories, interrupted)


def groups_of_parent(overrides: Sequence[str]) -> list[str]:
    """`env=` and `agent=` of the run that `init=` names, where the command line chooses none."""
    override_of = {override.partition("=")[0]: override for override in overrides}
    if "init" not in override_of or override_of.keys() & {"experiment", "resume"}:
        return []
    path = Path(override_value(override_of["init"]))
    if not path.is_dir():
        return []  # several paths of a sweep, or an error that is reported later
    from rl_eval.training import parent_run

    config = parent_run(path).config
    names = {group: config.get(group, {}).get("name") for group in ("env", "agent")}
    return [f"{group}={name}" for group, name in names.items() if group not in override_of and isinstance(name, str)]


def plan(
    conf: Path, suites: Path, overrides: Sequence[str], multirun: bool, own_folders: Sequence[Path] = ()
) -> list[Job]:
    """Every job of a command line, composed and checked.

    Args:
        own_folders: of a person's own configs, from `--config-dir`.

    Raises:
        InputError: any job cannot run; nothing has been written.
    """
    from rl_eval import config
    from rl_eval.dry_run import dry_run
    from rl_eval.gates.selection import suites_for
    from rl_eval.training import take_over

    overrides_of_jobs = expand_sweep(overrides) if multirun else [list(overrides)]
    varied = _varied_keys(overrides_of_jobs)
    jobs: list[Job] = []
    spaces: dict[str, Any] = {}
    for number, job_overrides in enumerate(overrides_of_jobs):
        values = compose(conf, add_folders(job_overrides, own_folders))
        initial, checked, _ = take_over(config.load(values))
        key = repr((checked.env, checked.reward, checked.validation.metric))
        if key not in spaces:
            spaces[key] = dry_run(checked)
            suites_for(checked.to_dict(), suites)  # a broken suite is reported before training, not after
        if initial is not None:
            initial.require_spaces(spaces[key])
        jobs.append(Job(job_overrides, values, _folder(number, job_overrides, varied)))
    return jobs


def directory_name(values: dict[str, Any], now: datetime.datetime, ending: str) -> Path:
    """`outputs/<date>/<time>_<env>_<agent>_<ending>`."""
    name = f"{now:%H-%M-%S}_{values['env']['name']}_{values['agent']['name']}_{ending}"
    return Path("outputs") / f"{now:%Y-%m-%d}" / name


def _varied_keys(jobs: Sequence[Sequence[str]]) -> set[str]:
    """The keys whose override differs between jobs."""
    return {o.split("=")[0] for job in jobs for o in job if not all(o in other for other in jobs)}


def _folder(number: int, overrides: Sequence[str], varied: set[str]) -> str:
    """`<job>_<overrides>`, of what differs between the jobs, as a portable file name."""
    text = ",".join(override for override in overrides if override.split("=")[0] in varied)
    return re.sub(r"[^A-Za-z0-9._=,+-]", "-", f"{number}_{text}" if text else str(number))[:120]


def _is_multirun(flags: Sequence[str]) -> bool:
    return any(flag in ("-m", "--multirun") for flag in flags)


def _prepare_resume(flags: list[str], overrides: list[str]) -> list[Path]:
    """Check that the run can be resumed, and give Hydra its directory; returns it."""
    from rl_eval import run

    path = next(override_value(override) for override in overrides if override.startswith("resume="))
    rejected = [override for override in overrides if not override.startswith(("resume=", "hydra."))]
    if _is_multirun(flags) or rejected:
        raise InputError(
            f"resume={path} takes no other override, since a run resumes with its own config: "
            f"leave out {', '.join(rejected) or '-m'}"
        )
    resumed = run.read_run(Path(path))
    if resumed.finished:
        raise InputError(f"{resumed.path} is finished: there is nothing to resume; start a new run")
    sys.argv[1:] = [*flags, *overrides, path_override("hydra.run.dir", resumed.path), "hydra.output_subdir=null"]
    return [resumed.path]


def _prepare(root: Path, flags: list[str], overrides: list[str]) -> list[Path]:
    """Check every job, create the directory, and give it to Hydra; returns the runs' directories."""
    from rl_eval import run

    multirun = _is_multirun(flags)
    jobs = plan(root / "conf", root / "suites", overrides, multirun, config_dir_of(flags))
    typed = next((override for override in overrides if override.startswith(DIRECTORY_KEYS)), None)
    values = jobs[0].values
    ending = "sweep" if multirun else f"s{values['seed']}"
    path = directory_name(values, datetime.datetime.now(), ending) if typed is None else Path(override_value(typed))
    directory = run.create_directory(path)
    arguments = [*flags, *(override for override in overrides if not override.startswith(DIRECTORY_KEYS))]
    if not multirun:
        sys.argv[1:] = [*arguments, path_override("hydra.run.dir", directory)]
        return [directory]
    rows = [{"number": i, "overrides": job.overrides, "directory": job.folder} for i, job in enumerate(jobs)]
    run.write_json(directory / "sweep.json", {"jobs": rows})
    sys.argv[1:] = [*arguments, path_override("hydra.sweep.dir", directory)]
    _register_folder_resolver(_varied_keys([job.overrides for job in jobs]))
    return [directory / job.folder for job in jobs]


def _register_folder_resolver(varied: set[str]) -> None:
    """Give `${sweep_folder:…}` of conf/config.yaml its meaning."""
    from omegaconf import OmegaConf

    def folder(number: int, overrides: Any) -> str:
        return _folder(number, list(overrides), varied)

    OmegaConf.register_new_resolver("sweep_folder", folder, replace=True)


def _verdict_rows(directory: Path) -> list[dict[str, Any]]:
    """The criteria that judged a run; empty if none did."""
    from rl_eval import run

    if not (directory / "verdict.json").exists():
        return []
    return [row for suite in run.read_verdicts(directory) for row in suite["criteria"]]


def _exit_status(directories: list[Path], interrupted: bool) -> int:
    """Print the comparison of a sweep, and turn the status of the runs into an exit status."""
    from rl_eval import run, terminal

    runs, failed = [], False
    for directory in directories:
        try:
            runs.append(run.read_run(directory))
        except InputError:
            failed = True
    if len(directories) > 1 and runs:
        verdicts = {r.path: rows for r in runs if (rows := _verdict_rows(r.path))}
        terminal.console_for(sys.stdout).print(terminal.sweep_table(runs, verdicts))
    statuses = {r.info["status"] for r in runs}
    if interrupted or "interrupted" in statuses:
        return 130
    # A job that has ended and whose run is still "running" could not write down why.
    return 1 if failed or statuses & {"failed", "running"} else 0
