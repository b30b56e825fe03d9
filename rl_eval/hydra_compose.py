"""Command lines and configs as Hydra reads them: arguments, overrides, sweeps, composed values.

The only module that uses private interfaces of Hydra. They were read in hydra-core 1.3.5: `get_args_parser` of
`hydra._internal.utils` and `BasicSweeper.split_arguments` of `hydra._internal.core_plugins.basic_sweeper`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_eval.dotted_keys import all_keys
from rl_eval.errors import InputError, nearest
from rl_eval.search_path import options_of, search_folders
from rl_eval.validation_errors import hydra_sentence

OPTIONAL_GROUP = "tuned"


def split_arguments(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags and the overrides of a command line.

    Hydra's parser takes overrides in one place only, so it would refuse `agent=ppo -m lr=1e-3,3e-4`.
    """
    from hydra._internal.utils import get_args_parser

    parsed = get_args_parser().parse_intermixed_args(list(argv))
    overrides = list(parsed.overrides)
    flags, remaining = [], list(overrides)
    for token in argv:
        if token in remaining:
            remaining.remove(token)
        else:
            flags.append(token)
    return flags, overrides


def check_arguments(flags: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse what Hydra would read otherwise than we do, or end in a stack trace.

    Raises:
        InputError: a flag that names another config or run, or text that is no override.
    """
    from hydra._internal.utils import get_args_parser

    parsed = get_args_parser().parse_args(list(flags))
    for name in ("config_name", "config_path", "package", "experimental_rerun"):
        if getattr(parsed, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} is not a flag of train.py: add configs of your own with --config-dir=my_conf")
    if parsed.resolve and not (parsed.cfg or parsed.help):
        raise InputError("--resolve prints nothing by itself: add --cfg=job")
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not key.strip("+~ ") or not (equals or key.startswith("~")):
            raise InputError(f"{override!r} is not an override: give key=value, such as seed=1")
        if key.lstrip("+") == "hydra.mode":
            raise InputError(f"{override} is not taken: add -m for a sweep")


def config_dir_of(flags: Sequence[str]) -> list[Path]:
    """The folder that `--config-dir` names, as Hydra reads it; empty without it.

    Raises:
        InputError: it is not a folder.
    """
    from hydra._internal.utils import get_args_parser

    folder = get_args_parser().parse_args(list(flags)).config_dir
    if folder is None:
        return []
    if not Path(folder).is_dir():
        raise InputError(f"--config-dir={folder} is not a folder: name one with groups such as env/ and reward/")
    return [Path(folder).resolve()]


def override_value(override: str) -> str:
    """The text after `key=`, without the quotes that Hydra's grammar allows around it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        value = OverridesParser.create().parse_override(override).value()
    except HydraException:
        value = None
    return value if isinstance(value, str) else override.partition("=")[2]


def path_override(key: str, path: Path) -> str:
    """`key='path'`. In Hydra's grammar a backslash is an escape only before a quote."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", str(path))
    return f"{key}='" + re.sub(r"(\\+)$", r"\1\1", text) + "'"


def quote_run_paths(overrides: Sequence[str]) -> list[str]:
    """The overrides, with the paths of existing runs quoted for Hydra."""
    quoted = []
    for override in overrides:
        key = override.partition("=")[0]
        path = Path(override_value(override)) if key in ("init", "resume") else None
        quoted.append(path_override(key, path) if path is not None and path.exists() else override)
    return quoted


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
    _check_options(folders, overrides)
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf.resolve()), version_base="1.3"):
        try:
            composed = hydra.compose("config", overrides=list(overrides))
            return OmegaConf.to_container(composed, resolve=True)  # type: ignore[return-value]
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(hydra_sentence(error, _keys(folders, overrides))) from error


def _check_options(folders: Sequence[Path], overrides: Sequence[str]) -> None:
    """Refuse options that Hydra accepts in silence, or refuses without naming the group."""
    for key, _, option in (override.partition("=") for override in overrides):
        options = options_of(key, folders)
        # Hydra takes a misspelt option of the optional group as none.
        if options and (option == "null" or (key == OPTIONAL_GROUP and option not in options)):
            raise InputError(
                f"{key}={option} is not an option: {nearest(option, options)}{key} takes {', '.join(options)}"
            )


def _keys(folders: Sequence[Path], overrides: Sequence[str]) -> list[str]:
    """The groups, and the keys of the config with the options that the overrides choose."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    groups = {group.name for folder in folders for group in folder.iterdir() if group.is_dir()} - {"hydra"}
    chosen = [override for override in overrides if override.partition("=")[0] in {*groups, "hydra.searchpath"}]
    try:
        values = hydra.compose("config", overrides=chosen)
    except HydraException:
        values = hydra.compose("config")
    return [*sorted(groups), *all_keys(OmegaConf.to_container(values, resolve=False))]  # type: ignore[arg-type]


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of every job of a sweep, in the order in which Hydra's sweeper runs them.

    Raises:
        InputError: an override that Hydra cannot parse.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(overrides=list(overrides))
        for override in parsed:
            if isinstance(override.value(), Glob):
                raise InputError(f"{override.input_line} is not taken: name the options, separated by commas")
        jobs = BasicSweeper.split_arguments(parsed, None)[0]
    except HydraException as error:
        raise InputError(" ".join(str(error).split())) from error
    if not jobs:
        raise InputError(f"the sweep has no jobs: a key of {' '.join(overrides)} has no values")
    return [list(job) for job in jobs]
