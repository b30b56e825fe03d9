"""Put every verdict that was sought on record, and say what the looks so far do to the error rate."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.gates import cache
from rl_eval.gates.ledger import Consultation, error_rate_note, record
from rl_eval.gates.selection import BarePolicy, Selection
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.run import Run


def consult(ledger: Path, selection: Selection, verdict: SuiteVerdict) -> SuiteVerdict:
    """Put on record whose verdict was sought, and say what that does to the error rate."""
    if verdict.gate_set is None:
        return verdict
    checkpoints = sorted(filter(None, (_checkpoint(each) for each in selection.runs)))
    if not checkpoints:
        return verdict
    # a group is accepted or rejected as one, so it is one candidate
    one = checkpoints[0] if len(checkpoints) == 1 else hashlib.sha256(" ".join(checkpoints).encode()).hexdigest()
    looks = record(ledger, Consultation(verdict.suite, verdict.gate_set, verdict.gate_seed, one, verdict.decision))
    for note in (error_rate_note(looks.checkpoints, verdict.alpha), looks.problem):
        if note:
            verdict = verdict.with_note("held_out", note)
    return verdict


def _checkpoint(judged: Run | BarePolicy) -> str | None:
    if not isinstance(judged, Run):
        _, _, rest = judged.path.partition(":")
        files = [Path(part) for part in rest.rpartition(":")[2].split("+")]
        known = [cache.file_fingerprint(file) for file in files if file.is_file()]
        return hashlib.sha256(" ".join([judged.path, *known]).encode(errors="surrogatepass")).hexdigest()
    try:
        return cache.checkpoint_fingerprint(judged)
    except InputError:
        return None
