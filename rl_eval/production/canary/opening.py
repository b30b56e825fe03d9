"""Opens what a production config names: the registry, the audit log, and the controller over both and the store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rl_eval.production.audit import AuditLog
from rl_eval.production.canary.controller import Controller
from rl_eval.production.config import ProductionConfig
from rl_eval.production.registry import Registry, open_registry
from rl_eval.production.store import Store


def registry_of(config: ProductionConfig, create: bool = True, clock: Callable[[], float] = time.time) -> Registry:
    """The registry of a config.

    Raises:
        RegistryError: it cannot be opened.
    """
    section = config.registry
    key_file = None if section.key_file is None else config.directory / section.key_file
    return open_registry(section.kind, config.path / section.path, config.name, key_file, create, clock)


def audit_of(config: ProductionConfig, clock: Callable[[], float] = time.time) -> AuditLog:
    """The audit log of a config."""
    return AuditLog(config.path / config.audit.file, clock)


@contextlib.contextmanager
def controller_of(config: ProductionConfig) -> Iterator[Controller]:
    """The controller of a config, over its store.

    Raises:
        InputError: the store or the registry cannot be opened.
    """
    registry = registry_of(config, create=False)
    with contextlib.closing(Store(config.collect.store, Path(config.path))) as store:
        yield Controller(store, registry, audit_of(config), config.rollout)
