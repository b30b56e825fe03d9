"""`DataPlaces`: where the data of suites is, as `--rl-data` says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rl_eval.errors import InputError, nearest
from rl_eval.formatting import short_path
from rl_eval.gates.suite import Suite

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class DataPlaces:
    """Where data sets are, as `--rl-data` says.

    Attributes:
        folder: holds data sets, each in a folder or file of its name.
        named: name, with dashes for underscores -> its folder or file.
    """

    folder: Path | None = None
    named: Mapping[str, Path] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.folder is not None or bool(self.named)

    def of(self, suite: Suite) -> Path | None:
        """The place of a suite's data, which need not exist; None if nothing names one."""
        name = data_name(suite)
        return self.named.get(_key(name), None if self.folder is None else self.folder / name)

    def require_known(self, suites: Iterable[Suite]) -> None:
        """Refuse a name that none of these suites has.

        Raises:
            InputError: a place would be used by no suite.
        """
        names = sorted({data_name(suite) for suite in suites})
        unknown = [name for name in self.named if name not in map(_key, names)]
        if unknown:
            raise InputError(
                f"--rl-data {unknown[0]}={self.named[unknown[0]]}: no suite has data of this name; "
                f"{nearest(unknown[0], names)}the names are {', '.join(names)}"
            )


def parse_places(texts: Sequence[str], base: Path) -> DataPlaces:
    """The places that `DIR` and `NAME=PATH` say, relative to a base.

    Raises:
        InputError: two folders, a name twice, or a path or folder that does not exist.
    """
    folder, named = None, {}
    for text in texts:
        name, separator, path = text.partition("=")
        if not separator or not _NAME.fullmatch(name):
            if folder is not None:
                raise InputError(f"--rl-data names two folders, {folder} and {text}: name one, and others as NAME=PATH")
            folder = short_path(base / text)
            if not folder.is_dir():
                raise InputError(f"--rl-data {text}: no such folder: name the folder of the data, or NAME=PATH")
            continue
        key = _key(name)
        if key in named:
            raise InputError(f"--rl-data names {key!r} twice: give one path")
        named[key] = short_path(base / path)
        if not path or not named[key].exists():
            raise InputError(f"--rl-data {text}: {path or 'the path'} does not exist: name a file or folder")
    return DataPlaces(folder, named)


def _key(name: str) -> str:
    """A name of data as it is looked up: `my_flows` and `my-flows` are one name."""
    return name.replace("_", "-")


def data_name(suite: Suite) -> str:
    """What `--rl-data` calls the data of a suite."""
    return suite.spec.data or str(getattr(suite.env, "data", suite.env.name)).replace("_", "-")
