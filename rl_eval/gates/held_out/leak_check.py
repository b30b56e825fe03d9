"""`LeakCheck`: whether a test set took part in training or validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from rl_eval import exposure
from rl_eval.errors import InputError
from rl_eval.exposure import Exposure, read_exposure
from rl_eval.formatting import percent
from rl_eval.gates.held_out.held_out_set import TestSet
from rl_eval.gates.held_out.start_states import explained_by_chance
from rl_eval.run import Run

Leaks = Literal["refuse", "drop", "report"]
EXAMPLES = 5


@dataclass(frozen=True)
class LeakCheck:
    """The result of the check.

    Attributes:
        detail: one sentence, with the notes.
        total: G; of these `exact` were used as they are (`in_train`, `in_validation`: where), `near` others nearly so,
            `same_seed` have a seed of training or validation.
        finite: the environment has a finite set of start states, so that `exact` is chance and no leak.
        examples: case numbers, or seeds of episodes, of the first leaks.
        excluded: bool `[G]`, what `leaks: drop` removes; None where nothing is to be removed.
    """

    decision: Literal["PASS", "ERROR"]
    detail: str
    leaks: Leaks
    unit: Literal["case", "episode"]
    total: int
    exact: int = 0
    in_train: int = 0
    in_validation: int = 0
    near: int = 0
    same_seed: int = 0
    finite: bool = False
    examples: tuple[int, ...] = ()
    excluded: np.ndarray | None = field(default=None, repr=False, compare=False)


def check_runs(test_set: TestSet, runs: Sequence[Run], *, leaks: Leaks = "refuse") -> LeakCheck:
    """Compare a test set with what its runs were exposed to; a record that is damaged or missing is an ERROR.

    Args:
        runs: those that are judged; a policy without a run has none, and then nothing can be known.
        leaks: `refuse`: an ERROR; `drop`: PASS, and `excluded`; `report`: PASS with a note.
    """
    blank = LeakCheck("PASS", "", leaks, test_set.unit, len(test_set))
    if not runs:
        detail = "not checked: the policy has no training run, so what it was trained on is not known"
        return replace(blank, detail=detail)
    exposures: list[Exposure] = []
    for run in runs:
        try:
            record = read_exposure(run.path)
        except InputError as error:
            return replace(blank, decision="ERROR", detail=str(error))
        if record is None:
            reason = f"{run.path} has no {exposure.FILE}, the record of what it was trained on"
            if leaks == "report":
                return replace(blank, detail=f"not checked: {reason}")
            advice = "train again, or say `leaks: report` in the suite to judge it unchecked"
            return replace(blank, decision="ERROR", detail=f"{reason}: {advice}")
        if record.cases != (test_set.unit == "case"):
            recorded = "cases" if record.cases else "first observations"
            reason = f"{run.path / exposure.FILE} is a record of {recorded}, and the test set has {test_set.unit}s"
            return replace(blank, decision="ERROR", detail=f"{reason}: train again")
        if (misfit := _not_of_this_run(record, run)) is not None:
            return replace(blank, decision="ERROR", detail=f"{run.path / exposure.FILE} {misfit}: train again")
        exposures.append(record)
    return check_exposures(test_set, exposures, leaks=leaks)


def _not_of_this_run(record: Exposure, run: Run) -> str | None:
    """Why a record does not fit what the run counted, after the name of its file; None where it fits.

    Every episode that ended in training began, so at least as many first observations are on record. What a run's
    parents used is on record as well.
    """
    if record.cases:
        return None
    recorded, episodes = int(record.train.counts.sum()) + record.unrecorded, run.info.get("episodes")
    if isinstance(episodes, int) and recorded < episodes:
        return f"records {recorded:,} episodes of training, and run.json counts {episodes:,}"
    return None


def check_exposures(test_set: TestSet, exposures: Sequence[Exposure], *, leaks: Leaks = "refuse") -> LeakCheck:
    """The pure part of `check_runs`: a unit is leaked when any of the runs was exposed to it."""
    none = np.zeros(len(test_set), bool)
    in_train, in_validation, near, same_seed, leaked = (none.copy() for _ in range(5))
    finite = False
    for record in exposures:
        train = np.isin(test_set.exact, record.train.exact)
        validation = np.isin(test_set.exact, record.validation.exact)
        in_train |= train
        in_validation |= validation
        near |= np.isin(test_set.near, record.train.near) | np.isin(test_set.near, record.validation.near)
        if len(test_set.seeds):
            same_seed |= np.isin(test_set.seeds, record.train_seeds) | np.isin(test_set.seeds, record.validation_seeds)
        starts = record.train.merge(record.validation)
        if test_set.unit == "episode" and explained_by_chance(train | validation, starts.counts, test_set.exact):
            finite = True
        else:
            leaked |= train | validation
    exact = in_train | in_validation
    leaked |= same_seed
    first = np.flatnonzero(leaked)[:EXAMPLES]
    examples = first if test_set.unit == "case" else test_set.seeds[first]
    check = LeakCheck(
        decision="ERROR" if leaked.any() and (leaks == "refuse" or (leaks == "drop" and leaked.all())) else "PASS",
        detail="",
        leaks=leaks,
        unit=test_set.unit,
        total=len(test_set),
        exact=int(exact.sum()),
        in_train=int(in_train.sum()),
        in_validation=int(in_validation.sum()),
        near=int((near & ~exact).sum()),
        same_seed=int(same_seed.sum()),
        finite=finite,
        examples=tuple(int(example) for example in examples),
        excluded=leaked if leaks == "drop" and leaked.any() else None,
    )
    return replace(check, detail=_sentence(check, int(leaked.sum()), sum(record.unrecorded for record in exposures)))


def _sentence(check: LeakCheck, leaked: int, unrecorded: int) -> str:
    unit = check.unit
    parts = []
    if leaked:
        share = f"{leaked:,} of {check.total:,} {unit}s of the test set ({percent(leaked / check.total)})"
        if unit == "case":
            where = f"{check.in_train:,} in train, {check.in_validation:,} in validation"
            how = f"took part in training, all features equal ({where}"
        else:
            how = (
                f"took part in training ({check.exact:,} by their first observation, {check.same_seed:,} by their seed"
            )
        names = ", ".join(str(example) for example in check.examples)
        more = ", …" if leaked > len(check.examples) else ""
        parts.append(f"{share} {how}; {'seeds' if unit == 'episode' else 'cases'} {names}{more})")
    elif not check.finite:
        parts.append(f"none of {check.total:,} {unit}s of the test set took part in training")
    if check.finite:
        parts.append(
            f"the environment has a finite set of start states: {check.exact:,} of {check.total:,} test episodes begin "
            "where one of training or validation did, as expected by chance"
        )
    if check.near:
        verb = "are" if check.near > 1 else "is"
        parts.append(f"{check.near:,} more {verb} equal to one of training to about three digits")
    if unrecorded:
        parts.append(f"{unrecorded:,} of training are not on record")
    sentence = "; ".join(parts)
    if check.decision == "ERROR" and check.leaks == "drop":
        return f"{sentence}: nothing is left to judge by; hold out other {_alternative(unit)}"
    if check.decision == "ERROR":
        advice = f"hold out other {_alternative(unit)}, or say `leaks: drop` to leave them out or `report` to keep them"
        return f"{sentence}: {advice}"
    if check.excluded is not None:
        return f"{sentence}: left out"
    return f"{sentence}: kept, as `leaks: report` says" if leaked else sentence


def _alternative(unit: str) -> str:
    return "data" if unit == "case" else "episodes with `gate_seed`"
