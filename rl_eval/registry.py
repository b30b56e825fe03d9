"""What other packages and plugins add by name: domains, metrics, policy sources, diagnostics, trackers."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from functools import cached_property
from typing import Generic, TypeVar

from rl_eval.errors import InputError, nearest

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """Name -> entry, registered by code or found as an entry point of an installed package.

    Entry points are loaded when their name is asked for, so installed packages cost nothing at start-up.

    Args:
        group: the entry-point group, such as `rl_eval.domains`.
        noun: what an entry is, with its article, for messages: "a domain".
    """

    def __init__(self, group: str, noun: str):
        self.group, self.noun = group, noun
        self._registered: dict[str, Entry] = {}

    @cached_property
    def _entry_points(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {point.name: point for point in importlib.metadata.entry_points(group=self.group)}

    def register(self, name: str, entry: Entry) -> Entry:
        """Add an entry.

        Raises:
            InputError: another entry has the name.
        """
        if name in self and self._registered.get(name) is not entry:
            raise InputError(f"{name!r} is registered twice as {self.noun} ({self.group}): rename one of them")
        self._registered[name] = entry
        return entry

    def __contains__(self, name: object) -> bool:
        return name in self._registered or name in self._entry_points

    def __iter__(self) -> Iterator[str]:
        """The names, entry points first, in the order in which they are declared."""
        yield from self._entry_points
        yield from (name for name in self._registered if name not in self._entry_points)

    def get(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            InputError: there is none, or its package cannot be imported.
        """
        if name in self._registered:
            return self._registered[name]
        if name not in self._entry_points:
            raise InputError(
                f"{name!r} is not {self.noun}: {nearest(name, self)}the choices are {', '.join(self) or 'none'}"
            )
        point = self._entry_points[name]
        try:
            self._registered[name] = point.load()
        except Exception as error:  # another package's code
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{self.noun} {name!r} ({point.value}) cannot be loaded: {reason}") from error
        return self._registered[name]
