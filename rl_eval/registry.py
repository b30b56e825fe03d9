"""`Registry`: what other packages and plugins add by name: domains, metrics, policy sources, diagnostics, trackers."""

from __future__ import annotations

import importlib.metadata
import sys
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import Generic, TypeVar

from rl_eval.errors import InputError, nearest

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """Name -> entry, registered by code or by an entry point of an installed package.

    An entry point is loaded when its name is looked up, so installed packages cost nothing at start-up.

    Args:
        group: the entry-point group, such as `rl_eval.domains`.
        noun: what an entry is, with its article, for messages: "a domain".
        entry_type: the class of the entries; None: not checked.
        name_attribute: the attribute of an entry that must be its name; None: not checked.
    """

    def __init__(self, group: str, noun: str, entry_type: type | None = None, name_attribute: str | None = None):
        self.group, self.noun, self.entry_type, self.name_attribute = group, noun, entry_type, name_attribute
        self._registered: dict[str, Entry] = {}
        self._built_in: set[str] = set()

    @cached_property
    def _entry_points(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {point.name: point for point in importlib.metadata.entry_points(group=self.group)}

    def register(self, name: str, entry: Entry) -> Entry:
        """Add an entry. It takes precedence over an entry point of the same name, with a warning.

        Raises:
            InputError: another entry was registered under the name, or the entry is of the wrong class.
        """
        if self._registered.get(name, entry) is not entry:
            raise InputError(f"{name!r} is registered twice as {self.noun} ({self.group}): rename one of them")
        self._registered[name] = self._checked(name, entry, f"{name!r}")
        point = self._entry_points.get(name)
        if point is not None and getattr(sys.modules.get(point.module), point.attr, None) is not entry:
            warnings.warn(f"{self.group}: the entry point {name} = {point.value} is ignored: rename it", stacklevel=3)
        return entry

    def register_named(self, entry: Entry) -> Entry:
        """Add an entry under its own name.

        Raises:
            InputError: as `register`, or the entry has no name.
        """
        attribute = self.name_attribute or "name"
        name = getattr(entry, attribute, None)
        if not isinstance(name, str) or not name:
            self._checked("", entry, shown := _shortened(entry))
            raise InputError(f"{shown} has no {attribute}: give it one")
        return self.register(name, entry)

    def mark_built_in(self, *names: str) -> None:
        """Say that entries are of this package, so that they are not in `added`."""
        self._built_in.update(names)

    @property
    def added(self) -> list[str]:
        """The names that other code registered: neither built in nor looked up through an entry point."""
        return [name for name in self._registered if name not in self._built_in]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._registered or name in self._entry_points)

    def __iter__(self) -> Iterator[str]:
        """The names: entry points first, in the order of declaration."""
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
            entry = point.load()
        except (Exception, SystemExit) as error:  # foreign code raises anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{self.noun} {name!r} ({point.value}) cannot be loaded: {reason}") from error
        self._registered[name] = self._checked(name, entry, f"{name!r} ({point.value})")
        self._built_in.add(name)
        return self._registered[name]

    def available(self) -> list[Entry]:
        """The entries that can be loaded, in the order of their names here; a warning for each of the others."""
        entries = []
        for name in self:
            try:
                entries.append(self.get(name))
            except InputError as error:
                warnings.warn(str(error), stacklevel=2)
        return entries

    def _checked(self, name: str, entry: Entry, description: str) -> Entry:
        if self.entry_type is not None and not isinstance(entry, self.entry_type):
            raise InputError(
                f"{description} is not {self.noun} but {type(entry).__name__}: "
                f"{self.group} takes objects of {self.entry_type.__module__}.{self.entry_type.__qualname__}"
            )
        if self.name_attribute is not None and getattr(entry, self.name_attribute, name) != name:
            raise InputError(
                f"{description} has the {self.name_attribute} {getattr(entry, self.name_attribute)!r}: "
                f"its entry point in {self.group} must have the same name"
            )
        return entry


def _shortened(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
