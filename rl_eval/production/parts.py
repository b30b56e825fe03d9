"""`Parts`: the store, the queue, the registry and the audit log of a config, opened together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.production.audit import AuditLog
from rl_eval.production.canary.opening import audit_of, registry_of
from rl_eval.production.config import ProductionConfig
from rl_eval.production.keyed_store import open_store
from rl_eval.production.queues import Queue, QueueError, open_queue
from rl_eval.production.queues.later import LaterQueue
from rl_eval.production.registry import Registry
from rl_eval.production.store import Store


@dataclass(frozen=True)
class Parts:
    """What every process of production works on.

    Attributes:
        clock: seconds since 1970.
        steady: seconds of a clock that never jumps.
    """

    config: ProductionConfig
    store: Store
    queue: Queue
    registry: Registry
    audit: AuditLog
    clock: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic

    @property
    def folder(self) -> Path:
        """The folder of embedded parts."""
        return self.config.path

    @property
    def embedded(self) -> dict[str, Path]:
        """Part -> the file or folder that it writes, of those that are embedded."""
        paths = {"registry": self.folder / self.config.registry.path, "audit": self.audit.path}
        if self.store.database.file is not None:
            paths["store"] = self.store.database.file
            if self.config.collect.queue == "store":
                paths["queue"] = self.folder / "queue"
        return paths


@contextlib.contextmanager
def open_parts(
    config: ProductionConfig,
    clock: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
    *,
    create: bool = True,
    create_registry: bool = True,
    with_queue: bool = True,
) -> Iterator[Parts]:
    """Open all parts, and close them at the end.

    Args:
        clock, steady: those of `Parts`.
        create: whether a store and a queue that are missing are created.
        create_registry: the same of the registry.
        with_queue: whether the queue is opened now, and has to be one that can be used; else once it is used.

    Raises:
        InputError: the folder cannot be created, or a part cannot be opened.
    """
    folder = config.path
    if create or create_registry:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder} cannot be created ({error.strerror}): change `folder` in the config") from error
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(open_store(config, create)))
        queue: Queue
        if with_queue:
            queue = open_queue(config.collect, folder, create)
        else:
            unopened = QueueError(f"{config.collect.queue} is not open yet: try again")
            queue = LaterQueue(lambda: open_queue(config.collect, folder, create), unopened)
        stack.callback(queue.close)
        registry = stack.enter_context(contextlib.closing(registry_of(config, clock, create_registry)))
        yield Parts(config, store, queue, registry, audit_of(config, clock), clock, steady)
