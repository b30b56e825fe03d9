"""Opens what a production config names: the registry, the audit log, and the controller over both and the store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rl_eval.production.audit import AuditLog
from rl_eval.production.audit.entries import MAX_LINE, parse
from rl_eval.production.canary.controller import Controller
from rl_eval.production.config import ProductionConfig
from rl_eval.production.registry import LaterRegistry, Registry, RegistryError, open_registry
from rl_eval.production.store import Store
from rl_eval.untrusted_files import only_regular

# Who writes to the audit log before there is a registry.
_BEFORE_VERSIONS = ("train.py", "pytest")


def registry_of(config: ProductionConfig, clock: Callable[[], float] = time.time, create: bool = True) -> Registry:
    """The registry of a config; one that is away is opened once it is there.

    It is made where it is missing and nothing has happened yet. Where the audit log has begun, a person puts it back:
    an empty one would have no champion.

    Args:
        clock: seconds since 1970.
        create: whether it is made.

    Raises:
        InputError: the owner's key cannot be read, or a package is missing.
    """
    section = config.registry
    key_file = None if section.key_file is None else config.directory / section.key_file
    folder = config.path / section.path

    def open_now(create: bool = False) -> Registry:
        return open_registry(section.kind, folder, config.name, key_file, create, clock)

    try:
        return open_now()
    except RegistryError:
        if create and not _has_begun(audit_of(config).path):
            with contextlib.suppress(RegistryError):
                return open_now(create=True)
        return LaterRegistry(open_now, str(folder))


def _has_begun(log: Path) -> bool:
    """Whether anything may have happened to versions; a log that cannot be read may say so."""
    try:
        with open(log, "rb", opener=only_regular) as file:
            entries = (parse(line) for line in iter(lambda: file.readline(MAX_LINE + 1), b""))
            return any(entry.event != "erase" and entry.actor not in _BEFORE_VERSIONS for entry in entries)
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True


def audit_of(config: ProductionConfig, clock: Callable[[], float] = time.time) -> AuditLog:
    """The audit log of a config."""
    return AuditLog(config.path / config.audit.file, clock)


@contextlib.contextmanager
def controller_of(config: ProductionConfig) -> Iterator[Controller]:
    """The controller of a config, over its store and its registry, which are not created where they are missing.

    Raises:
        InputError: the store is of another version of this program, or the registry can never be opened.
    """
    registry = registry_of(config, create=False)
    store = Store(config.collect.store, Path(config.path), create=False, policy=config.name)
    with contextlib.closing(store):
        yield Controller(store, registry, audit_of(config), config.rollout)
