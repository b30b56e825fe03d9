"""Messages between processes that train together: a stream on a Redis server, bounded, in one order for all.

Every message has the name and a number of its sender. The server adds only the next number of a sender, so a message
that is sent again after a broken connection is there once. Messages of the last seconds are kept here: a server that
was restarted from a file that lacks them gets them again. With `--appendonly yes` Redis writes its file at least every
two seconds, so that nothing is lost that it has answered.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.redis_address import parse_address
from agents.redis_server import RedisServer

STREAM, COUNTS = "rl_eval:messages", "rl_eval:messages:counts"
LIMIT = 64 << 20  # bytes that the stream holds at most; a reader who is further behind misses the oldest messages
LEAST = 4  # messages that it holds even so
KEEP_S = 5.0  # seconds for which messages are kept to be sent again; Redis may lose those of two
READ_AT_ONCE, READ_AT_MOST = 16, 256  # messages of a call, and of one `receive`
EXPIRY_S = 7 * 24 * 3600  # after which the server drops what nobody adds to

# Adds the next message of a sender; `any`: also one further on, since those before it are gone. Answers the number of
# the sender's last message.
_SEND = """
local sent, number = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0'), tonumber(ARGV[2])
if number <= sent or (number > sent + 1 and ARGV[3] ~= 'any') then return sent end
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[4], '*', 'sender', ARGV[1], 'number', ARGV[2], 'data', ARGV[6])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return number
"""


@dataclass(frozen=True)
class Message:
    """What a process has sent; numbers of a sender rise by 1, except where messages were lost."""

    sender: str
    number: int
    data: bytes


@dataclass(frozen=True)
class _Kept:
    number: int
    data: bytes
    time: float


class RedisMessages:
    """The stream of a server's database, which all processes that train together use.

    Args:
        address: of the server.
        folder: names this process, so that a resumed run goes on under its name; None: a new name.

    Attributes:
        sender: the name of this process.
        position: what was received last, as the server names it.

    Raises:
        ValueError: the server cannot be used, or has no room.
    """

    def __init__(self, address: str, folder: Path | None):
        self._server = RedisServer(parse_address(address), f"replay.storage={parse_address(address)}")
        self._server.require_room(LIMIT, "lower agent.buffer_size")
        identity = f"{socket.gethostname()}:{folder.resolve()}" if folder is not None else os.urandom(16).hex()
        self.sender = hashlib.sha256(identity.encode()).hexdigest()[:20]
        last: Any = self._request(lambda: self._server.client.xrevrange(STREAM, count=1))
        self.position = last[0][0].decode() if last else "0-0"  # what was sent before is of runs that may be over
        self._send = self._server.client.register_script(_SEND)
        known: Any = self._request(lambda: self._server.client.hget(COUNTS, self.sender))
        self._number = int(known or 0)
        self._kept: deque[_Kept] = deque()

    def send(self, data: bytes) -> None:
        """Add a message, and those before it that the server has lost.

        Raises:
            OSError: the server stays away, refuses, or has no room.
        """
        self._number += 1
        self._kept.append(_Kept(self._number, data, time.monotonic()))
        while len(self._kept) > 1 and self._kept[-1].time - self._kept[0].time > KEEP_S:
            self._kept.popleft()
        if self._add(self._kept[-1], "next") < self._number:
            for message in self._kept:
                self._add(message, "any")

    def receive(self) -> list[Message]:
        """Messages of others since the last call, in the order of the server; if there are many, some of them.

        Raises:
            OSError: the server stays away or refuses, or an entry of the stream is not a message.
        """
        messages: list[Message] = []
        for _ in range(READ_AT_MOST // READ_AT_ONCE):
            answer: Any = self._request(lambda: self._server.client.xread({STREAM: self.position}, count=READ_AT_ONCE))
            entries = answer[0][1] if answer else []
            for position, fields in entries:
                self.position = position.decode()
                try:
                    message = Message(fields[b"sender"].decode(), int(fields[b"number"]), fields[b"data"])
                except (KeyError, ValueError) as error:
                    raise self._server.failure(
                        f"{STREAM} has an entry that is not a message: another program writes to it"
                    ) from error
                if message.sender != self.sender:
                    messages.append(message)
            if len(entries) < READ_AT_ONCE:
                break
        return messages

    def _add(self, message: _Kept, place: str) -> int:
        length = max(LIMIT // max(len(message.data), 1), LEAST)
        arguments: list[str | int | bytes] = [self.sender, message.number, place, length, EXPIRY_S, message.data]
        answer: Any = self._request(lambda: self._send(keys=[STREAM, COUNTS], args=arguments))
        return int(answer)

    def _request(self, request: Any) -> Any:
        try:
            return self._server.call(request)
        except self._server.refusals as error:
            raise self._server.failure(f"the server refuses ({' '.join(str(error).split())[:200]})") from error
