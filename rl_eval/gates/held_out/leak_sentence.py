"""What the leak check found, in one sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rl_eval.formatting import percent

if TYPE_CHECKING:
    from rl_eval.gates.held_out.leak_check import LeakCheck


def leak_sentence(check: LeakCheck, unrecorded: int) -> str:
    """How many units took part in training, how, which, what becomes of them, and what to do.

    Args:
        unrecorded: units of training that are not on record.
    """
    unit, count = check.unit, check.leaked
    parts = []
    if count:
        share = f"{count:,} of {check.total:,} {unit}s of the test set ({percent(count / check.total)})"
        names = ", ".join(str(example) for example in check.examples)
        more = ", …" if count > len(check.examples) else ""
        parts.append(f"{share} {_how(check)}; {'seeds' if unit == 'episode' else 'cases'} {names}{more})")
    elif not check.finite:
        parts.append(f"none of {check.total:,} {unit}s of the test set took part in training")
    if check.finite:
        parts.append(
            f"the environment has a finite set of start states: {check.exact:,} of {check.total:,} test episodes "
            "begin like one of training or validation, as many as chance explains"
        )
    if check.near and not check.near_leaks:
        parts.append(_near(check))
    if unrecorded:
        parts.append(f"{unrecorded:,} of training are not recorded")
    return "; ".join(parts) + _consequence(check)


def _how(check: LeakCheck) -> str:
    """How the leaked units took part, without the last bracket."""
    if check.unit == "episode":
        return f"took part in training ({check.exact:,} by their first observation, {check.same_seed:,} by their seed"
    where = f"{check.in_train:,} in train, {check.in_validation:,} in validation"
    if check.preprocessed:
        where += f"; {check.preprocessed:,} of them only after preprocessing"
    if not check.near_leaks:
        return (
            f"took part in training, {'equal for the policy' if check.preprocessed else 'all features equal'} ({where}"
        )
    near = (
        f"{check.near:,} equal to one of training after rounding or in all fields except one, more than the "
        f"{percent(check.near_share)} of near_duplicates.share"
    )
    if check.near_in_validation is not None:
        near += f"; {percent(check.near_in_validation)} of the validation part resemble train too"
    if not check.exact:
        return f"nearly equal one of training ({near}"
    return f"took part in training, or nearly equal one that did ({near}; {check.exact:,} equal: {where}"


def _near(check: LeakCheck) -> str:
    verb = "are" if check.near > 1 else "is"
    if check.unit == "episode":
        return f"{check.near:,} more {verb} equal to one of training to about three digits"
    share = check.near / check.total
    why = f"near_duplicates.share allows {percent(check.near_share)}"
    if check.near_unknown:
        return (
            f"{check.near:,} more ({percent(share)}) equal one of training after rounding or in all fields except one; "
            "this is not checked, since with so few fields that vary it is chance"
        )
    if share > check.near_share:
        why = "chance explains as many, because the fields take few values"
    duplicates = f"{verb} near-duplicate{'s' if check.near > 1 else ''}"
    return f"{check.near:,} more ({percent(share)}) {duplicates} of cases of training, and {why}"


def _consequence(check: LeakCheck) -> str:
    other = "data" if check.unit == "case" else "episodes with `gate_seed`"
    if check.decision == "ERROR" and check.leaks == "drop":
        return f": nothing is left to judge; hold out other {other}"
    if check.decision == "ERROR":
        share = ""
        if check.near_leaks:
            share = (
                "; if near-duplicates are different cases, `near_duplicates: "
                f"{{share: {math.ceil(100 * check.near / check.total) / 100:g}}}` allows them"
            )
        return f": hold out other {other}, or set `leaks: drop` to leave them out or `report` to keep them{share}"
    if check.excluded is not None:
        return ": left out"
    return ": kept, as `leaks: report` says" if check.leaked else ""
