"""A Redis server that an agent keeps its experience on: calls that outlast a broken connection, and failures.

A call is sent again until the server has answered it, so every script that is called here has the same effect when it
runs twice. Where the server stays away, has no room or refuses, an `OSError` with EIO or ENOSPC says why.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents.redis_address import ENVIRONMENT_VARIABLE, RedisAddress, credentials

WAIT_S = 60.0  # seconds that a server may be away, without the time that it takes to load its file
CALL_S = 30.0  # seconds of one call
CONNECT_S = 2.0
PAUSES = (0.05, 0.1, 0.2, 0.5)  # seconds between tries; the last one stays
T = TypeVar("T")


class RedisServer:
    """A connection to a server, made again each time it breaks.

    Args:
        purpose: what needs it, as the beginning of a sentence, such as `replay.storage=redis://…`.

    Raises:
        ValueError: it cannot be reached, refuses the password, or may drop keys when its memory is full.
    """

    def __init__(self, address: RedisAddress, purpose: str):
        self.address, self.purpose = address, purpose
        self.refusals = (redis.ResponseError,)  # errors of a request that the server has understood
        self.client = redis.Redis(
            host=address.host, port=address.port, db=address.db, ssl=address.tls, **credentials(),  # type: ignore[arg-type]
            socket_timeout=CALL_S, socket_connect_timeout=CONNECT_S, retry=Retry(NoBackoff(), 0),
        )  # fmt: skip
        try:
            policy = str(self._memory().get("maxmemory_policy", "noeviction"))
        except redis.AuthenticationError as error:
            raise ValueError(
                f"{purpose}: the server refuses the user or the password: give them as user:password in the "
                f"environment variable {ENVIRONMENT_VARIABLE}"
            ) from error
        except redis.RedisError as error:
            raise ValueError(f"{purpose}: no Redis server can be used there ({_reason(error)}): start one") from error
        if policy != "noeviction":
            raise ValueError(
                f"{purpose}: the server drops keys when its memory is full (maxmemory-policy {policy}): set it to "
                "noeviction"
            )

    def _memory(self) -> dict[str, Any]:
        info: Any = self.client.info("memory")
        return info

    def require_room(self, size: int, remedy: str) -> None:
        """Refuse what needs more bytes than the memory limit of the server leaves.

        Raises:
            ValueError: it does; `remedy` says what to do.
        """
        memory = self.call(self._memory)
        limit = int(memory.get("maxmemory", 0))  # 0: none
        free = max(limit - int(memory.get("used_memory", 0)), 0)
        if limit and free < size:
            raise ValueError(
                f"{self.purpose}: the server has {free:,} bytes free below its maxmemory, and {size:,} are needed: "
                f"raise maxmemory, or {remedy}"
            )

    def call(self, request: Callable[[], T]) -> T:
        """The answer to a request, which is made again after a broken connection.

        Raises:
            OSError: EIO where the server stays away or refuses, ENOSPC where it has no room.
        """
        tries, deadline = 0, time.monotonic() + WAIT_S
        while True:
            try:
                return request()
            except redis.BusyLoadingError:
                deadline = time.monotonic() + WAIT_S
            except (redis.AuthenticationError, redis.exceptions.AuthorizationError) as error:
                raise self.failure(f"the server refuses the user or the password ({_reason(error)})") from error
            except (redis.ConnectionError, redis.TimeoutError) as error:
                if time.monotonic() > deadline:
                    reason = f"the server has been away for {WAIT_S:.0f} seconds ({_reason(error)})"
                    raise self.failure(reason) from error
            except redis.OutOfMemoryError as error:
                raise self.failure(
                    "the memory of the server is full: raise its maxmemory", number=errno.ENOSPC
                ) from error
            time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1

    def failure(self, reason: str, number: int = errno.EIO) -> OSError:
        """An error of this server: the run cannot go on before it is fixed."""
        return OSError(number, reason, self.purpose)


def _reason(error: Exception) -> str:
    """A few words of an error, without what follows the first sentence of the library."""
    return " ".join(str(error).split())[:200] or type(error).__name__
