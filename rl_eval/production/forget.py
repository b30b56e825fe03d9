"""`erase`: everything of one person leaves the store and the queue."""

from __future__ import annotations

import contextlib
import time

from rl_eval.production.collector import Collector
from rl_eval.production.config import ProductionConfig
from rl_eval.production.privacy import pseudonym, read_key
from rl_eval.production.queues import Queue, open_queue
from rl_eval.production.store import Store


def erase(config: ProductionConfig, unit: str) -> int:
    """Erase a unit, as requests name it; returns how many decisions there were.

    What still waits in the queue is collected meanwhile, so that the unit's records leave it, too.

    Raises:
        InputError: store, queue or key cannot be used.
    """
    with contextlib.ExitStack() as stack:
        store = Store(config.collect.store, config.path)
        stack.callback(store.close)
        queue = open_queue(config.collect, config.path)
        stack.callback(queue.close)
        return erase_pseudonym(config, pseudonym(unit, read_key(config.path)), store, queue)


def erase_pseudonym(config: ProductionConfig, name: str, store: Store, queue: Queue) -> int:
    """The same of a pseudonym."""
    count = store.erase(name)
    collector = Collector(config, store, queue)
    while collector.step():
        pass
    count += store.erase(name)
    queue.remove_old(time.time() - config.privacy.retention)
    return count
