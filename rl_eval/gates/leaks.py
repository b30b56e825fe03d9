"""`::held_out`: the guard put to the arenas of a suite, before anything is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rl_eval.errors import InputError
from rl_eval.gates import held_out
from rl_eval.gates.arenas import Arenas, Judged
from rl_eval.gates.controls import item_verdict
from rl_eval.gates.schema import Suite
from rl_eval.gates.verdict import CriterionVerdict
from rl_eval.run import Run


def look_for_leaks(suite: Suite, judged: Sequence[Judged], arenas: Arenas) -> tuple[CriterionVerdict, str | None]:
    """Compare what is held out with what the runs have seen; with `leaks: drop`, leave that out of their arenas.

    Returns:
        The verdict, an ERROR with units, the leaks, where nothing may be judged by what was to be held out; and the
        fingerprint of the held-out set, None where it cannot be had.
    """
    blank = item_verdict(suite, "held_out")
    runs = [each for each in judged if isinstance(each, Run)]
    try:
        arena = arenas.of(judged[0])
        # every run's data is the same wherever it lies: their fingerprints say so
        gate = held_out.load_test_set(arena.env, arena.seeds, arena.idle_copies())
        found = held_out.guard(suite.name, gate, runs, leaks=suite.spec.leaks)
        if found.leave_out is not None:
            for one in judged:
                arenas.of(one)
            for each in arenas:
                each.leave_out(found.unit, found.leave_out)
    except InputError as error:
        return replace(blank, detail=str(error)), None
    verdict = replace(blank, decision=found.decision, detail=found.detail, unit=found.unit)
    if found.decision == "PASS":
        return replace(verdict, units=found.total, units_max=found.total), gate.fingerprint
    # without examples it could not be checked, which says nothing of the episodes themselves
    leaks = found.exact + found.same_seed if found.examples else None
    return replace(verdict, units=leaks, units_max=found.total if leaks else None), gate.fingerprint
