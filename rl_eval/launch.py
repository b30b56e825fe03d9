"""From the command line to checked jobs: what happens around Hydra before and after a run."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError, nearest
from rl_eval.search_path import add_folders, config_dir_of, options_of, search_folders
from rl_eval.validation_errors import hydra_sentence

NOT_RUNS = ("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc")


@dataclass(frozen=True)
class Job:
    """One run to make: its overrides, its composed config as plain values, and its folder below a sweep's."""

    overrides: list[str]
    values: dict[str, Any]
    folder: str


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags and the overrides of a command line.

    Hydra's parser takes overrides in one place only, so `agent=ppo -m lr=1e-3,3e-4` would be refused.
    """
    from hydra._internal.utils import get_args_parser

    parsed = get_args_parser().parse_intermixed_args(list(argv))
    overrides = list(parsed.overrides)
    flags, left = [], list(overrides)
    for token in argv:
        if token in left:
            left.remove(token)
        else:
            flags.append(token)
    return flags, overrides


def compose(conf: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The composed config of one job as plain values.

    Raises:
        InputError: Hydra refuses an override; one sentence that says which and what is allowed.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    folders = search_folders(conf, overrides)
    for key, _, option in (override.partition("=") for override in overrides):
        options = options_of(key, folders) if option == "null" else []
        if options:  # Hydra's own sentence does not name the group
            raise InputError(f"{key}=null is not an option: {key} takes {', '.join(options)}")
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf.resolve()), version_base="1.3"):
        try:
            composed = hydra.compose("config", overrides=list(overrides))
            return OmegaConf.to_container(composed, resolve=True)  # type: ignore[return-value]
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(hydra_sentence(error, _keys(conf))) from error


def _keys(conf: Path) -> list[str]:
    """The keys and groups of the default config."""
    import hydra
    from omegaconf import OmegaConf

    from rl_eval.config import keys_of

    values = OmegaConf.to_container(hydra.compose("config"), resolve=False)
    groups = [folder.name for folder in conf.iterdir() if folder.is_dir() and folder.name != "hydra"]
    return [*groups, *keys_of(values)]  # type: ignore[arg-type]


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of every job of a sweep, in the order in which Hydra's sweeper runs them.

    Raises:
        InputError: an override that Hydra cannot parse.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(overrides=list(overrides))
        jobs = BasicSweeper.split_arguments(parsed, None)[0]
    except HydraException as error:
        raise InputError(" ".join(str(error).split())) from error
    return [list(job) for job in jobs]


def _varying(jobs: Sequence[Sequence[str]]) -> set[str]:
    """The keys whose override differs between jobs."""
    return {o.split("=")[0] for job in jobs for o in job if not all(o in other for other in jobs)}


def _folder(number: int, overrides: Sequence[str], varying: set[str]) -> str:
    """`<job>_<overrides>`, of what differs between the jobs, as a portable file name."""
    told = ",".join(o for o in overrides if o.split("=")[0] in varying)
    return re.sub(r"[^A-Za-z0-9._=,+-]", "-", f"{number}_{told}" if told else str(number))[:120]


def plan(
    conf: Path, suites: Path, overrides: Sequence[str], multirun: bool, own_folders: Sequence[Path] = ()
) -> list[Job]:
    """Every job that a command line asks for, each composed and checked.

    Args:
        own_folders: of a person's own configs, from `--config-dir`.

    Raises:
        InputError: any job cannot run; nothing has been written.
    """
    from rl_eval import config
    from rl_eval.gates.selection import suites_for
    from rl_eval.training import take_over

    wanted = expand(overrides) if multirun else [list(overrides)]
    varying = _varying(wanted)
    jobs, spaces = [], {}
    for number, job in enumerate(wanted):
        with_folders = add_folders(job, own_folders)
        values = compose(conf, with_folders)
        _no_unknown_tuning(search_folders(conf, with_folders), job)
        checked, initial = config.load(values), None
        if checked.init is not None:
            initial, checked, _ = take_over(checked)
        tried = repr((checked.env, checked.reward, checked.validation.metric))
        if tried not in spaces:
            spaces[tried] = config.try_out(checked)
            suites_for(checked.to_dict(), suites)  # a broken one is better met before the training than after
        if initial is not None:
            initial.require_spaces(*spaces[tried])
        jobs.append(Job(job, values, _folder(number, job, varying)))
    return jobs


def _no_unknown_tuning(folders: Sequence[Path], overrides: Sequence[str]) -> None:
    """The one optional group: Hydra would take a misspelt option of it without a word."""
    options = options_of("tuned", folders)
    for override in overrides:
        key, _, option = override.partition("=")
        if key == "tuned" and option not in options:
            raise InputError(
                f"tuned={option} is not an option: {nearest(option, options)}tuned takes {', '.join(options)}"
            )


def directory_name(values: dict[str, Any], now: datetime.datetime, ending: str) -> Path:
    """`outputs/<date>/<time>_<env>_<agent>_<ending>`."""
    name = f"{now:%H-%M-%S}_{values['env']['name']}_{values['agent']['name']}_{ending}"
    return Path("outputs") / f"{now:%Y-%m-%d}" / name


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
        flags, overrides = split(argv)
        overrides = [*groups_of_parent(overrides), *overrides]
        if any(flag.split("=")[0] in NOT_RUNS for flag in flags):
            sys.argv[1:] = [*flags, *overrides]
            job()
            return 0
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
    return _outcome(directories, interrupted)


def quote_paths(overrides: Sequence[str]) -> list[str]:
    """The overrides, with paths of runs quoted for Hydra, in whose grammar commas and braces mean something."""
    quoted = []
    for override in overrides:
        key, _, value = override.partition("=")
        names_run = key in ("init", "resume") and Path(value).exists()
        quoted.append(f"{key}={_quoted(Path(value))}" if names_run else override)
    return quoted


def groups_of_parent(overrides: Sequence[str]) -> list[str]:
    """`env=` and `agent=` of the run that `init=` names, where the command line chooses none."""
    from rl_eval.training import parent_run

    chosen = {override.partition("=")[0]: override.partition("=")[2] for override in overrides}
    if not Path(chosen.get("init", "")).is_dir() or "init" not in chosen or "experiment" in chosen:
        return []
    config = parent_run(Path(chosen["init"])).config
    names = {group: config.get(group, {}).get("name") for group in ("env", "agent")}
    return [f"{group}={name}" for group, name in names.items() if group not in chosen and isinstance(name, str)]


def _prepare(root: Path, flags: list[str], overrides: list[str]) -> list[Path]:
    """Check every job, make the directory, and hand Hydra its place; returns the runs' directories."""
    from rl_eval import run

    multirun = any(flag in ("-m", "--multirun") for flag in flags)
    quoted = quote_paths(overrides)
    # Flags first: Hydra's parser takes overrides in one place only.
    ordered = [*flags, *quoted]
    if resumed := [o.partition("=")[2] for o in overrides if o.startswith("resume=")]:
        others = [o for o in overrides if not o.startswith(("resume=", "hydra."))]
        if multirun or others:
            raise InputError(
                f"resume={resumed[0]} takes no other override, since a run goes on as it began: "
                f"leave out {', '.join(others) or '-m'}"
            )
        found = run.read_run(Path(resumed[0]))
        if found.finished:
            raise InputError(f"{found.path} is finished: there is nothing to resume; start a new run")
        sys.argv[1:] = [*ordered, f"hydra.run.dir={_quoted(found.path)}", "hydra.output_subdir=null"]
        return [found.path]
    jobs = plan(root / "conf", root / "suites", quoted, multirun, config_dir_of(flags))
    now = datetime.datetime.now()
    own = [o for o in overrides if o.startswith(("hydra.run.dir=", "hydra.sweep.dir="))]
    first = jobs[0].values
    if multirun:
        name = directory_name(first, now, "sweep") if not own else Path(own[0].partition("=")[2])
        sweep = run.create_directory(name)
        listed = [{"number": i, "overrides": j.overrides, "directory": j.folder} for i, j in enumerate(jobs)]
        run.write_json(sweep / "sweep.json", {"jobs": listed})
        varying = _varying([j.overrides for j in jobs])
        sys.argv[1:] = [
            *[token for token in ordered if token not in own],
            f"hydra.sweep.dir={_quoted(sweep)}",
        ]
        _register_folder_resolver(varying)
        return [sweep / j.folder for j in jobs]
    name = directory_name(first, now, f"s{first['seed']}") if not own else Path(own[0].partition("=")[2])
    directory = run.create_directory(name)
    sys.argv[1:] = [*[token for token in ordered if token not in own], f"hydra.run.dir={_quoted(directory)}"]
    return [directory]


def _register_folder_resolver(varying: set[str]) -> None:
    from omegaconf import OmegaConf

    def folder(number: int, overrides: Any) -> str:
        return _folder(number, list(overrides), varying)

    OmegaConf.register_new_resolver("sweep_folder", folder, replace=True)


def _quoted(path: Path) -> str:
    """A path as one value in Hydra's grammar, where a backslash is an escape only before a quote."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", str(path))
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"


def _verdict_rows(file: Path) -> list[dict[str, Any]]:
    from rl_eval import run

    if not file.exists():
        return []
    return [row for suite in run.read_json(file)["suites"] for row in suite["criteria"]]


def _outcome(directories: list[Path], interrupted: bool) -> int:
    """Print the comparison of a sweep, and turn what the runs say of themselves into an exit status."""
    from rl_eval import run, terminal

    runs, failed = [], False
    for directory in directories:
        try:
            runs.append(run.read_run(directory))
        except InputError:
            failed = True
    if len(directories) > 1 and runs:
        verdicts = {r.path: rows for r in runs if (rows := _verdict_rows(r.path / "verdict.json"))}
        terminal.console_for(sys.stdout).print(terminal.sweep_table(runs, verdicts))
    statuses = {r.info["status"] for r in runs}
    if interrupted or "interrupted" in statuses:
        return 130
    # A job that has ended and left its run "running" could not write down why.
    return 1 if failed or statuses & {"failed", "running"} else 0
