"""The ledger: which policies were judged on which test set, and how that changes the error rate.

One JSON line for each verdict on a test set, appended under a lock. A line that cannot be read is skipped and
counted. A ledger that cannot be written never stops a gate; the verdict then says why it is not recorded.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rl_eval import policy
from rl_eval.formatting import number
from rl_eval.gates.selection import Selection
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict
from rl_eval.untrusted_files import only_regular

DEFAULT = Path("outputs/ledger.jsonl")
SCHEMA = 2
MAX_BYTES = 64 << 20
MAX_LINE = 4096
LOCK_SECONDS = 30.0


@dataclass(frozen=True)
class LedgerEntry:
    """One policy judged on one test set.

    Attributes:
        test_set: `held_out.TestSet.fingerprint`.
        policy: from `policy_key`.
        decision: of the suite: PASS, FAIL, INCONCLUSIVE or ERROR.
    """

    suite: str
    test_set: str
    gate_seed: int
    policy: str
    decision: str


@dataclass(frozen=True)
class TestSetUse:
    """How often a test set was used, according to a ledger.

    Attributes:
        entries: verdicts on it, this one included.
        policies: how many different policies they judged.
        damaged: lines of the ledger that cannot be read.
        problem: why this verdict is not recorded; None where it is.
    """

    __test__ = False  # pytest takes any class of this name for a test

    entries: int
    policies: int
    damaged: int = 0
    problem: str | None = None


def record_verdict(ledger: Path, selection: Selection, verdict: SuiteVerdict) -> SuiteVerdict:
    """Record which policy was judged, and add to the verdict what that does to the error rate.

    A verdict without a decision on any episode or case is not recorded: no policy was accepted or rejected by them.
    Nor is one on random, constant or untrained policies alone, which nobody chose.
    """
    specs = [str(run.path) for run in selection.runs]
    played = any(_is_about_test_set(criterion) for criterion in verdict.criteria)
    if verdict.test_set is None or not played or all(policy.is_trivial(spec) for spec in specs):
        return verdict
    key = policy_key(specs)
    use = record(ledger, LedgerEntry(verdict.suite, verdict.test_set, verdict.gate_seed, key, verdict.decision))
    for note in (error_rate_note(use.policies, verdict.alpha), use.problem):
        if note:
            verdict = verdict.with_note("held_out", note)
    return verdict


def _is_about_test_set(verdict: CriterionVerdict) -> bool:
    """Whether a criterion was decided by what a policy did on episodes or cases."""
    return verdict.run is not None and verdict.unit in ("episode", "case") and verdict.decision != "ERROR"


def policy_key(specs: Iterable[str]) -> str:
    """The key of one policy, or of several that are accepted or rejected as one.

    It is the policy's identity, wherever its files lie. Where nobody can know that, it is the policy's name.
    """
    keys = sorted(policy.identity(spec) or _sha256(f"name {spec}") for spec in specs)
    return keys[0] if len(keys) == 1 else _sha256(" ".join(keys))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def record(path: Path, entry: LedgerEntry, *, now: datetime.datetime | None = None) -> TestSetUse:
    """Append an entry, and count those of its test set.

    Args:
        now: the time to write; default: the current time.
    """
    from filelock import FileLock, Timeout

    date = (now or datetime.datetime.now(datetime.UTC)).isoformat(timespec="seconds")
    line = json.dumps({"schema": SCHEMA, "date": date, **asdict(entry)}, sort_keys=True).encode() + b"\n"
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
    if problem is None:
        return use_of(path, entry.test_set)
    policies, entries, damaged, _ = _read(path, entry.test_set)
    return TestSetUse(entries + 1, len(policies | {entry.policy}), damaged, problem)


def use_of(path: Path, test_set: str) -> TestSetUse:
    """How often a test set was used; a ledger that does not exist has no entries."""
    policies, entries, damaged, problem = _read(path, test_set)
    return TestSetUse(entries, len(policies), damaged, problem)


def _append(path: Path, line: bytes) -> str | None:
    descriptor = only_regular(str(path), os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(descriptor).st_size
        if size + len(line) > MAX_BYTES:
            return f"{path} is full ({MAX_BYTES >> 20} MiB): move it away and keep it, to begin another"
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line  # a writer was killed in the middle of a line: that one is lost, not this one
        if os.write(descriptor, line) != len(line):
            return f"{path} could not be written completely: is the disk full?"
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return None


def _read(path: Path, test_set: str) -> tuple[set[str], int, int, str | None]:
    """The policies judged on a test set, its entries, the damaged lines, and why the file cannot be read."""
    policies: set[str] = set()
    entries = damaged = 0
    try:
        with open(path, "rb", opener=only_regular) as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                return policies, 0, 0, f"{path} is larger than {MAX_BYTES >> 20} MiB, so it is not a ledger of ours"
            for line in file:
                values = _parse(line)
                if values is None:
                    damaged += bool(line.strip())
                elif values["test_set"] == test_set:
                    entries += 1
                    policies.add(values["policy"])
    except FileNotFoundError:
        pass
    except OSError as error:
        return policies, entries, damaged, f"{path} cannot be read ({error.strerror or error})"
    return policies, entries, damaged, None


def _parse(line: bytes) -> dict[str, Any] | None:
    values: Any = None
    if len(line) <= MAX_LINE:
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(line)
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        return None
    return values if all(isinstance(values.get(name), str) for name in ("test_set", "policy")) else None


def error_rate(policies: int, alpha: float) -> tuple[float, float]:
    """The chance that a criterion accepts at least one useless policy of k: at most, and if they are independent.

    min(1, k·alpha) holds however the policies depend on one another (Boole); 1 - (1 - alpha)^k where not at all.
    """
    return min(1.0, policies * alpha), 1.0 - (1.0 - alpha) ** policies


def error_rate_note(policies: int, alpha: float) -> str:
    """One sentence for the verdict; empty for the first policy, for which alpha holds as it is."""
    if policies <= 1:
        return ""
    most, independent = error_rate(policies, alpha)
    return (
        f"{policies:,} different policies have been judged on this test set: the chance that some useless "
        f"one among them is accepted is no longer {_percent(alpha)} but up to {_percent(most)} "
        f"({_percent(independent)} if they were independent); use fresh data, or another gate_seed, to start again"
    )


def _percent(share: float) -> str:
    return f"{number(100 * share, 3)} %"
