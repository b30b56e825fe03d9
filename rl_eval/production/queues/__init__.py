"""Queues between the servers and the collector: messages are there until they are acknowledged.

What `put` returned from outlives the end of any process. A message is taken at least once: again where the process that
took it ended before it acknowledged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rl_eval.errors import InputError
from rl_eval.production.queues.kafka_queue import KafkaQueue
from rl_eval.production.queues.later import LaterQueue
from rl_eval.production.queues.postgres_queue import PostgresQueue
from rl_eval.production.queues.protocol import Message, Queue, QueueError, QueueFullError, missing
from rl_eval.production.queues.redis_queue import RedisQueue
from rl_eval.production.queues.sqlite_queue import SqliteQueue

if TYPE_CHECKING:
    from rl_eval.production.collection_config import CollectConfig

__all__ = ["Message", "Queue", "QueueError", "QueueFullError", "open_queue"]


def open_queue(config: CollectConfig, folder: Path, create: bool = True) -> Queue:
    """The queue of a config; one on a server that is away is opened once it is there.

    Args:
        folder: where the files of embedded parts are.
        create: whether a queue that is missing is created; where not, it is opened once it is there.

    Raises:
        InputError: the address is not of a known kind, a package is missing, or the queue cannot be used as it is.
    """
    try:
        return _open(config, folder, create)
    except QueueError as error:
        return LaterQueue(lambda: _open(config, folder, create), error)


def _open(config: CollectConfig, folder: Path, create: bool) -> Queue:
    scheme = config.queue.partition("://")[0]
    if config.settings and scheme != "kafka":
        raise InputError("collect.settings are of Kafka: leave them out")
    if config.queue == "store":
        if config.store.startswith("sqlite"):
            file = folder / f"{config.name}-queue.sqlite"
            if not create and not file.exists():
                raise missing(f"{file} does not exist")
            return SqliteQueue(file, config.max_waiting)
        return PostgresQueue(config.store, config.max_waiting, create)
    if scheme in ("redis", "rediss"):
        return RedisQueue(config.queue, config.name, config.group, config.max_waiting, create=create)
    if scheme == "kafka":
        return KafkaQueue(config.queue, config.name, config.group, config.settings, create)
    raise InputError(
        f"collect.queue={config.queue!r} is not a queue: give store, redis://HOST:PORT/DB or kafka://HOST:PORT"
    )
