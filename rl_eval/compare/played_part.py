"""Which part of a finite set of data a comparison plays, and what that costs the test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rl_eval.compare.compared_run import ComparedRun
from rl_eval.compare.groups import ComparisonTask, RunGroup
from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.run import is_sweep

PlayedPart = Literal["test", "validation"]
_ON_VALIDATION = (
    "the episodes are of the validation part, on which the snapshots were chosen, so scores are a little optimistic; "
    "--part test plays the held-out cases, which counts as a use of them"
)


def require_part(part: str | None) -> None:
    """Refuse a part that nobody plays.

    Raises:
        InputError: it is neither `test` nor `validation`.
    """
    if part not in (None, "test", "validation"):
        raise InputError(f"--part {brief(repr(part))} is not a part to play: give test or validation")


def choose_part(part: str | None, runs: Sequence[ComparedRun]) -> PlayedPart:
    """The part that was asked for; else `validation` for the jobs of one sweep, and `test` for other runs.

    The best of a sweep is yet to be chosen, which must not use the test set.
    """
    folders = {run.record.path.parent for run in runs if run.record}
    by_default = "validation" if len(folders) == 1 and is_sweep(folders.pop()) else "test"
    return "validation" if (part or by_default) == "validation" else "test"


def notes_on_part(part: PlayedPart, groups: Sequence[RunGroup], task: ComparisonTask, ledger: Path | None) -> list[str]:
    """What follows from the part: on the test part, each group is recorded, since repeated use makes it less held out.

    Args:
        ledger: the file to record that in; None: nothing is recorded.
    """
    if part == "validation":
        return [_ON_VALIDATION]
    if ledger is None:
        return []
    from rl_eval.gates.held_out import load_test_set
    from rl_eval.gates.ledger import LedgerEntry, policy_keys, record, skipped_note

    assert task.env is not None
    fingerprint, notes = load_test_set(task.env, []).fingerprint, []
    for group in groups:
        keys = policy_keys(str(run.record.path) for run in group.runs if run.record)
        use = record(ledger, LedgerEntry("compare", fingerprint, 0, keys, "COMPARED"))
    notes.append(f"{use.policies:,} different candidates have used these held-out cases ({ledger})")
    return [*notes, *filter(None, (skipped_note(ledger, use.damaged), use.problem))]
