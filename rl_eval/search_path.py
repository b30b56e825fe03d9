"""Hydra's search path: our `conf/`, then the folders of a person's own `--config-dir` and `hydra.searchpath`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rl_eval.errors import InputError

_KEY = "hydra.searchpath"


def add_folders(overrides: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """The overrides with `hydra.searchpath` that has some folders first; this is where `--config-dir` puts them."""
    if not folders:
        return list(overrides)
    entries = [f"file://{folder}" for folder in folders] + _entries(overrides)
    quoted = ",".join("'" + entry.replace("'", r"\'") + "'" for entry in entries)
    return [*(override for override in overrides if not override.startswith(f"{_KEY}=")), f"{_KEY}=[{quoted}]"]


def search_folders(conf: Path, overrides: Sequence[str]) -> list[Path]:
    """The folders on the search path: `conf`, and those of `hydra.searchpath`.

    Raises:
        InputError: one of them is not a folder.
    """
    entries = [entry.removeprefix("file://") for entry in _entries(overrides) if not entry.startswith("pkg://")]
    for entry in entries:
        if not Path(entry).is_dir():
            raise InputError(f"{_KEY}: {entry} is not a folder: name one with groups such as env/ and reward/")
    return [conf, *map(Path, entries)]


def options_of(group: str, folders: Sequence[Path]) -> list[str]:
    """The options of a config group, sorted."""
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


def _entries(overrides: Sequence[str]) -> list[str]:
    typed = [override for override in overrides if override.startswith(f"{_KEY}=")]
    if not typed:
        return []
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        value = OverridesParser.create().parse_override(typed[-1]).value()
    except HydraException as error:
        raise InputError(" ".join(str(error).split())) from error
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise InputError(f"{typed[-1]} is not a list of folders: give {_KEY}=[file://my_conf]")
    return [str(entry) for entry in value]
