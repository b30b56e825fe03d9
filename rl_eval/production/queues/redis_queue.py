"""A stream of Redis as a queue: consumer groups, and messages of consumers that died are claimed by others."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.production.queues.protocol import Message, QueueError, QueueFullError, missing
from rl_eval.redis_credentials import ENVIRONMENT_VARIABLE

log = logging.getLogger(__name__)
TIMEOUT_S = 5.0
IDLE_S = 30.0  # after which what a consumer has taken is another's
LOOK_S = 5.0  # between looks for such messages
CHECK_S = 5.0  # between looks whether it still writes before it answers
BODY = b"b"
DURABLE = {"appendonly": "yes", "appendfsync": "always"}


class RedisQueue:
    """See `Queue`.

    Args:
        address: `redis://HOST:PORT/DB` or `rediss://…`; user and password are in `RL_EVAL_REDIS_AUTH`.
        stream, group: their names.
        most: messages that may wait.
        idle_s: after which what a consumer has taken is another's.
        create: whether a stream that is missing is created.

    Raises:
        InputError: the address is not valid, or Redis answers before it has written.
        QueueError: it is away, or there is no stream.
    """

    is_quick = False

    def __init__(self, address: str, stream: str, group: str, most: int, idle_s: float = IDLE_S, create: bool = True):
        with imports_of_extra("redis", "a queue of Redis"):
            import redis
        self._errors, self._refusal = redis.RedisError, redis.ResponseError
        self._stream, self._group, self._most, self._idle, self._create = stream, group, most, idle_s, create
        self._label = address.partition("?")[0]
        self._consumer = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._looked = float("-inf")
        self._checked = time.monotonic()
        user, _, password = os.environ.get(ENVIRONMENT_VARIABLE, "").rpartition(":")
        options: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        options |= {"username": user or None, "password": password} if password else {}
        try:
            self._redis: Any = redis.Redis.from_url(address, redis_connect_func=self._set_up, **options)
        except ValueError as error:
            raise InputError(f"{address} is not an address of Redis ({error}): give redis://HOST:PORT/DB") from error
        try:
            self._make_group()
        except self._errors as error:
            raise self._away(error) from error

    def _set_up(self, connection: Any) -> None:
        """Begin a connection; each one, since the server may have come back with another config."""
        connection.on_connect()
        connection.send_command("CONFIG", "GET", "append*")
        try:
            answer = connection.read_response()
        except self._refusal:  # where the server does not say
            return
        # RESP3 answers with a mapping, RESP2 with names and values in turn.
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
        try:
            self._require_durable({name.decode(): value.decode() for name, value in pairs})
        except InputError:
            connection.disconnect()
            raise

    def _check(self) -> None:
        """Ask a connected server again, every few seconds: `CONFIG SET` changes it while it runs."""
        if time.monotonic() - self._checked < CHECK_S:
            return
        with contextlib.suppress(self._refusal):  # where the server does not say
            self._require_durable(self._redis.config_get("append*"))
        self._checked = time.monotonic()

    def _require_durable(self, settings: dict[str, str]) -> None:
        """Refuse a server that answers before a record is on its disk.

        With `appendfsync everysec`, a server whose disk is slow answers up to two seconds before it writes. So the
        end of its process is enough to lose what it has acknowledged.
        """
        wrong = [(name, value) for name, value in DURABLE.items() if settings.get(name, value) != value]
        if wrong:
            has = " and ".join(f"{name} {settings[name]}" for name, _ in wrong)
            needed = " and ".join(f"{name} to {value}" for name, value in wrong)
            raise InputError(
                f"{self._label} has {has}, and may lose what it has acknowledged: set {needed} in its config"
            )

    def _make_group(self) -> None:
        try:
            self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=self._create)
        except self._refusal as error:
            if "requires the key to exist" in str(error):
                raise missing(f"{self._label} has no stream {self._stream}") from error
            if "BUSYGROUP" not in str(error):
                raise

    def _away(self, error: Exception) -> QueueError:
        return QueueError(f"{self._label} cannot be used ({error})")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            self._check()
            yield
        except self._errors as error:
            raise self._away(error) from error
        except QueueError:
            raise
        except InputError as error:  # it has another config than at the start
            raise QueueError(str(error)) from error

    def put(self, messages: Sequence[bytes]) -> None:
        """Add messages."""
        with self._translated():
            if (waiting := self._redis.xlen(self._stream)) >= self._most:
                raise QueueFullError(f"{self._label} has {waiting:,} messages waiting: start a collector")
            with self._redis.pipeline(transaction=True) as pipeline:
                for body in messages:
                    pipeline.xadd(self._stream, {BODY: body})
                pipeline.execute()

    def take(self, limit: int, wait_s: float) -> list[Message]:
        """Messages that nobody has taken, or whose consumer fell silent."""
        with self._translated():
            try:
                return self._take(limit, wait_s)
            except self._refusal as error:
                if "NOGROUP" not in str(error):
                    raise
                self._make_group()
                log.warning("%s had lost the stream %s or its group, which are there again", self._label, self._stream)
                return self._take(limit, wait_s)

    def _take(self, limit: int, wait_s: float) -> list[Message]:
        if time.monotonic() - self._looked >= min(LOOK_S, self._idle):
            self._looked = time.monotonic()
            claimed = self._redis.xautoclaim(
                self._stream, self._group, self._consumer, int(self._idle * 1000), count=limit
            )[1]
            if taken := self._messages(claimed):
                self._looked = float("-inf")  # there may be more
                return taken
        wait = max(1, int(min(wait_s, TIMEOUT_S / 2) * 1000))
        streams = self._redis.xreadgroup(self._group, self._consumer, {self._stream: ">"}, count=limit, block=wait)
        # RESP3 answers with a mapping, RESP2 with pairs.
        entries = streams.items() if isinstance(streams, dict) else streams or []
        return [message for _, rows in entries for message in self._messages(_flat(rows))]

    def _messages(self, rows: Sequence[tuple[bytes, Any]]) -> list[Message]:
        # A message that was removed while it was taken has no fields.
        return [Message(identifier, fields.get(BODY, b"")) for identifier, fields in rows if fields]

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Remove messages."""
        identifiers = [message.token for message in messages]
        if not identifiers:
            return
        with self._translated(), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xack(self._stream, self._group, *identifiers)
            pipeline.xdel(self._stream, *identifiers)
            pipeline.execute()

    def waiting(self) -> tuple[int, float | None]:
        """Count and time of the oldest."""
        with self._translated():
            rows = self._redis.xrange(self._stream, count=1)
            oldest = int(rows[0][0].partition(b"-")[0]) / 1000 if rows else None
            return int(self._redis.xlen(self._stream)), oldest

    def sync(self) -> None:
        """Nothing: what Redis has answered is on its disk."""

    def remove_old(self, before: float) -> int:
        """Remove old messages, and have the file written again without what was removed."""
        with self._translated():
            count = int(self._redis.xtrim(self._stream, minid=max(0, int(before * 1000)), approximate=False))
            with contextlib.suppress(self._errors):  # one is being written, or it is not allowed
                self._redis.bgrewriteaof()
            return count

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _flat(rows: Any) -> list[tuple[bytes, Any]]:
    """Entries of a stream, which RESP3 may nest once more."""
    return list(rows[0]) if len(rows) == 1 and isinstance(rows[0], list) else list(rows)
