"""Observations of a replay buffer on a Redis server.

An observation and its mask are one record of fixed size. The records of an environment copy are neighbours in strings
of at most `CHUNK` bytes, so the two observations of a one-step transition are read as one range. A batch is one call.
What is written waits here until the next read, and then goes as one call too.

A number on the server counts these calls. A script that finds another number than its caller knows changes nothing and
says so: the server has been restarted from a file that lacks the last calls, or from none. Those of the last seconds
are kept here and sent again; where they do not suffice, the run ends with a sentence and can be resumed. With
`--appendonly yes` they do: Redis writes its file at least every two seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import time
import weakref
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.redis_address import RedisAddress, parse_address
from agents.redis_server import RedisServer
from agents.replay_storage import allocate

CHUNK = 32 << 20  # bytes of a string at most
SENT_AT_ONCE = 4 << 20  # bytes that wait here at most, and that one call transfers
KEEP_S = 5.0  # seconds for which calls are kept to be sent again; Redis may lose those of two
KEEP_BYTES = 256 << 20  # of such calls at most
EXPIRY_S = 7 * 24 * 3600  # after which the server drops what a killed process has left
REFRESH_S = 3600.0

_LOST = "LOST"  # what the scripts answer where a call is missing
# KEYS[1]: the prefix of all keys. ARGV: the number of calls; of each string its name, and the first and last byte of
# every range as text: the server would take longer to make text of numbers than to read what they say.
_READ = """
local key, out, count, call = KEYS[1], {}, 0, redis.call
if call('GET', key .. ':calls') ~= ARGV[1] then return redis.error_reply('LOST') end
for i = 2, #ARGV, 2 do
  local name = key .. ':' .. ARGV[i]
  for first, last in ARGV[i + 1]:gmatch('(%d+) (%d+)') do
    count = count + 1
    out[count] = call('GETRANGE', name, first, last)
  end
end
return table.concat(out)
"""
# Ranges are three 32-bit numbers each: the string, the first byte, the last byte.
# A call that was sent twice finds the number that it left itself.
_WRITE = """
local key, ranges, data, call, from = KEYS[1], ARGV[3], ARGV[4], redis.call, 1
local calls = call('GET', key .. ':calls')
if calls ~= ARGV[1] and calls ~= ARGV[2] then return redis.error_reply('LOST') end
for i = 1, #ranges, 12 do
  local name, first, last = struct.unpack('<I4I4I4', ranges, i)
  call('SETRANGE', key .. ':' .. name, first, data:sub(from, from + last - first))
  from = from + last - first + 1
end
call('SET', key .. ':calls', ARGV[2], 'KEEPTTL')
return 1
"""
# ARGV: the number of calls to begin with, the seconds to expiry, the sizes of the strings.
_RESERVE = """
local key, call = KEYS[1], redis.call
for i = 3, #ARGV do
  local name, size = key .. ':' .. (i - 3), tonumber(ARGV[i])
  if ARGV[1] == '0' then call('DEL', name) end
  if call('STRLEN', name) < size then call('SETRANGE', name, size - 1, '\\0') end
  call('EXPIRE', name, ARGV[2])
end
call('SET', key .. ':calls', ARGV[1], 'EX', ARGV[2])
return 1
"""
# Only what exists can be given a new time to live, so nothing is made here.
_REFRESH = """
for i = 0, tonumber(ARGV[2]) - 1 do redis.call('EXPIRE', KEYS[1] .. ':' .. i, ARGV[1]) end
return redis.call('EXPIRE', KEYS[1] .. ':calls', ARGV[1])
"""


@dataclass(frozen=True)
class _Call:
    """One call of `_WRITE`, which leads to this number of calls."""

    number: int
    ranges: bytes
    data: bytes
    time: float

    @property
    def arguments(self) -> list[str | bytes]:
        """Of `_WRITE`."""
        return [str(self.number - 1), str(self.number), self.ranges, self.data]


class RedisObservations:
    """See `replay_observations.Observations`.

    Args:
        size: slots, `rows` of each of the environment copies.
        address: of the server.
        folder: names what this keeps on the server, so that a resumed run takes the place of the one before; and the
            arrays of `state` are files there.

    Raises:
        ValueError: the server cannot be used, or has no room.
    """

    def __init__(self, rows: int, n_envs: int, shape: tuple[int, ...], dtype: Any, address: str, folder: Path | None):
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.actions: int | None = None
        self._rows, self._n_envs, self._folder = rows, n_envs, folder
        self._server = RedisServer(parse_address(address), f"replay.storage={parse_address(address)}")
        self._key = key_prefix(folder)
        scripts = {"read": _READ, "write": _WRITE, "reserve": _RESERVE, "refresh": _REFRESH}
        self._scripts = {name: self._server.client.register_script(text) for name, text in scripts.items()}
        self._calls = 0
        self._kept: deque[_Call] = deque()
        self._kept_bytes = 0
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []  # positions [B] and records [B, record]
        self._waiting_bytes = 0
        self._refreshed = time.monotonic()
        self._reserved = False
        self._lay_out()
        _unlink(self._server, self._key, len(self._sizes))  # of the process that this one takes the place of
        self._require_room()

    def _lay_out(self) -> None:
        """Where records are; the room for them is taken before the first is written."""
        self._record = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize + (self.actions or 0)
        self._per_string = max(min(CHUNK // self._record, self._rows * self._n_envs), 1)
        records = self._rows * self._n_envs
        full, rest = divmod(records, self._per_string)
        self._sizes = [self._per_string * self._record] * full + [rest * self._record] * (rest > 0)

    def _require_room(self) -> None:
        self._server.require_room(sum(self._sizes), "lower agent.buffer_size")

    def _reserve(self) -> None:
        if not self._reserved:
            self._finalizer = weakref.finalize(
                self, _drop, self._server.address, self._key, len(self._sizes), os.getpid()
            )
            self._reserve_room(0)
            self._reserved = True

    def keep_masks(self, actions: int) -> None:
        """Make room for a mask with every observation; before the first `write`."""
        self.actions = actions
        self._lay_out()
        self._require_room()

    def write(self, slots: np.ndarray, obs: np.ndarray, mask: np.ndarray | None) -> None:
        """Put observations and masks into slots; they are sent with the next read, or when they are many."""
        count = len(slots)
        records = np.empty((count, self._record), np.uint8)
        size = self._record - (self.actions or 0)
        values = np.ascontiguousarray(np.broadcast_to(np.asarray(obs, self.dtype), (count, *self.shape)))
        records[:, :size] = values.view(np.uint8).reshape(count, size)
        if self.actions is not None:
            records[:, size:] = 1 if mask is None else mask
        self._waiting.append((self._positions(slots), records))
        self._waiting_bytes += records.nbytes
        if self._waiting_bytes >= SENT_AT_ONCE:
            self._send_waiting()

    def read(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Observations and masks of slots."""
        self._send_waiting()
        positions, places = np.unique(self._positions(slots), return_inverse=True)
        parts = [
            self._read(positions[start : start + self._records_at_once])
            for start in range(0, len(positions), self._records_at_once)
        ]
        return self._unpack((parts[0] if len(parts) == 1 else np.concatenate(parts))[places])

    def state(self, filled: int) -> dict[str, np.ndarray]:
        """Copies of the first slots, in files without a name where there is a folder."""
        storage = "memory" if self._folder is None else "memmap"
        arrays = {"obs": allocate((filled, *self.shape), self.dtype, storage, self._folder)}
        if self.actions is not None:
            arrays["masks"] = allocate((filled, self.actions), np.dtype(bool), storage, self._folder)
        for start in range(0, filled, self._records_at_once):
            part = slice(start, min(start + self._records_at_once, filled))
            obs, masks = self.read(np.arange(part.start, part.stop))
            arrays["obs"][part] = obs
            if masks is not None:
                arrays["masks"][part] = masks
        return arrays

    def load_state(self, obs: np.ndarray, masks: np.ndarray | None) -> None:
        """Write the first slots."""
        for start in range(0, len(obs), self._records_at_once):
            part = slice(start, min(start + self._records_at_once, len(obs)))
            self.write(np.arange(part.start, part.stop), obs[part], None if masks is None else masks[part])
        self._send_waiting()

    @property
    def _records_at_once(self) -> int:
        return max(SENT_AT_ONCE // self._record, 1)

    def _positions(self, slots: np.ndarray) -> np.ndarray:
        """Slots are interleaved; on the server the records of a copy are neighbours."""
        return slots % self._n_envs * self._rows + slots // self._n_envs

    def _unpack(self, records: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        size = self._record - (self.actions or 0)
        obs = np.ascontiguousarray(records[:, :size]).view(self.dtype).reshape(len(records), *self.shape)
        return obs, None if self.actions is None else records[:, size:].astype(bool)

    def _ranges(self, positions: np.ndarray) -> np.ndarray:
        """Where sorted and different records are, neighbours as one range: `[R, 3]` as `_WRITE` takes them."""
        first = np.ones(len(positions), bool)
        first[1:] = (np.diff(positions) != 1) | (positions[1:] % self._per_string == 0)
        starts = np.flatnonzero(first)
        counts = np.diff(starts, append=len(positions))
        ranges = np.empty((len(starts), 3), "<u4")
        ranges[:, 0], within = np.divmod(positions[starts], self._per_string)
        ranges[:, 1] = within * self._record
        ranges[:, 2] = (within + counts) * self._record - 1
        return ranges

    def _read(self, positions: np.ndarray) -> np.ndarray:
        """Records `[B, record]` at sorted positions."""
        ranges = self._ranges(positions)
        arguments: list[str | bytes] = [str(self._calls)]
        for part in np.split(ranges, np.flatnonzero(np.diff(ranges[:, 0])) + 1):
            arguments += [str(part[0, 0]), "%d %d " * len(part) % tuple(part[:, 1:].ravel().tolist())]
        data: Any = self._run("read", arguments)
        if len(data) != len(positions) * self._record:
            raise self._server.failure(
                f"the server has dropped a part of the replay buffer ({self._key}:*): make sure that nothing else "
                "deletes or evicts these keys"
            )
        return np.frombuffer(data, np.uint8).reshape(len(positions), self._record)

    def _send_waiting(self) -> None:
        self._reserve()
        if not self._waiting:
            return
        positions = np.concatenate([positions for positions, _ in self._waiting])
        records = np.concatenate([records for _, records in self._waiting])
        self._waiting.clear()
        self._waiting_bytes = 0
        # Of a slot that was written twice, the later record counts: it is the first one from the end.
        positions, last = np.unique(positions[::-1], return_index=True)
        records = records[::-1][last]
        for start in range(0, len(positions), self._records_at_once):
            part = slice(start, start + self._records_at_once)
            call = _Call(
                self._calls + 1, self._ranges(positions[part]).tobytes(), records[part].tobytes(), time.monotonic()
            )
            self._keep(call)
            self._run("write", call.arguments)
            self._calls = call.number
        if time.monotonic() - self._refreshed > REFRESH_S:
            self._refreshed = time.monotonic()
            self._run("refresh", [str(EXPIRY_S), str(len(self._sizes))])

    def _keep(self, call: _Call) -> None:
        """Keep a call to be sent again, and drop those that the server has written to its file long ago."""
        self._kept.append(call)
        self._kept_bytes += len(call.data)
        while len(self._kept) > 1 and (call.time - self._kept[0].time > KEEP_S or self._kept_bytes > KEEP_BYTES):
            self._kept_bytes -= len(self._kept.popleft().data)

    def _run(self, name: str, arguments: list[str | bytes]) -> Any:
        """Run a script; where the server has lost calls, send these again first.

        Raises:
            OSError: the server stays away, refuses, has no room, or has lost more than is kept here.
        """
        server, script, knows_all = self._server, self._scripts[name], True
        while True:
            try:
                if not knows_all:
                    self._restore()
                    knows_all = True
                return server.call(lambda: script(keys=[self._key], args=arguments))
            except server.refusals as error:
                if _LOST not in str(error):
                    raise server.failure(f"the server refuses ({' '.join(str(error).split())[:200]})") from error
                knows_all = False

    def _restore(self) -> None:
        """Send the calls again that the server does not know, after taking the room for them where it is gone."""
        server = self._server
        number: Any = server.call(lambda: server.client.get(f"{self._key}:calls"))
        known = int(number or 0)
        missing = [call for call in self._kept if known < call.number <= self._calls]
        if len(missing) != self._calls - known:
            raise server.failure(
                f"the server has lost a part of the replay buffer ({self._calls - known:,} calls of "
                f"{self._calls:,}): start it with --appendonly yes"
            )
        self._reserve_room(known)
        for call in missing:
            self._write(call)

    def _reserve_room(self, known: int) -> None:
        """Make the strings that are not there, all of them where no call is known."""
        arguments = [str(known), str(EXPIRY_S), *map(str, self._sizes)]
        script = self._scripts["reserve"]
        self._server.call(lambda: script(keys=[self._key], args=arguments))

    def _write(self, call: _Call) -> None:
        script = self._scripts["write"]
        self._server.call(lambda: script(keys=[self._key], args=call.arguments))


def key_prefix(folder: Path | None) -> str:
    """The beginning of the keys of one buffer: the same for a folder of a machine at any time."""
    identity = f"{socket.gethostname()}:{folder.resolve()}" if folder is not None else os.urandom(16).hex()
    return f"rl_eval:replay:{hashlib.sha256(identity.encode()).hexdigest()[:20]}"


def _drop(address: RedisAddress, key: str, strings: int, process: int) -> None:
    """Remove a buffer whose process ends; a server that is away drops it when it expires."""
    if os.getpid() != process:  # a fork of it
        return
    with contextlib.suppress(Exception):
        _unlink(RedisServer(address, "replay.storage"), key, strings)


def _unlink(server: RedisServer, key: str, strings: int) -> None:
    server.call(lambda: server.client.unlink(f"{key}:calls", *(f"{key}:{i}" for i in range(strings))))
