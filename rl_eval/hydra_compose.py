"""Configs as Hydra composes them: the values of one job, the jobs of a sweep, the folder of a run.

Uses private interfaces of Hydra, read in hydra-core 1.3.8: `BasicSweeper.split_arguments` and
`validate_batch_is_legal` of `hydra._internal.core_plugins.basic_sweeper`, and
`ConfigLoaderImpl._apply_overrides_to_config` of `hydra._internal.config_loader_impl`.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval.command_line import read_overrides
from rl_eval.dotted_keys import all_keys
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief
from rl_eval.search_path import options_of, search_folders
from rl_eval.validation_errors import hydra_sentence

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

OPTIONAL_GROUPS = ("tuned", "experiment")
SINGLE_GROUPS = ("agent", "env")  # others refer to their option
MAX_JOBS = 10_000  # of a sweep
MAX_OPTION_LENGTH = 200  # file systems take some 255 bytes


def compose(conf: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The composed config of one job as plain values.

    Raises:
        InputError: Hydra refuses an override, or a value is missing; says which and what is allowed.
    """
    return compose_jobs(conf, [overrides])[0]


def compose_jobs(conf: Path, jobs: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """The composed configs of several jobs as plain values.

    Jobs that choose the same options of the groups share one composition, which takes twenty times as long as setting
    the keys of a job.

    Raises:
        InputError: as `compose`.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from omegaconf import OmegaConf

    bases: dict[tuple[str, ...], Any] = {}
    composed = []
    for texts in jobs:
        overrides = read_overrides(texts)
        folders = search_folders(conf, overrides)
        chosen, own = _options_and_keys(overrides, folders)
        options = tuple(override.input_line or "" for override in chosen)
        with _sentences(conf, folders, overrides):
            if options not in bases:
                if not any("pkg://" in option for option in options):  # whose options are not in folders
                    _check_options(folders, chosen)
                bases[options] = _hydra_compose(conf, options, with_hydra=False)
            config = copy.deepcopy(bases[options])
            ConfigLoaderImpl._apply_overrides_to_config(own, config)
            composed.append(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    return composed  # type: ignore[return-value]


def composed_directory(conf: Path, overrides: Sequence[str], key: str) -> Path:
    """The folder that `hydra.run.dir` or `hydra.sweep.dir` names, with what it interpolates.

    Raises:
        InputError: as `compose`.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    parsed = read_overrides(overrides)
    with _sentences(conf, search_folders(conf, parsed), parsed):
        config = _hydra_compose(conf, overrides, with_hydra=True)
        HydraConfig.instance().set_config(config)  # for ${hydra:...}
        return Path(str(OmegaConf.select(config, key, throw_on_missing=True)))


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of every job of a sweep, in the order of Hydra's sweeper.

    Raises:
        InputError: an override is not a sweep over a limited number of fixed values.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.types import Glob, Sweep
    from hydra.errors import HydraException

    parsed = read_overrides(overrides)
    counts = []
    for override in parsed:
        value, text = override.value(), brief(override.input_line, 200)
        if isinstance(value, Glob):
            raise InputError(f"{text} is not possible: name the options, separated by commas")
        if getattr(value, "shuffle", False):
            raise InputError(f"{text} is not possible: a sweep runs its jobs in the order of its values")
        if isinstance(value, Sweep):
            try:
                counts.append(sum(1 for _ in itertools.islice(override.sweep_iterator(), MAX_JOBS + 1)))
            except (HydraException, ArithmeticError, ValueError) as error:
                raise InputError(f"{text} is not a sweep: {' '.join(str(error).split())}") from error
    if not all(counts):
        raise InputError(f"the sweep has no jobs: a key of {brief(' '.join(overrides), 200)} has no values")
    if math.prod(counts) > MAX_JOBS:
        raise InputError(f"the sweep has more than {MAX_JOBS:,} jobs: sweep fewer values at a time")
    return [list(job) for job in BasicSweeper.split_arguments(parsed, None)[0]]


def start_jobs_at_once() -> None:
    """Let Hydra's sweeper start without composing every job once more: `compose_jobs` has."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    BasicSweeper.validate_batch_is_legal = lambda self, batch: None  # type: ignore[method-assign]


def keys_and_groups(conf: Path, overrides: Sequence[Override] = ()) -> list[str]:
    """The groups, and the dotted keys of the config with the options that the overrides choose."""
    from omegaconf import OmegaConf

    try:
        folders = search_folders(conf, overrides)
        chosen = [override.input_line or "" for override in _options_and_keys(overrides, folders)[0]]
        config = _hydra_compose(conf, chosen, with_hydra=False)
    except Exception:  # what they choose is what is wrong
        folders, config = [conf], _hydra_compose(conf, [], with_hydra=False)
    groups = {group.name for folder in folders for group in folder.iterdir() if group.is_dir()} - {"hydra"}
    return [*sorted(groups), *all_keys(OmegaConf.to_container(config, resolve=False))]  # type: ignore[arg-type]


def _hydra_compose(conf: Path, overrides: Sequence[str], *, with_hydra: bool) -> Any:
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf.resolve()), job_name="train", version_base="1.3"):
        return hydra.compose("config", overrides=list(overrides), return_hydra_config=with_hydra)


@contextmanager
def _sentences(conf: Path, folders: Sequence[Path], overrides: Sequence[Override]) -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise into an InputError. They raise anything for values of the wrong type."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        keys = keys_and_groups(conf, overrides)
        raise InputError(hydra_sentence(error, keys)) from error


def _options_and_keys(overrides: Sequence[Override], folders: Sequence[Path]) -> tuple[list[Override], list[Override]]:
    """The overrides that choose options of groups or concern Hydra, and those that set keys of the result.

    Raises:
        InputError: an override names several values.
    """
    chosen: list[Override] = []
    own: list[Override] = []
    for override in overrides:
        if override.is_sweep_override():
            text = brief(override.input_line, 200)
            raise InputError(f"{text} has several values: add -m for a sweep, or write a list as key=[a,b]")
        key = override.key_or_group
        if key == "hydra.searchpath" and "pkg://" in (override.input_line or ""):
            return list(overrides), []  # groups that are not in folders
        is_group = any((folder / key).is_dir() for folder in folders)
        if is_group and isinstance(override.value(), dict):
            return list(overrides), []  # sets keys of the section, in the order of the others
        (chosen if is_group or key.startswith("hydra") else own).append(override)
    return chosen, own


def _check_options(folders: Sequence[Path], overrides: Sequence[Override]) -> None:
    """Refuse options that Hydra accepts in silence, or refuses without naming the group."""
    for override in overrides:
        group, option = override.key_or_group, override.value()
        options = options_of(group, folders)
        if not options or isinstance(option, dict) or group.startswith("hydra"):
            continue
        choices = f"{group} takes {', '.join(options)}"
        if (folders[0] / group).is_dir() and group not in OPTIONAL_GROUPS and override.is_delete():
            raise InputError(f"{override.input_line} removes the group {group}: {choices}")
        if override.is_delete():
            continue
        if override.is_add() or override.is_force_add():
            raise InputError(f"{brief(override.input_line, 200)}: remove the +, because a run has one {group}")
        names: list[Any] = option if isinstance(option, list) and option else [option]
        if len(names) > 1 and group in SINGLE_GROUPS:
            raise InputError(f"{brief(override.input_line, 200)} names {len(names)} options: name one of them")
        for name in names:
            if not _is_option(name, group, folders):
                text = "null" if name is None else brief(name, 60)
                raise InputError(f"{group}={text} is not an option: {nearest(text, options)}{choices}")


def _is_option(name: Any, group: str, folders: Sequence[Path]) -> bool:
    """Hydra takes a misspelt option of an optional group as none, and a path as the file that it leads to."""
    if not isinstance(name, str) or len(name) > MAX_OPTION_LENGTH or ".." in name or name.startswith("/"):
        return False
    return any((folder / group / f"{name}.yaml").is_file() for folder in folders)
