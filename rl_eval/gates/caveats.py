"""What a verdict rests on, other than the numbers: choices of the suite's author, and whose data was played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rl_eval.domains import domain
from rl_eval.errors import InputError
from rl_eval.formatting import number, quantity
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.release import margin_note
from rl_eval.gates.selection import BarePolicy
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_data import data_note, policy_data_note
from rl_eval.gates.verdict import CriterionVerdict
from rl_eval.run import Run

# An alpha above this is named, and so are bounds where so few units suffice and the bar is so close to the bound on
# its losing side, as a share of their range: only there do the bounds decide.
LARGE_ALPHA = 0.1
HANDFUL = 8
CLOSE = 0.02


def with_caveats(suite: Suite, verdict: CriterionVerdict) -> CriterionVerdict:
    """A PASS that rests on a choice of the suite's author says so."""
    criterion = next((c for c in suite.criteria if c.name == verdict.criterion), None)
    if criterion is None or verdict.decision != "PASS":
        return verdict
    notes = []
    if criterion.metric.kind == "training":
        notes.append("reported by the training run itself")
    if note := margin_note(criterion):
        notes.append(note)
    if criterion.metric.kind == "task" and not suite.spec.controls:
        notes.append("with controls: [] it is unknown whether a useless policy passes too")
    if verdict.by == "evidence" and suite.spec.alpha > LARGE_ALPHA:
        notes.append(f"alpha is {number(suite.spec.alpha)}: a policy below the bar passes that often")
    if (bounds := _deciding_bounds(criterion, verdict)) is not None:
        low, high = (number(bound, 6) for bound in bounds)
        notes.append(
            f"{quantity(verdict.decided_at or 0, verdict.unit or 'unit')} sufficed because the bar is very close to "
            f"one of return_bounds [{low}, {high}]: check that no episode can return less than {low} or more than "
            f"{high}"
        )
    return replace(verdict, detail="; ".join([verdict.detail, *notes]))


def _deciding_bounds(criterion: Criterion, verdict: CriterionVerdict) -> tuple[float, float] | None:
    """The declared bounds of a return, where a handful of units passed because of them."""
    declared = criterion.metric.kind == "task" and criterion.metric.bounds is None
    if (
        not declared
        or criterion.spec.better_than
        or criterion.bounds is None
        or verdict.decided_at is None
        or verdict.threshold is None
    ):
        return None
    low, high = criterion.bounds
    losing_side = verdict.threshold - low if criterion.direction == "at_least" else high - verdict.threshold
    close = losing_side <= CLOSE * (high - low)
    return criterion.bounds if verdict.decided_at <= HANDFUL and close else None


def with_data_notes(suite: Suite, judged: Sequence[Run | BarePolicy], held_out: CriterionVerdict) -> CriterionVerdict:
    """The verdict on the test set, with whose data it is: the note on the first run that has one.

    Where the test set is episodes, also with what the environment leaves to a default, such as its step limit.
    """
    if held_out.decision == "ERROR" and not held_out.units:  # it could not be loaded
        return held_out
    environment = domain(suite.judged.name)
    try:
        notes = [data_note(suite, j) if isinstance(j, Run) else policy_data_note(suite, j.path) for j in judged]
        defaults = [] if environment.has_cases else environment.notes(suite.judged)
    except InputError as error:
        return replace(held_out, decision="ERROR", detail=str(error))
    shown = [note for note in notes if note]
    more = f" (and {len(shown) - 1} more)" if len(shown) > 1 else ""
    return replace(held_out, detail="; ".join([held_out.detail, *(f"{note}{more}" for note in shown[:1]), *defaults]))
