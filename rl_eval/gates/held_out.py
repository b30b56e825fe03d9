"""The held-out guard: nothing that a gate judges by may have taken part in training or selection.

How to call it, once a suite and place of data, before anything is played:

    gate = held_out.load_test_set(env, arena.seeds)                # the judged environment; resets, plays nothing
    found = held_out.guard(suite.name, gate, selection.runs, leaks=suite.spec.leaks)
    found.decision                                            # PASS or ERROR, and `found.detail` is one sentence
    if found.leave_out is not None:                           # leaks: drop
        if gate.unit == "case":
            kept = ~found.leave_out[episodes.outcome[domain.CASE]]  # [S] steps to keep, by case number
        else:
            seeds = np.asarray(arena.seeds)[~found.leave_out]       # [E] episodes to keep

It never raises over a run's files: a `seen.npz` that is damaged, or missing, is an ERROR with its reason.
`gate.fingerprint` names the held-out set in the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval import domains, exposure
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.exposure import Exposure, fingerprint_cases, fingerprint_observations, read_exposure
from rl_eval.formatting import percent
from rl_eval.run import Run

Leaks = Literal["refuse", "drop", "report"]
EXAMPLES = 5
COPIES = 32
# Repeats of start states that chance explains no better than this are taken for a leak.
UNLIKELY = 1e-3


@dataclass(frozen=True)
class TestSet:
    """G held-out units.

    Attributes:
        unit: `case`, numbered as in the test part, or `episode`, in the order of the seeds.
        exact, near: `[G]` uint64 fingerprints of the cases or first observations; see `rl_eval.exposure`.
        seeds: `[G]` int64 for episodes; empty for cases.
    """

    __test__ = False  # no test of pytest, whatever its name

    unit: Literal["case", "episode"]
    exact: np.ndarray = field(repr=False)
    near: np.ndarray = field(repr=False)
    seeds: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.exact)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the units and seeds: the same held-out set, whatever suite asks for it."""
        digest = hashlib.sha256(self.unit.encode())
        for array in (self.exact, self.seeds):
            digest.update(np.ascontiguousarray(array).tobytes() + b"\0")
        return digest.hexdigest()


@dataclass(frozen=True)
class HeldOut:
    """What the guard found.

    Attributes:
        detail: one sentence, with the notes.
        total: G; of these `exact` were seen as they are (`in_train`, `in_validation`: where), `near` others nearly so,
            `same_seed` have a seed of training or selection.
        finite: the environment has a finite set of start states, so that `exact` is chance and no leak.
        examples: case numbers, or seeds of episodes, of the first leaks.
        leave_out: bool `[G]`, what `leaks: drop` takes away; None where nothing is to be taken away.
    """

    suite: str
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
    leave_out: np.ndarray | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Everything but the mask, which is replaced by its count."""
        values = {name: value for name, value in vars(self).items() if name != "leave_out"}
        left_out = 0 if self.leave_out is None else int(self.leave_out.sum())
        return {**values, "examples": list(self.examples), "left_out": left_out}


def load_test_set(env: EnvConfig, seeds: Sequence[int], vector: VectorEnv | None = None) -> TestSet:
    """The held-out units of an environment.

    Args:
        seeds: one an episode; not used where the environment's data is a finite set of cases.
        vector: copies made with `autoreset=False` to reset instead of fresh ones.

    Raises:
        InputError: the environment or its data cannot be had.
    """
    if domains.domain(env.name).has_cases:
        return TestSet("case", *fingerprint_cases(env, "test"), np.empty(0, np.int64))
    env = domains.domain(env.name).in_one_process(env)  # a few hundred resets take less than starting a process
    copies = vector or domains.make(env, n_envs=max(1, min(COPIES, len(seeds))), part="test", autoreset=False)
    try:
        firsts = [
            _first_observations(copies, seeds[i : i + copies.num_envs]) for i in range(0, len(seeds), copies.num_envs)
        ]
    finally:
        if vector is None:
            copies.close()
    return TestSet("episode", *fingerprint_observations(np.concatenate(firsts)), np.asarray(seeds, np.int64))


def _first_observations(vector: VectorEnv, seeds: Sequence[int]) -> np.ndarray:
    """`[K, ...]` for K seeds, no more than there are copies."""
    mask = np.arange(vector.num_envs) < len(seeds)
    padded = [int(seed) for seed in seeds] + [0] * (vector.num_envs - len(seeds))
    obs, _ = vector.reset(seed=padded, options={"reset_mask": mask})  # type: ignore[arg-type]
    return np.array(obs)[: len(seeds)]


def guard(suite: str, gate: TestSet, runs: Sequence[Run], *, leaks: Leaks = "refuse") -> HeldOut:
    """Compare a test set with what its runs have seen.

    Args:
        suite: its name.
        runs: those that are judged; a policy from elsewhere has none, and then nothing can be known.
        leaks: `refuse`: an ERROR; `drop`: PASS, and `leave_out`; `report`: PASS with a note.
    """
    blank = HeldOut(suite, "PASS", "", leaks, gate.unit, len(gate))
    if not runs:
        return _with(blank, detail="not checked: the policy comes from elsewhere, so what it has seen is not known")
    known: list[Exposure] = []
    for run in runs:
        try:
            record = read_exposure(run.path)
        except InputError as error:
            return _with(blank, decision="ERROR", detail=str(error))
        if record is None:
            reason = f"{run.path} has no {exposure.FILE}, which says what it has seen"
            if leaks == "report":
                return _with(blank, detail=f"not checked: {reason}")
            advice = "train again, or say `leaks: report` in the suite to judge it unchecked"
            return _with(blank, decision="ERROR", detail=f"{reason}: {advice}")
        if record.cases != (gate.unit == "case"):
            other = "cases" if record.cases else "first observations"
            reason = f"{run.path / exposure.FILE} is a record of {other}, and the gate has {gate.unit}s: train again"
            return _with(blank, decision="ERROR", detail=reason)
        known.append(record)
    return compare(suite, gate, known, leaks=leaks)


def compare(suite: str, gate: TestSet, known: Sequence[Exposure], *, leaks: Leaks = "refuse") -> HeldOut:
    """The pure part of `guard`: a unit is leaked when any of the runs has seen it."""
    nowhere = np.zeros(len(gate), bool)
    in_train, in_validation, near, same_seed, leaked = (nowhere.copy() for _ in range(5))
    finite = False
    for one in known:
        train, validation = np.isin(gate.exact, one.train.exact), np.isin(gate.exact, one.validation.exact)
        in_train |= train
        in_validation |= validation
        near |= np.isin(gate.near, one.train.near) | np.isin(gate.near, one.validation.near)
        if len(gate.seeds):
            same_seed |= np.isin(gate.seeds, one.train_seeds) | np.isin(gate.seeds, one.validation_seeds)
        starts = one.train.merge(one.validation)
        if gate.unit == "episode" and explained_by_chance(train | validation, starts.counts, gate.exact):
            finite = True
        else:
            leaked |= train | validation
    seen_before = in_train | in_validation
    leaked |= same_seed
    places = np.flatnonzero(leaked)[:EXAMPLES]
    examples = places if gate.unit == "case" else gate.seeds[places]
    found = HeldOut(
        suite=suite,
        decision="ERROR" if leaked.any() and (leaks == "refuse" or (leaks == "drop" and leaked.all())) else "PASS",
        detail="",
        leaks=leaks,
        unit=gate.unit,
        total=len(gate),
        exact=int(seen_before.sum()),
        in_train=int(in_train.sum()),
        in_validation=int(in_validation.sum()),
        near=int((near & ~seen_before).sum()),
        same_seed=int(same_seed.sum()),
        finite=finite,
        examples=tuple(int(example) for example in examples),
        leave_out=leaked if leaks == "drop" and leaked.any() else None,
    )
    return _with(found, detail=_sentence(found, int(leaked.sum()), sum(one.unrecorded for one in known)))


def explained_by_chance(again: np.ndarray, times: np.ndarray, gate: np.ndarray) -> bool:
    """Whether gate episodes begin where training did because there are only so many start states.

    If both draw from one distribution, a new episode begins where one of T earlier ones did with a probability
    that Turing's formula estimates from those T alone: 1 - (starts seen once) / T (Good 1953). Where start states
    never repeat it is 0, so any repeat is a leak. Far more repeats than it foretells are leaks as well; so are far
    fewer, since training then drew from a narrower set than the gate, to which the repeats belong.

    Args:
        again: bool `[G]`, which gate episodes begin where one of training or selection did.
        times: `[U]` how often each start was seen there.
        gate: `[G]` fingerprints of the gate's own starts.
    """
    count, drawn, total = int(again.sum()), int(times.sum()), len(again)
    if count == 0 or drawn == 0:
        return False
    once = int((times == 1).sum())
    _, of_gate = np.unique(gate, return_counts=True)
    likely = max(1.0 - once / drawn, 1.0 - int((of_gate == 1).sum()) / total)
    if likely == 0.0:
        return False
    # the estimate itself is uncertain, by about two standard deviations of the count it rests on
    at_least = max(0.0, 1.0 - (once + 2.0 * once**0.5 + 3.0) / drawn)
    too_many = binomial_tail(total, likely, count) < UNLIKELY
    too_few = binomial_tail(total, 1.0 - at_least, total - count) < UNLIKELY
    return not (too_many or too_few)


def binomial_tail(total: int, probability: float, count: int) -> float:
    """P(X >= count) of a binomial X."""
    if count <= 0 or probability >= 1.0:
        return 1.0
    if probability <= 0.0:
        return 0.0
    i = np.arange(1, total + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((total - i + 1) / i))])
    wins = np.arange(total + 1)
    logs = ways + wins * np.log(probability) + (total - wins) * np.log1p(-probability)
    return float(min(1.0, np.exp(logs[count:]).sum()))


def _with(found: HeldOut, **changes: Any) -> HeldOut:
    return HeldOut(**{**vars(found), **changes})


def _sentence(found: HeldOut, leaked: int, unrecorded: int) -> str:
    one = found.unit
    parts = []
    if leaked:
        share = f"{leaked:,} of {found.total:,} gate {one}s ({percent(leaked / found.total)})"
        if one == "case":
            where = f"{found.in_train:,} in train, {found.in_validation:,} in validation"
            what = f"were seen before, all features equal ({where}"
        else:
            what = f"were seen before ({found.exact:,} by their first observation, {found.same_seed:,} by their seed"
        names = ", ".join(str(example) for example in found.examples)
        more = ", …" if leaked > len(found.examples) else ""
        parts.append(f"{share} {what}; {'seeds' if one == 'episode' else 'cases'} {names}{more})")
    elif not found.finite:
        parts.append(f"none of {found.total:,} gate {one}s was seen before")
    if found.finite:
        parts.append(
            f"the environment has a finite set of start states: {found.exact:,} of {found.total:,} gate episodes begin "
            "where one of training or selection did, as chance alone would have it"
        )
    if found.near:
        parts.append(f"{found.near:,} more {'are' if found.near > 1 else 'is'} equal to one to about three digits")
    if unrecorded:
        parts.append(f"{unrecorded:,} that were seen are not on record")
    said = "; ".join(parts)
    if found.decision == "ERROR" and found.leaks == "drop":
        return f"{said}: nothing is left to judge by; hold out other {_others(one)}"
    if found.decision == "ERROR":
        return f"{said}: hold out other {_others(one)}, or say `leaks: drop` to leave them out or `report` to keep them"
    if found.leave_out is not None:
        return f"{said}: left out"
    return f"{said}: kept, as `leaks: report` says" if leaked else said


def _others(unit: str) -> str:
    return "data" if unit == "case" else "episodes with `gate_seed`"
