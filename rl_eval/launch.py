"""The command line of `train.py`: from arguments to jobs, and from their results to an exit status."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval import __version__, redis_credentials
from rl_eval.command_line import CommandLine, plain_value, read_command_line, read_overrides
from rl_eval.errors import InputError
from rl_eval.extras import require_extra
from rl_eval.formatting import brief, short_path
from rl_eval.hydra_compose import (
    compose,
    compose_jobs,
    composed_directory,
    expand_sweep,
    keys_and_groups,
    start_jobs_at_once,
)
from rl_eval.override_text import override
from rl_eval.search_path import add_folder
from rl_eval.stop_signals import STATUS, interruptible

if TYPE_CHECKING:
    from rl_eval.config import RunConfig
    from rl_eval.launchers import LauncherSettings, Task

DIRECTORY_KEYS = ("hydra.run.dir", "hydra.sweep.dir")


@dataclass(frozen=True)
class Job:
    """One run to make: its overrides, its config as composed and as checked, and its folder below a sweep's."""

    overrides: list[str]
    values: dict[str, Any]
    config: RunConfig
    folder: str


@dataclass(frozen=True)
class Prepared:
    """What is about to run: directories that exist, one per run; where a launcher makes the runs, its calls.

    Attributes:
        launcher: None if the jobs run in this process: by Hydra, or where there are tasks all in step.
    """

    directories: list[Path]
    launcher: LauncherSettings | None = None
    tasks: tuple[Task, ...] = ()


def _print(job: Callable[[], None]) -> int:
    """Let Hydra print help or a config; a reader that hangs up, such as `head`, is not an error."""
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

    0: training finished, with any verdict; 1: it failed, or stopped at its budget; 2: bad input, nothing was
    written; 130: Ctrl-C, SIGTERM or SIGHUP.
    """
    directories: list[Path] = []
    with interruptible(last_act=lambda: _leave(directories)):
        try:
            return _launch(root, argv, job, directories)
        except KeyboardInterrupt:
            _leave(directories)
            return STATUS


def _launch(root: Path, argv: Sequence[str], job: Callable[[], None], directories: list[Path]) -> int:
    """Run the command line; `directories` receives those of the runs once they exist."""
    conf = root / "conf"
    try:
        if "--version" in argv:
            print(f"rl_eval {__version__}")
            return 0
        require_extra("train", "train.py", "hydra", "omegaconf", "torch")
        argv = [redis_credentials.take_out(text) for text in argv]
        line = read_command_line(argv, lambda: keys_and_groups(conf))
        overrides = [*groups_of_parent(line.overrides), *line.overrides]
        if line.prints is not None:
            if overrides and line.prints != "shell_completion":
                compose(conf, add_folder(overrides, line.config_dir))
            # Flags first: Hydra's parser takes overrides in one place only.
            sys.argv[1:] = [*line.flags, *overrides]
            return _print(job)
        if _value_of("resume", overrides) is not None:
            prepared = _prepare_resume(root, line)
        else:
            prepared = _prepare(root, line, overrides)
        directories += prepared.directories
    except InputError as error:
        from rl_eval import terminal  # slow to load, and `--help` does without

        terminal.print_error(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    interrupted = False
    try:
        if prepared.launcher is None and not prepared.tasks:
            job()
        else:
            from rl_eval import job_elsewhere, jobs_together, terminal

            try:
                if prepared.launcher is None:
                    jobs_together.run_all(prepared.tasks)
                else:
                    job_elsewhere.run_all(prepared.launcher, prepared.tasks)
            except InputError as error:
                terminal.print_error(str(error))
                _leave(directories)
                return 1 if any((directory / "run.json").exists() for directory in directories) else 2
    except KeyboardInterrupt:
        interrupted = True
        _leave(directories)
    from rl_eval.sweep_end import exit_status

    return exit_status(directories, interrupted, root / "suites" if line.multirun else None)


def _leave(directories: Sequence[Path]) -> None:
    """After an interrupt: mark runs that were being trained, and remove folders where none has begun."""
    from rl_eval import run, terminal

    for directory in directories:
        if (directory / "run.json").exists():
            with contextlib.suppress(InputError, OSError):
                info = run.read_run(directory).info
                if info["status"] == "running":
                    values = {**info, "status": "interrupted", "reason": "stopped in the middle of an iteration"}
                    run.write_json(directory / "run.json", values)
                    terminal.print_error(f"interrupted: continue with `{run.resume_command(directory)}`")
        else:
            run.discard_directory(directory)
    sweeps = {directory.parent for directory in directories if (directory.parent / "sweep.json").exists()}
    for sweep in sweeps:
        if not any(path.is_dir() and (path / "run.json").exists() for path in sweep.iterdir()):
            run.discard_directory(sweep)


def _value_of(key: str, overrides: Sequence[str]) -> str | None:
    """The text of the override of a key; None if there is none."""
    matching = [text for text in overrides if text.startswith(f"{key}=")]
    return matching[-1] if matching else None


def groups_of_parent(overrides: Sequence[str]) -> list[str]:
    """`env=` and `agent=` of the run that `init=` names, where the command line chooses none."""
    if not any(text.startswith("init=") for text in overrides):
        return []
    override_of = {parsed.key_or_group: parsed for parsed in read_overrides(overrides)}
    if override_of.keys() & {"experiment", "resume"}:
        return []
    value = plain_value(override_of["init"])
    if value is None or not Path(value).is_dir():
        return []  # several paths of a sweep, or an error that is reported later
    from rl_eval.training import parent_run

    config = parent_run(Path(value)).config
    names = {group: config.get(group, {}).get("name") for group in ("env", "agent")}
    missing = {group: name for group, name in names.items() if group not in override_of and isinstance(name, str)}
    return [override(group, name) for group, name in missing.items()]


def plan(
    conf: Path, suites: Path, overrides: Sequence[str], multirun: bool, config_dir: Path | None = None
) -> list[Job]:
    """Every job of a command line, composed and checked.

    Args:
        config_dir: the folder of a person's own configs.

    Raises:
        InputError: any job cannot run; nothing has been written.
    """
    from rl_eval import config
    from rl_eval.dry_run import FirstStep, check, first_step
    from rl_eval.gates.suite_files import suites_for
    from rl_eval.training import take_over

    overrides_of_jobs = expand_sweep(overrides) if multirun else [list(overrides)]
    composed = compose_jobs(conf, [add_folder(job_overrides, config_dir) for job_overrides in overrides_of_jobs])
    varied = _varied_keys(overrides_of_jobs)
    jobs: list[Job] = []
    steps: dict[str, FirstStep] = {}
    for number, (job_overrides, values) in enumerate(zip(overrides_of_jobs, composed, strict=True)):
        initial, checked, _ = take_over(config.load(values))
        if checked.resume is not None:
            raise InputError(
                f"resume={brief(checked.resume, 200)} must be given as resume=<run> on the command line, without "
                "other configs"
            )
        key = repr((checked.env, checked.reward))
        if key not in steps:
            steps[key] = first_step(checked)
            suites_for(checked.to_dict(), suites)  # a broken suite is reported before training, not after
        check(checked, steps[key])
        if initial is not None:
            initial.require_spaces(steps[key].spaces)
        jobs.append(Job(job_overrides, values, checked, _folder(number, job_overrides, varied)))
    return jobs


def directory_name(config: RunConfig, now: datetime.datetime, ending: str) -> Path:
    """`outputs/<date>/<time>_<env>_<agent>_<ending>`."""
    name = f"{now:%H-%M-%S}_{config.env.name}_{config.agent.name}_{ending}"
    return Path("outputs") / f"{now:%Y-%m-%d}" / name


def _varied_keys(jobs: Sequence[Sequence[str]]) -> set[str]:
    """The keys whose override differs between jobs."""
    texts: dict[str, set[str]] = defaultdict(set)
    for job in jobs:
        for text in job:
            texts[text.split("=")[0]].add(text)
    return {key for key, different in texts.items() if len(different) > 1}


def _folder(number: int, overrides: Sequence[str], varied: set[str]) -> str:
    """`<job>_<overrides>`, of what differs between the jobs, as a portable file name."""
    text = ",".join(override for override in overrides if override.split("=")[0] in varied)
    return re.sub(r"[^A-Za-z0-9._=,+-]", "-", f"{number}_{text}" if text else str(number))[:120]


def _prepare_resume(root: Path, line: CommandLine) -> Prepared:
    """Check that the run can be resumed, and give Hydra its directory."""
    from rl_eval import run

    conf = root / "conf"
    texts = zip(line.overrides, read_overrides(line.overrides), strict=True)
    of_hydra = [text for text, parsed in texts if parsed.is_hydra_override()]
    budget = [text for text in line.overrides if text.startswith("hardware.budget=")]
    allowed = (*of_hydra, *budget)
    rejected = [text for text in line.overrides if not text.startswith("resume=") and text not in allowed]
    typed = str(_value_of("resume", line.overrides))
    if line.multirun or rejected:
        raise InputError(
            f"{brief(typed, 200)} takes no other override except hardware.budget, because a run resumes with its own "
            f"config: remove {brief(', '.join(rejected), 200) or '-m'}"
        )
    path = compose(conf, add_folder([*of_hydra, typed], line.config_dir))["resume"]
    if not isinstance(path, str) or not path:
        raise InputError(
            f"resume={path!r} is not a run: give the directory of one, such as resume=outputs/<date>/<run>"
        )
    if path == "latest" and not Path(path).exists():
        from rl_eval import terminal
        from rl_eval.run_index import latest_resumable

        path = str(latest_resumable(Path("outputs")).path)
        terminal.print_line(f"resume=latest takes {path}", stderr=True)
    resumed = run.read_run(Path(path))
    if resumed.finished:
        raise InputError(f"{resumed.path} is finished: there is nothing to resume; start a new run")
    if resumed.info["status"] == "over_budget" and not budget:
        raise InputError(
            f"{resumed.path} stopped, because {resumed.info.get('reason')}: give a larger one for all of it, such as "
            "'hardware.budget=10 USD', in addition to resume=..."
        )
    added = [*budget, override("resume", path), override("hydra.run.dir", resumed.path)]
    kept = [text for text in of_hydra if not text.startswith(tuple(f"{key}=" for key in DIRECTORY_KEYS))]
    sys.argv[1:] = [*line.flags, *kept, *added]
    return Prepared([resumed.path])


def _prepare(root: Path, line: CommandLine, overrides: list[str]) -> Prepared:
    """Check every job, create the directory, and give it to Hydra or to a launcher."""
    from rl_eval import run

    jobs = plan(root / "conf", root / "suites", overrides, line.multirun, line.config_dir)
    launcher = _launcher(jobs, line.multirun)
    together = line.multirun and any(job.config.hardware.together for job in jobs)
    if together:
        from rl_eval.jobs_together import require_seeds_alone

        require_seeds_alone([job.config for job in jobs])
    key = DIRECTORY_KEYS[line.multirun]
    if _value_of(key, overrides) is None:
        ending = "sweep" if line.multirun else f"s{jobs[0].config.seed}"
        path = directory_name(jobs[0].config, datetime.datetime.now(), ending)
    else:
        directories = [text for text in overrides if text.startswith(f"{key}=")]
        path = composed_directory(root / "conf", add_folder([*jobs[0].overrides, *directories], line.config_dir), key)
    directory = run.create_directory(path)
    run.require_room(directory)
    sys.argv[1:] = [*line.flags, *(text for text in overrides if not text.startswith(f"{key}="))]
    sys.argv.append(override(key, directory))
    if not line.multirun:
        return _launched(launcher, jobs, [directory], None, root, together=False)
    rows = [{"number": i, "overrides": job.overrides, "directory": job.folder} for i, job in enumerate(jobs)]
    run.write_json(directory / "sweep.json", {"jobs": rows})
    runs = [directory / job.folder for job in jobs]
    if launcher is None:
        _register_folder_resolver({number: job.folder for number, job in enumerate(jobs)})
        start_jobs_at_once()
    return _launched(launcher, jobs, runs, directory, root, together=together)


def _launcher(jobs: Sequence[Job], multirun: bool) -> LauncherSettings | None:
    """The settings of the launcher that makes the runs; None if they are made in this process.

    Raises:
        InputError: jobs of one sweep name different launchers, or theirs cannot work.
    """
    from rl_eval.launchers import launcher_plugin

    settings = [job.config.launcher for job in jobs]
    if any(one != settings[0] for one in settings):
        names = " and ".join(dict.fromkeys(one.name for one in settings))
        raise InputError(f"the jobs of a sweep use one launcher, but these name {names}: start a sweep for each")
    plugin = launcher_plugin(settings[0].name)
    if plugin.start is None or not (multirun or plugin.single_runs):
        return None
    chosen = settings[0].for_devices(len(jobs[0].config.hardware.devices))
    plugin.check(chosen)
    return chosen


def _launched(
    launcher: LauncherSettings | None,
    jobs: Sequence[Job],
    directories: list[Path],
    sweep: Path | None,
    root: Path,
    *,
    together: bool,
) -> Prepared:
    if launcher is None and not together:
        return Prepared(directories)
    from rl_eval.job_elsewhere import task_of

    suites = short_path(root / "suites")
    at_once = len(jobs) if launcher is None else launcher.jobs_at_once(len(jobs))
    tasks = [
        task_of(job.values, directory, sweep=sweep, suites=suites, jobs_at_once=at_once)
        for job, directory in zip(jobs, directories, strict=True)
    ]
    return Prepared(directories, launcher, tuple(tasks))


def _register_folder_resolver(folders: Mapping[int, str]) -> None:
    """Give `${sweep_folder:…}` of conf/config.yaml its meaning: job number -> folder."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("sweep_folder", folders.__getitem__, replace=True)
