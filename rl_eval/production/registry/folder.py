"""`FolderRegistry`: a registry in a folder.

versions/000001/version.json, files/…     written aside and renamed; never changed
aliases.json                              replaced as a whole, so several aliases move at once
registry.lock                             held by the writing process
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from rl_eval.production.registry import artefact
from rl_eval.production.registry.protocol import (
    ALIASES,
    Lineage,
    MissingRegistryError,
    RegistryError,
    StaleAliasError,
    Version,
)
from rl_eval.run import fsync, write_text
from rl_eval.untrusted_files import read_bounded

_LOCK_S = 30.0
_ALIASES_BYTES = 64 << 10


class FolderRegistry:
    """A registry in a folder, which several processes share.

    Args:
        folder: created where it does not exist, unless `create` is off.
        key: the owner's; with one, versions are signed, and those without its signature are refused.

    Raises:
        RegistryError: it cannot be created, or is missing.
    """

    def __init__(
        self, folder: Path, key: bytes | None = None, create: bool = True, clock: Callable[[], float] = time.time
    ):
        self.folder, self.key, self.label, self._clock = folder, key, str(folder), clock
        if create:
            try:
                (folder / "versions").mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._away(error) from error
        self._require_present()

    def register(self, source: Path, lineage: Lineage) -> Version:
        """See `Registry`."""
        with self._writing():
            aside = Path(tempfile.mkdtemp(prefix=".new.", dir=self.folder))
            try:
                files = artefact.copy_in(source, aside / "files")
                version = artefact.new_version(
                    max(self._numbers(), default=0) + 1, lineage, files, self.key, self._clock()
                )
                write_text(aside / "version.json", artefact.record_of(version))
                fsync(aside)
                os.rename(aside, self._path(version.number))
                fsync(self.folder / "versions")
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        return self.version(version.number)

    def version(self, number: int) -> Version:
        """See `Registry`."""
        try:
            text = read_bounded(self._path(number) / "version.json", artefact.MAX_RECORD).decode()
        except FileNotFoundError as error:
            self._require_present()
            raise RegistryError(f"{self.label} has no version {number}: name one that is registered") from error
        except (OSError, OverflowError, UnicodeDecodeError) as error:
            raise RegistryError(f"version {number} in {self.label} cannot be read ({error}): put it back") from error
        return artefact.read_record(text, number, self.label, self.key)

    def versions(self) -> Sequence[int]:
        """See `Registry`."""
        self._require_present()
        return sorted(self._numbers())

    def load(self, number: int, target: Path) -> Version:
        """See `Registry`."""
        version = self.version(number)
        artefact.copy_checked(self._path(number) / "files", version, target)
        return version

    def aliases(self) -> Mapping[str, int]:
        """See `Registry`."""
        file = self.folder / "aliases.json"
        try:
            values = json.loads(read_bounded(file, _ALIASES_BYTES), object_pairs_hook=_without_duplicates)
        except FileNotFoundError:
            self._require_present()
            return {}
        except (OSError, OverflowError, ValueError, RecursionError) as error:
            raise RegistryError(
                f"{file} cannot be read ({error}): put it back, servers keep the versions that they have"
            ) from error
        valid = isinstance(values, dict) and all(
            name in ALIASES and type(number) is int and number > 0 for name, number in values.items()
        )
        if not valid:
            raise RegistryError(f"{file} is damaged: put it back, servers keep the versions that they have")
        return values

    def move(self, changes: Mapping[str, int | None], expected: Mapping[str, int | None] | None = None) -> None:
        """See `Registry`; all aliases move at once."""
        with self._writing():
            aliases = dict(self.aliases())
            check_move(self, aliases, changes, expected)
            aliases |= {name: number for name, number in changes.items() if number is not None}
            aliases = {name: number for name, number in aliases.items() if changes.get(name, 0) is not None}
            write_text(self.folder / "aliases.json", json.dumps(aliases, sort_keys=True) + "\n")
            fsync(self.folder)

    def close(self) -> None:
        """Nothing is held open."""

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self.folder / "versions")
        except OSError as error:
            raise self._away(error) from error
        return [int(name) for name in names if name.isascii() and name.isdigit()]

    def _path(self, number: int) -> Path:
        return self.folder / "versions" / f"{number:06d}"

    def _require_present(self) -> None:
        if not (self.folder / "versions").is_dir():
            raise MissingRegistryError(
                f"{self.label} is not a registry, or is missing: put it back or name another, servers keep the "
                "versions that they have"
            )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._require_present()
        with locked(self.folder / "registry.lock", self.label):
            yield

    def _away(self, error: OSError) -> RegistryError:
        return RegistryError(
            f"{self.label} cannot be used ({error.strerror or error}): make room on its disk, and see that it is "
            "writable; it is as it was, and servers keep the versions that they have"
        )


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; which of two equal keys counts is not known."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is there twice")
    return values


@contextlib.contextmanager
def locked(file: Path, label: str) -> Iterator[None]:
    """Hold the lock of a registry; an `OSError` inside says that it cannot be written.

    Raises:
        RegistryError: another process holds it for too long, or the registry cannot be written.
    """
    try:
        with FileLock(file, timeout=_LOCK_S):
            yield
    except Timeout as error:
        raise RegistryError(f"{label} is locked by another process for over {_LOCK_S:g} s: end that process") from error
    except OSError as error:
        raise RegistryError(
            f"{label} cannot be written ({error.strerror or error}): it is as it was; make it writable, and try again"
        ) from error


def check_move(
    registry: object,
    aliases: Mapping[str, int],
    changes: Mapping[str, int | None],
    expected: Mapping[str, int | None] | None,
) -> None:
    """Whether aliases may move.

    Raises:
        StaleAliasError, RegistryError: as of `Registry.move`.
    """
    for name in (*changes, *(expected or {})):
        if name not in ALIASES:
            raise RegistryError(f"{name!r} is not an alias: there are {' and '.join(ALIASES)}")
    for name, number in (expected or {}).items():
        if aliases.get(name) != number:
            raise StaleAliasError(
                f"{name} is {_text(aliases.get(name))} and not {_text(number)}, so nothing was moved: look again"
            )
    for number in changes.values():
        if number is not None:
            registry.version(number)  # type: ignore[attr-defined]


def _text(number: int | None) -> str:
    return "not set" if number is None else f"version {number}"
