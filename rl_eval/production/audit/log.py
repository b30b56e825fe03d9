"""`AuditLog`: appends lines, from any number of processes and threads.

A writer takes the lock, reads the last line, and appends what follows from it. Then it writes the head: how many lines
there are, and the hash of the last one. So a tail that was cut off shows, where the head was not changed as well.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rl_eval.errors import InputError
from rl_eval.production.audit.entries import FIRST, MAX_LINE, Entry, line_of, parse
from rl_eval.run import write_text
from rl_eval.untrusted_files import only_regular, read_bounded

VARIABLE = "RL_EVAL_AUDIT"  # names the log of train.py and pytest
_LOCK_S = 30.0
_HEAD_BYTES = 4096


class AuditError(InputError):
    """The log cannot be written, or is not whole: nothing was appended."""


@dataclass(frozen=True)
class Head:
    """How many lines there are, and the hash of the last one."""

    lines: int
    hash: str

    def __str__(self) -> str:
        return f"{self.lines}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """`N:HASH`.

        Raises:
            InputError: it is something else.
        """
        lines, _, digest = text.partition(":")
        if not (lines.isascii() and lines.isdigit()) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise InputError(
                f"{text[:80]!r} is not a head of an audit log: give N:HASH, as `rl-eval audit verify` prints"
            )
        return cls(int(lines), digest)


class AuditLog:
    """An audit log; any number of processes and threads may append to it.

    Args:
        path: the file; it is created with the first line. Its head is next to it, as `.head`, and its lock as `.lock`.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time):
        self.path, self._clock = path, clock

    def append(self, event: str, actor: str, facts: Mapping[str, Any] | None = None) -> Head:
        """Append one line; it is on the disk afterwards.

        Args:
            event: what happened, one word.
            actor: who did it.
            facts: JSON values; NaN and infinities become null.

        Raises:
            AuditError: it cannot be written, or the log is not whole.
        """
        return self.append_all([(event, actor, facts or {})])

    def append_all(self, entries: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Head:
        """Append lines at once: event, actor and facts of each.

        Raises:
            AuditError: as `append`; none of them was appended.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=_LOCK_S):
                return self._append(entries)
        except Timeout as error:
            raise AuditError(
                f"{self.path} is locked by another process for over {_LOCK_S:g} s: end the process that holds it"
            ) from error
        except OSError as error:
            raise AuditError(
                f"{self.path} cannot be written ({error.strerror or error}): make it writable, or name another"
            ) from error
        except (TypeError, ValueError) as error:
            raise AuditError(f"{self.path}: this cannot be a line of an audit log ({error})") from error

    def size(self) -> int:
        """How many bytes the log has; 0 where there is none.

        Raises:
            AuditError: it cannot be looked at.
        """
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._unreadable(error) from error

    def since(self, size: int) -> Iterator[Entry]:
        """The whole lines that were appended since the log had that size, and some before them.

        Raises:
            AuditError: it cannot be read.
        """
        try:
            with open(self.path, "rb", opener=only_regular) as file:
                # A line that was cut off was perhaps replaced since.
                file.seek(max(0, size - 2 * MAX_LINE))
                while line := file.readline(MAX_LINE + 1):
                    with contextlib.suppress(ValueError):  # the first is perhaps a part of one
                        yield parse(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> AuditError:
        return AuditError(f"{self.path} cannot be read ({error.strerror or error}): make it readable, or name another")

    def _append(self, entries: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Head:
        descriptor = only_regular(str(self.path), os.O_RDWR | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            last, torn, end = self._tail(descriptor)
            head = Head(0, FIRST) if last is None else Head(last.number, last.hash)
            self._check_head(head, last)
            at = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC).isoformat(timespec="milliseconds")
            content, lines = b"", list(entries)
            if torn:  # a writer was killed: nobody learned that this line is there
                lines.insert(
                    0, ("torn_line", "audit", {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()})
                )
            for event, actor, facts in lines:
                line = line_of(head.lines + 1, head.hash, at, actor, event, facts)
                head = Head(head.lines + 1, parse(line).hash)
                content += line
            if torn:
                os.ftruncate(descriptor, end)
            try:
                rest = memoryview(content)
                while len(rest):
                    rest = rest[file.write(rest) or 0 :]
                os.fsync(descriptor)
            except OSError:  # a full disk takes a part
                os.ftruncate(descriptor, end)
                raise
        write_text(_head_file(self.path), json.dumps({"lines": head.lines, "hash": head.hash}) + "\n")
        return head

    def _tail(self, descriptor: int) -> tuple[Entry | None, bytes, int]:
        """The last whole line, what follows it without a newline, and where that begins."""
        size = os.fstat(descriptor).st_size
        start = max(0, size - 2 * MAX_LINE)
        content = os.pread(descriptor, size - start, start)
        whole, newline, torn = content.rpartition(b"\n")
        if not newline:
            if start:
                raise AuditError(f"{self.path} is not an audit log: name another file")
            return None, content, 0
        line = whole.rpartition(b"\n")[2] + newline
        try:
            return parse(line), torn, size - len(torn)
        except ValueError as error:
            raise AuditError(
                f"{self.path}: its last line is not whole ({error}), so nothing is appended: run `rl-eval audit verify`"
            ) from error

    def _check_head(self, head: Head, last: Entry | None) -> None:
        """The log ends where its head says, or one append later: a writer may end between the two."""
        recorded = read_head(self.path)
        if recorded is None:
            if last is not None and last.number > 1:
                raise AuditError(f"{self.path} has lost its head {_head_file(self.path).name}: put it back")
            return
        if head.lines < recorded.lines or (head.lines == recorded.lines and head != recorded):
            raise AuditError(
                f"{self.path} ends with line {head.lines} where its head says {recorded.lines}, so lines are gone or "
                "changed and nothing is appended: run `rl-eval audit verify`"
            )


def _head_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.head")


def read_head(path: Path) -> Head | None:
    """The head next to a log; None where there is none.

    Raises:
        AuditError: it cannot be read.
    """
    file = _head_file(path)
    try:
        values = json.loads(read_bounded(file, _HEAD_BYTES))
        return Head.parse(f"{values['lines']}:{values['hash']}")
    except FileNotFoundError:
        return None
    except (OSError, OverflowError, ValueError, TypeError, KeyError, RecursionError, InputError) as error:
        raise AuditError(f"{file} is not a head of an audit log: put back what was there") from error


def append_where_configured(event: str, actor: str, facts: Mapping[str, Any]) -> None:
    """Append a line to the log that the environment variable `RL_EVAL_AUDIT` names; nothing where it is not set.

    Raises:
        AuditError: it cannot be appended.
    """
    if name := os.environ.get(VARIABLE):
        AuditLog(Path(name)).append(event, actor, facts)
