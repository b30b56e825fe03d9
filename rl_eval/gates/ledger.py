"""The ledger of consultations: how often a held-out set has been looked at, and what that does to the error rate.

    looks = ledger.record(path, ledger.Consultation(suite.name, gate.fingerprint, suite.gate_seed, sha, decision))
    ledger.error_rate_note(looks.checkpoints, suite.spec.alpha)

One JSON line a consultation, appended whole under a lock. A line that cannot be read is skipped and counted.
A ledger that cannot be written never stops a gate: `looks.problem` says why.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rl_eval.formatting import number

DEFAULT = Path("outputs/ledger.jsonl")
MAX_BYTES = 64 << 20
MAX_LINE = 4096
LOCK_SECONDS = 30.0


@dataclass(frozen=True)
class Consultation:
    """One checkpoint judged on one held-out set.

    Attributes:
        gate_set: `held_out.GateSet.fingerprint`.
        checkpoint: SHA-256 of the policy that was judged.
        decision: of the suite: PASS, FAIL, INCONCLUSIVE or ERROR.
    """

    suite: str
    gate_set: str
    gate_seed: int
    checkpoint: str
    decision: str


@dataclass(frozen=True)
class Consultations:
    """What a ledger says of one held-out set.

    Attributes:
        looks: consultations of it, this one included.
        checkpoints: how many different checkpoints they judged.
        damaged: lines of the whole ledger that cannot be read.
        problem: why this consultation is not on record; None where it is.
    """

    looks: int
    checkpoints: int
    damaged: int = 0
    problem: str | None = None


def record(path: Path, consultation: Consultation, *, now: datetime.datetime | None = None) -> Consultations:
    """Append a consultation, and count those of its held-out set.

    Args:
        now: the time to write down; default: now.
    """
    from filelock import FileLock, Timeout

    date = (now or datetime.datetime.now(datetime.UTC)).isoformat(timespec="seconds")
    line = json.dumps({"schema": 1, "date": date, **asdict(consultation)}, sort_keys=True).encode() + b"\n"
    problem = None
    if len(line) > MAX_LINE:
        problem = f"the suite's name is longer than a line of {path} may be"
    else:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_SECONDS):
                problem = _append(path, line)
        except Timeout:
            problem = f"{path} is locked by another process: remove {path}.lock if there is none"
        except OSError as error:
            problem = f"{path} cannot be written ({error.strerror or error})"
    before = consultations(path, consultation.gate_set)
    if problem is None:
        return before
    others = _checkpoints(path, consultation.gate_set)[0]
    return Consultations(before.looks + 1, len(others | {consultation.checkpoint}), before.damaged, problem)


def consultations(path: Path, gate_set: str) -> Consultations:
    """Count the consultations of a held-out set; a ledger that is not there holds none."""
    checkpoints, looks, damaged, problem = _checkpoints(path, gate_set)
    return Consultations(looks, len(checkpoints), damaged, problem)


def _append(path: Path, line: bytes) -> str | None:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size + len(line) > MAX_BYTES:
            return f"{path} is full ({MAX_BYTES >> 20} MiB): move it away and keep it, to begin another"
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line  # a writer was killed in the middle of a line: that one is lost, not this one
        if os.write(descriptor, line) != len(line):
            return f"{path} could not be written whole: is the disk full?"
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return None


def _checkpoints(path: Path, gate_set: str) -> tuple[set[str], int, int, str | None]:
    """The checkpoints that consulted a set, how often in all, how many lines are damaged, and what is wrong."""
    found: set[str] = set()
    looks = damaged = 0
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                return found, 0, 0, f"{path} is larger than {MAX_BYTES >> 20} MiB, so it is not a ledger of ours"
            for line in file:
                values = _parse(line)
                if values is None:
                    damaged += bool(line.strip())
                elif values["gate_set"] == gate_set:
                    looks += 1
                    found.add(values["checkpoint"])
    except FileNotFoundError:
        pass
    except OSError as error:
        return found, looks, damaged, f"{path} cannot be read ({error.strerror or error})"
    return found, looks, damaged, None


def _parse(line: bytes) -> dict[str, Any] | None:
    values: Any = None
    if len(line) <= MAX_LINE:
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(line)
    whole = isinstance(values, dict) and values.get("schema") == 1
    if whole and all(isinstance(values.get(name), str) for name in ("gate_set", "checkpoint")):
        return values
    return None


def error_rate(checkpoints: int, alpha: float) -> tuple[float, float]:
    """The chance that at least one useless checkpoint of k is accepted by a criterion: at most, and if independent.

    min(1, k·alpha) holds however the checkpoints depend on one another (Boole); 1 - (1 - alpha)^k where not at all.
    """
    return min(1.0, checkpoints * alpha), 1.0 - (1.0 - alpha) ** checkpoints


def error_rate_note(checkpoints: int, alpha: float) -> str:
    """One sentence for the verdict; empty for the first checkpoint, for which alpha is what it says."""
    if checkpoints <= 1:
        return ""
    most, independent = error_rate(checkpoints, alpha)
    return (
        f"{checkpoints:,} different checkpoints have been judged on this held-out set: the chance that some useless "
        f"one among them is accepted is no longer {_percent(alpha)} but up to {_percent(most)} "
        f"({_percent(independent)} if they were independent); hold out fresh data, or another gate_seed, to start anew"
    )


def _percent(share: float) -> str:
    return f"{number(100 * share, 3)} %"
