"""What every registry offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rl_eval.errors import InputError

CHAMPION, CHALLENGER = "champion", "challenger"
ALIASES = (CHAMPION, CHALLENGER)


class RegistryError(InputError):
    """The registry is away, damaged or read-only: it is as it was, and servers keep the versions that they have."""


class MissingRegistryError(RegistryError):
    """There is no registry."""


class StaleAliasError(RegistryError):
    """Somebody else has moved an alias since it was read: nothing was moved."""


@dataclass(frozen=True)
class Lineage:
    """Where a version comes from.

    Attributes:
        data: fingerprint of what it was trained on.
        parent: number of the version that it was trained from; None for one from scratch.
        verdict: the suites' verdicts and the rest of its proof, JSON.
        code: version or commit of the code that trained it.
        cost: what its training took, JSON.
        policy: the identity of the bytes that act, as a policy server answers it; None where it is not known.
    """

    data: str
    parent: int | None = None
    verdict: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    cost: Mapping[str, Any] = field(default_factory=dict)
    policy: str | None = None


@dataclass(frozen=True)
class Version:
    """A version, which never changes.

    Attributes:
        number: from 1, never used again.
        at: UTC, ISO 8601, when it was registered.
        files: relative path -> SHA-256 of each file.
        digest: SHA-256 of all of the above.
        signature: HMAC-SHA256 of the digest by the owner's key; None where it was registered without one.
    """

    number: int
    at: str
    lineage: Lineage
    files: Mapping[str, str]
    digest: str
    signature: str | None


class Registry(Protocol):
    """A registry; any number of processes may have it open."""

    label: str

    def register(self, source: Path, lineage: Lineage) -> Version:
        """Copy a file or a folder in, as a new version.

        Raises:
            RegistryError: the registry cannot be written.
            InputError: the source cannot be read, has a link, or is too large.
        """

    def version(self, number: int) -> Version:
        """A version, its digest and signature checked, its files not.

        Raises:
            RegistryError: there is none, it was changed, or the registry is away.
        """

    def versions(self) -> Sequence[int]:
        """The numbers of all versions, ascending."""

    def load(self, number: int, target: Path) -> Version:
        """Copy the files of a version to a new folder, which holds them only if every byte is the one registered.

        Raises:
            RegistryError: a byte was changed, a file is missing or added, or the registry is away.
        """

    def aliases(self) -> Mapping[str, int]:
        """Alias -> number.

        Raises:
            RegistryError: the registry is away or damaged.
        """

    def move(self, changes: Mapping[str, int | None], expected: Mapping[str, int | None] | None = None) -> None:
        """Move aliases, each atomically, in their order; None removes one.

        Args:
            expected: where aliases have to be, or nothing is moved; None: not there.

        Raises:
            StaleAliasError: one is elsewhere.
            RegistryError: a version does not exist, or the registry cannot be written.
        """

    def close(self) -> None:
        """Close what is open."""
