"""Checks an audit log from its first line to its last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.production.audit.entries import FIRST, MAX_LINE, parse
from rl_eval.production.audit.log import Head, read_head
from rl_eval.untrusted_files import only_regular


@dataclass(frozen=True)
class Checked:
    """What was found.

    Attributes:
        head: of the lines that are whole.
        faults: one sentence about each, at most 20; empty where the log is whole.
    """

    head: Head
    faults: tuple[str, ...]


_MAX_FAULTS = 20


def verify(path: Path, expected: Head | None = None) -> Checked:
    """Check every line of a log, and its end.

    The chain shows each changed, missing, added or reordered line. A tail that was cut off shows by the head next to
    the file, and by `expected` where the head was changed as well.

    Args:
        expected: a head that was kept elsewhere; the log may have grown since.

    Raises:
        InputError: the file cannot be read.
    """
    faults: list[str] = []
    before, at_expected, number = Head(0, FIRST), FIRST, 0
    try:
        with open(path, "rb", opener=only_regular) as file:
            while (line := file.readline(MAX_LINE + 1)) and len(faults) < _MAX_FAULTS:
                number += 1
                try:
                    entry = parse(line)
                except ValueError as error:
                    faults.append(f"line {number}: {error}")
                    before = Head(before.lines + 1, "")
                    continue
                if before.hash and entry.previous != before.hash:
                    faults.append(
                        f"line {number}: it does not follow line {number - 1}: lines are missing, added or reordered"
                    )
                elif entry.number != before.lines + 1:
                    faults.append(f"line {number}: it says that it is line {entry.number}")
                before = Head(entry.number, entry.hash)
                if expected is not None and entry.number == expected.lines:
                    at_expected = entry.hash
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): name an audit log") from error
    recorded = read_head(path)
    if recorded is None and before.lines:
        faults.append("its head is missing, so whether lines were cut off at the end is not known")
    elif recorded is not None and before.lines < recorded.lines:
        faults.append(f"it ends with line {before.lines} where its head says {recorded.lines}: its end was cut off")
    elif recorded is not None and before.lines == recorded.lines and before.hash not in ("", recorded.hash):
        faults.append("its last line is not the one that its head names")
    if expected is not None and expected.lines and at_expected != expected.hash:
        faults.append(f"it has no line {expected.lines} with the hash that was kept: lines were cut off or replaced")
    return Checked(before, tuple(faults))
