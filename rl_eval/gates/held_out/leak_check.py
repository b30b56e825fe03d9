"""`LeakCheck`: whether a test set took part in training or validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from rl_eval import exposure
from rl_eval.errors import InputError
from rl_eval.exposure import Exposure, Fingerprints, contains, observed, read_exposure_of
from rl_eval.gates.held_out.held_out_set import TestSet
from rl_eval.gates.held_out.leak_sentence import leak_sentence
from rl_eval.gates.held_out.near_duplicates import (
    is_near_duplicate,
    more_than_chance,
    share_in_validation,
    tells_apart,
)
from rl_eval.gates.held_out.start_states import explained_by_chance
from rl_eval.gates.suite_format import NearDuplicatesSpec
from rl_eval.run import Run

Leaks = Literal["refuse", "drop", "report"]
EXAMPLES = 5


@dataclass(frozen=True)
class LeakCheck:
    """The result of the check.

    Attributes:
        decision: NOT_CHECKED where there is no record of what the policy was trained on.
        detail: one sentence, with the notes.
        total: G; of these `leaked` are leaks, in one way or several: `exact` were used as they are, or equal to the
            policy (`in_train`, `in_validation`: where; `preprocessed`: those that differ before preprocessing), `near`
            others nearly so, `same_seed` have a seed of training or validation.
        near_share, near_leaks: the share of near-duplicates that is allowed, and whether they count as leaks.
        near_unknown: there are too many for chance, but the fields say too little to take them for the same cases.
        near_in_validation: for leaks, the share of the validation part that resembles training in the same way.
        finite: the environment has a finite set of start states, so that `exact` is chance and not a leak.
        examples: case numbers, or seeds of episodes, of the first leaks.
        excluded: bool `[G]`, what `leaks: drop` removes; None if nothing is removed.
    """

    decision: Literal["PASS", "ERROR", "NOT_CHECKED"]
    detail: str
    leaks: Leaks
    unit: Literal["case", "episode"]
    total: int
    leaked: int = 0
    exact: int = 0
    in_train: int = 0
    in_validation: int = 0
    preprocessed: int = 0
    near: int = 0
    near_share: float = 0.0
    near_leaks: bool = False
    near_unknown: bool = False
    near_in_validation: float | None = None
    same_seed: int = 0
    finite: bool = False
    examples: tuple[int, ...] = ()
    excluded: np.ndarray | None = field(default=None, repr=False, compare=False)


def check_runs(
    test_sets: Sequence[TestSet],
    runs: Sequence[Run],
    *,
    leaks: Leaks = "refuse",
    near: NearDuplicatesSpec | None = None,
) -> LeakCheck:
    """Compare a test set with what its runs were exposed to; a record that is damaged or missing is an ERROR.

    Args:
        test_sets: what each run plays: the same units, as the run's own preprocessing shows them.
        leaks: `refuse`: an ERROR; `drop`: PASS, and `excluded`; `report`: PASS with a note.
        near: how many near-duplicates count as leaks; default: the suite's default.
    """
    exposures: list[Exposure] = []
    for test_set, run in zip(test_sets, runs, strict=True):
        blank = LeakCheck("ERROR", "", leaks, test_set.unit, len(test_set))
        try:
            record = read_exposure_of(run)
        except InputError as error:
            return replace(blank, detail=str(error))
        if record is None:
            reason = f"{run.path} has no {exposure.FILE}, the record of what it was trained on"
            if leaks == "report":
                return replace(blank, decision="NOT_CHECKED", detail=reason)
            advice = "train again, or set `leaks: report` in the suite to judge it without this check"
            return replace(blank, detail=f"{reason}: {advice}")
        if (misfit := _not_of_this_run(record, run, test_set)) is not None:
            return replace(blank, detail=f"{run.path / exposure.FILE} {misfit}: train again")
        exposures.append(record)
    return check_exposures(test_sets, exposures, leaks=leaks, near=near)


def _not_of_this_run(record: Exposure, run: Run, test_set: TestSet) -> str | None:
    """Why a record does not fit the test set or what the run counted, after the name of its file; None if it fits.

    Every episode that ended in training began, so at least as many first observations are on record. What a run's
    parents used is on record too.
    """
    if record.cases != (test_set.unit == "case"):
        kind = "cases" if record.cases else "first observations"
        return f"is a record of {kind}, and the test set has {test_set.unit}s"
    parts = {"train": record.train, "validation": record.validation}
    if not record.has_views(test_set.views.shape[1]):
        return f"is of {test_set.unit}s with another number of fields"
    if record.unrecorded < 0 or (record.cases and record.unrecorded and not record.is_full):
        return f"says that {record.unrecorded:,} cases or episodes are not on record, though there is room for them"
    on_record = {name: int(part.counts.sum()) for name, part in parts.items()}
    if not record.cases:
        recorded, episodes = on_record["train"] + record.unrecorded, run.info.get("episodes")
        if not isinstance(episodes, int) or isinstance(episodes, bool) or episodes < 0:
            return "cannot be checked, since run.json does not count the episodes of training"
        if recorded < episodes:
            return f"records {recorded:,} episodes of training, and run.json counts {episodes:,}"
        return None
    counted = run.info.get("cases")
    counted = counted if isinstance(counted, Mapping) else {}
    for name, recorded in on_record.items():
        cases = counted.get(name)
        if not isinstance(cases, int) or isinstance(cases, bool):
            return f"cannot be checked, since run.json does not count the cases of {name}"
        more = recorded > cases and not isinstance(run.info.get("init"), Mapping)
        if recorded + record.unrecorded < cases or more:
            return f"records {recorded:,} cases of {name}, and run.json counts {cases:,}"
    return None


def check_exposures(
    test_sets: Sequence[TestSet],
    exposures: Sequence[Exposure],
    *,
    leaks: Leaks = "refuse",
    near: NearDuplicatesSpec | None = None,
) -> LeakCheck:
    """The pure part of `check_runs`: a unit is leaked when any of the runs was exposed to it."""
    near = near or NearDuplicatesSpec.model_validate({})
    unit, total = test_sets[0].unit, len(test_sets[0])
    in_train, in_validation, raw, same_seed, leaked, close = (np.zeros(total, bool) for _ in range(6))
    finite = False
    different = _different(test_sets, exposures)
    for test_set, record in different:
        train, validation = (_is_among(test_set, part) for part in (record.train, record.validation))
        in_train |= train
        in_validation |= validation
        for part in (record.train, record.validation):
            raw |= contains(part.exact, test_set.exact)
        if test_set.cases is not None:
            close |= is_near_duplicate(test_set, record, near.rounding)
        elif unit == "episode" and len(test_set):
            close |= _starts_nearly_alike(test_set, record)
        if len(test_set.seeds):
            same_seed |= np.isin(test_set.seeds, record.train_seeds) | np.isin(test_set.seeds, record.validation_seeds)
        if unit == "episode" and explained_by_chance(
            train | validation, record.train.merge(record.validation).counts, test_set.exact
        ):
            finite = True
        else:
            leaked |= train | validation
    exact = in_train | in_validation
    close &= ~exact
    records = [record for _, record in different]
    near_leaks = test_sets[0].cases is not None and more_than_chance(
        test_sets[0], close, ~exact, records, near.rounding, near.share
    )
    near_unknown = near_leaks and not tells_apart(test_sets[0], records, near.rounding)
    near_leaks &= not near_unknown
    if near_leaks:
        leaked |= close
    validation_share = share_in_validation(test_sets[0], records[0], near.rounding) if near_leaks else None
    leaked |= same_seed
    first = np.flatnonzero(leaked)[:EXAMPLES]
    examples = first if unit == "case" else test_sets[0].seeds[first]
    check = LeakCheck(
        decision="ERROR" if leaked.any() and (leaks == "refuse" or (leaks == "drop" and leaked.all())) else "PASS",
        detail="",
        leaks=leaks,
        unit=unit,
        total=total,
        leaked=int(leaked.sum()),
        exact=int(exact.sum()),
        in_train=int(in_train.sum()),
        in_validation=int(in_validation.sum()),
        preprocessed=int((exact & ~raw).sum()),
        near=int(close.sum()),
        near_share=near.share,
        near_leaks=near_leaks,
        near_unknown=near_unknown,
        near_in_validation=validation_share,
        same_seed=int(same_seed.sum()),
        finite=finite,
        examples=tuple(int(example) for example in examples),
        excluded=leaked if leaks == "drop" and leaked.any() else None,
    )
    return replace(check, detail=leak_sentence(check, sum(record.unrecorded for record in exposures)))


def _different(test_sets: Sequence[TestSet], exposures: Sequence[Exposure]) -> list[tuple[TestSet, Exposure]]:
    """Without the runs that play and used the same as another one: seeds of one config share their cases."""
    different: list[tuple[TestSet, Exposure]] = []
    for test_set, record in zip(test_sets, exposures, strict=True):
        if not record.cases or not any(
            test_set is other_set
            and np.array_equal(record.train.exact, other.train.exact)
            and np.array_equal(record.validation.exact, other.validation.exact)
            and np.array_equal(record.train.views, other.train.views)
            and np.array_equal(record.validation.views, other.validation.views)
            for other_set, other in different
        ):
            different.append((test_set, record))
    return different


def _is_among(test_set: TestSet, part: Fingerprints) -> np.ndarray:
    """Whether each unit is among those of a part, or is equal to one of them for the policy, bool `[G]`."""
    among = contains(part.exact, test_set.exact)
    if test_set.cases is not None and len(part):
        among |= contains(observed(part.views), observed(test_set.views))
    return among


def _starts_nearly_alike(test_set: TestSet, record: Exposure) -> np.ndarray:
    """Whether each first observation equals one on record when rounded, bool `[G]`."""
    parts = [part for part in (record.train, record.validation) if len(part)]
    near = [contains(part.views[:, 0], test_set.views[:, 0]) for part in parts]
    return np.logical_or.reduce([np.zeros(len(test_set), bool), *near])
