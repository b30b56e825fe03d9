"""Hydra's search path: our `conf/`, then the folders of a person's own `--config-dir` and `hydra.searchpath`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_eval.command_line import read_overrides
from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.override_text import override

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_KEY = "hydra.searchpath"


def add_folder(overrides: Sequence[str], folder: Path | None) -> list[str]:
    """The overrides with `hydra.searchpath` that has a folder first; this is where `--config-dir` puts it."""
    if folder is None:
        return list(overrides)
    parsed = read_overrides(overrides)
    entries = [f"file://{folder}", *_entries(parsed)]
    others = [text for text, given in zip(overrides, parsed, strict=True) if given.key_or_group != _KEY]
    return [*others, override(_KEY, entries)]


def search_folders(conf: Path, overrides: Sequence[Override]) -> list[Path]:
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


def _entries(overrides: Sequence[Override]) -> list[str]:
    typed = [given for given in overrides if given.key_or_group == _KEY]
    if not typed:
        return []
    value = typed[-1].value()
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        text = brief(typed[-1].input_line, 200)
        raise InputError(f"{text} is not a list of folders: give {_KEY}=[file://my_conf]")
    return [str(entry) for entry in value]
