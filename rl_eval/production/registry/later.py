"""`LaterRegistry`: a registry that was away when it was opened, and is opened once it is there.

So a process that starts while the registry is away behaves as if it went away later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rl_eval.production.registry.protocol import Lineage, Registry, Version


class LaterRegistry:
    """See `Registry`; every method raises `RegistryError` until the registry is there.

    Args:
        open_now: opens the registry.
        label: its name in messages.
    """

    def __init__(self, open_now: Callable[[], Registry], label: str):
        self._open, self.label = open_now, label
        self._registry: Registry | None = None

    def _opened(self) -> Registry:
        if self._registry is None:
            self._registry = self._open()
        return self._registry

    def register(self, source: Path, lineage: Lineage) -> Version:
        """See `Registry`."""
        return self._opened().register(source, lineage)

    def version(self, number: int) -> Version:
        """See `Registry`."""
        return self._opened().version(number)

    def versions(self) -> Sequence[int]:
        """See `Registry`."""
        return self._opened().versions()

    def load(self, number: int, target: Path) -> Version:
        """See `Registry`."""
        return self._opened().load(number, target)

    def aliases(self) -> Mapping[str, int]:
        """See `Registry`."""
        return self._opened().aliases()

    def move(self, changes: Mapping[str, int | None], expected: Mapping[str, int | None] | None = None) -> None:
        """See `Registry`."""
        self._opened().move(changes, expected)

    def close(self) -> None:
        """Close it where it was opened."""
        if self._registry is not None:
            self._registry.close()
