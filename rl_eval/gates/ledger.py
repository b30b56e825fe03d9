"""The ledger: which policies were judged on which test set, and how that changes the error rate.

One JSON line for each verdict on a test set, appended under a lock. A line that cannot be read is skipped, and the
verdict says how many were. A ledger that cannot be written never stops a gate; the verdict then says why it is not
recorded.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rl_eval import policy
from rl_eval.formatting import number, quantity
from rl_eval.gates.selection import Selection
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict
from rl_eval.untrusted_files import only_regular

DEFAULT = Path("outputs/ledger.jsonl")
SCHEMA = 3
MAX_BYTES = 64 << 20
MAX_LINE = 1 << 16  # a group of some 900 runs
LOCK_SECONDS = 30.0


@dataclass(frozen=True)
class LedgerEntry:
    """One policy, or several as one, judged on one test set.

    Attributes:
        test_set: `held_out.TestSet.fingerprint`.
        policies: from `policy_keys`: one, or those that are accepted or rejected together.
        decision: of the suite: PASS, FAIL, INCONCLUSIVE or ERROR.
    """

    suite: str
    test_set: str
    gate_seed: int
    policies: tuple[str, ...]
    decision: str


@dataclass(frozen=True)
class TestSetUse:
    """How often a test set was used, according to a ledger.

    Attributes:
        entries: verdicts on it, this one included.
        policies: how many different policies they judged, from `count_policies`.
        damaged: lines of the ledger that cannot be read.
        problem: why this verdict is not recorded; None if it is.
    """

    __test__ = False  # pytest takes any class of this name for a test

    entries: int
    policies: int
    damaged: int = 0
    problem: str | None = None


def record_verdict(ledger: Path, selection: Selection, verdict: SuiteVerdict) -> SuiteVerdict:
    """Record which policy was judged, and add to the verdict what that does to the error rate.

    A verdict on the validation part uses no test set, so the ledger is neither written nor read. A verdict without a
    decision on any episode or case is not recorded: no policy was accepted or rejected by them. A verdict on only
        random, constant
    or untrained policies is not recorded either: nobody chose these.
    """
    specs = [str(run.path) for run in selection.runs]
    played = any(_is_about_test_set(criterion) for criterion in verdict.criteria)
    if verdict.part != "test" or verdict.test_set is None or not played or all(map(policy.is_trivial, specs)):
        return verdict
    keys = policy_keys(specs)
    use = record(ledger, LedgerEntry(verdict.suite, verdict.test_set, verdict.gate_seed, keys, verdict.decision))
    for note in (error_rate_note(use.policies, verdict.alpha), skipped_note(ledger, use.damaged), use.problem):
        if note:
            verdict = verdict.with_note("held_out", note)
    return verdict


def _is_about_test_set(verdict: CriterionVerdict) -> bool:
    """Whether a criterion was decided by what a policy did on episodes or cases."""
    return verdict.run is not None and verdict.unit in ("episode", "case") and verdict.decision != "ERROR"


def policy_keys(specs: Iterable[str]) -> tuple[str, ...]:
    """The keys of policies, sorted, each once.

    The key is the policy's identity, which does not depend on where its files are. Where nobody can know that, it is
    the policy's name.
    """
    return tuple(sorted({policy.identity(spec) or _sha256(f"name {spec}") for spec in specs}))


def count_policies(judged: Iterable[frozenset[str]]) -> int:
    """How many policies were accepted or rejected, each set of them as one.

    Several that are judged together count as one, since the worst of them decides, and not at all where each of them
    was judged on its own too: if such a group is accepted wrongly, so was its useless member.
    """
    different = set(judged)
    single = {key for keys in different if len(keys) == 1 for key in keys}
    return len(single) + sum(len(keys) > 1 and not keys <= single for keys in different)


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
        problem = f"the names of the suite and its runs are too long for a line of {path} "
    else:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_SECONDS):
                problem = _append(path, line)
        except Timeout:
            problem = f"{path} is locked by another process: remove {path}.lock if no such process exists"
        except OSError as error:
            problem = f"{path} cannot be written ({error.strerror or error})"
    if problem is None:
        return use_of(path, entry.test_set)
    judged, damaged, _ = _read(path, entry.test_set)
    judged.append(frozenset(entry.policies))
    return TestSetUse(len(judged), count_policies(judged), damaged, problem)


def use_of(path: Path, test_set: str) -> TestSetUse:
    """How often a test set was used; a ledger that does not exist has no entries."""
    judged, damaged, problem = _read(path, test_set)
    return TestSetUse(len(judged), count_policies(judged), damaged, problem)


def _append(path: Path, line: bytes) -> str | None:
    descriptor = only_regular(str(path), os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(descriptor).st_size
        if size + len(line) > MAX_BYTES:
            return f"{path} is full ({MAX_BYTES >> 20} MiB): move it elsewhere, and a new one is started"
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line  # a writer was killed in the middle of a line: that one is lost, not this one
        if os.write(descriptor, line) != len(line):
            return f"{path} could not be written completely: is the disk full?"
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return None


def _read(path: Path, test_set: str) -> tuple[list[frozenset[str]], int, str | None]:
    """The policies of each verdict on a test set, the damaged lines, and why the file cannot be read."""
    content = read_entries(path)
    judged = [frozenset(entry.policies) for entry in content.entries if entry.test_set == test_set]
    return judged, content.damaged, content.problem


@dataclass(frozen=True)
class RecordedVerdict(LedgerEntry):
    """An entry with its date, ISO 8601."""

    date: str


@dataclass(frozen=True)
class LedgerContent:
    """The entries of a ledger, the oldest first; its damaged lines; and why it cannot be read, if it cannot."""

    entries: list[RecordedVerdict]
    damaged: int = 0
    problem: str | None = None


def read_entries(path: Path) -> LedgerContent:
    """Every entry of a ledger; a ledger that does not exist has none."""
    entries: list[RecordedVerdict] = []
    damaged = 0
    try:
        with open(path, "rb", opener=only_regular) as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                return LedgerContent([], 0, f"{path} is larger than {MAX_BYTES >> 20} MiB, so it is not a ledger")
            for line in file:
                values = _parse(line)
                if values is None:
                    damaged += bool(line.strip())
                else:
                    entries.append(_entry(values))
    except FileNotFoundError:
        pass
    except OSError as error:
        return LedgerContent(entries, damaged, f"{path} cannot be read ({error.strerror or error})")
    return LedgerContent(entries, damaged)


def _entry(values: Mapping[str, Any]) -> RecordedVerdict:
    seed = values.get("gate_seed")
    return RecordedVerdict(
        str(values.get("suite", "")),
        values["test_set"],
        seed if isinstance(seed, int) else 0,
        tuple(values["policies"]),
        str(values.get("decision", "")),
        str(values.get("date", "")),
    )


def _parse(line: bytes) -> dict[str, Any] | None:
    values: Any = None
    if len(line) <= MAX_LINE:
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(line)
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        return None
    policies = values.get("policies")
    if not isinstance(policies, list) or not policies or not all(isinstance(key, str) for key in policies):
        return None
    return values if isinstance(values.get("test_set"), str) else None


def error_rate(policies: int, alpha: float) -> tuple[float, float]:
    """The chance that a criterion accepts at least one useless policy of k: at most, and if they are independent.

    min(1, k·alpha) holds however the policies depend on each other (Boole); 1 - (1 - alpha)^k where not at all.
    """
    return min(1.0, policies * alpha), 1.0 - (1.0 - alpha) ** policies


def error_rate_note(policies: int, alpha: float) -> str:
    """One sentence for the verdict; empty for the first policy, for which alpha holds as it is."""
    if policies <= 1:
        return ""
    most, independent = error_rate(policies, alpha)
    return (
        f"{policies:,} different policies have been judged on this test set (runs judged together count once): the "
        f"probability that one of them passes although it is below the bar is not {_percent(alpha)}, but up to "
        f"{_percent(most)} ({_percent(independent)} if they were independent); to start again, use other data or, if "
        "episodes are drawn from seeds, another gate_seed"
    )


def skipped_note(ledger: Path, damaged: int) -> str:
    """One sentence on the lines of a ledger that cannot be read; empty if there are none."""
    if not damaged:
        return ""
    lines, verb = quantity(damaged, "line"), "is" if damaged == 1 else "are"
    return (
        f"{lines} of {ledger} cannot be read as schema {SCHEMA} and {verb} not counted, so more policies may have been "
        "judged on this test set"
    )


def _percent(share: float) -> str:
    return f"{number(100 * share, 3)} %"
