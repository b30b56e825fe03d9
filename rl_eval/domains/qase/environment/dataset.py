"""From cases and their history to three parts, cycle by cycle: read or generate, split, withhold; once a process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.domains.qase.config import Config, milliseconds
from rl_eval.domains.qase.environment.features import (
    FEATURES,
    case_features,
    constant_features,
    default_rates,
    history_features,
)
from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, ExecutionLog
from rl_eval.domains.qase.model.project import Case, Project
from rl_eval.errors import InputError
from rl_eval.hashing import hash_columns, hash_text, mix64

PARTS = ("train", "validation", "test")
_DATA_KEYS = {
    "data",
    "path",
    "results",
    "cycles",
    "data_seed",
    "validation_share",
    "test_share",
    "unseen_share",
    "min_cases",
}


@dataclass(frozen=True)
class CycleSet:
    """E test cycles, R executions in all, those of a cycle one after the other as the source lists them.

    Attributes:
        features: `[R, 64]` float32, what was known before the cycle began.
        verdict: `[R]` int8, 1 failed, 0 passed.
        duration_ms: `[R]` float64; where none was recorded, the median of those that were.
        case: `[R]` int32, index into the project's cases.
        unseen: `[R]` bool, the case stands in no training cycle.
        security: `[R]` bool, type security or behaviour negative.
        hashes: `[R]` uint64 of what the source says of the execution; equal where it says the same.
        start: `[E + 1]` where each cycle begins.
        names: of the cycles.
    """

    features: np.ndarray = field(repr=False)
    verdict: np.ndarray = field(repr=False)
    duration_ms: np.ndarray = field(repr=False)
    case: np.ndarray = field(repr=False)
    unseen: np.ndarray = field(repr=False)
    security: np.ndarray = field(repr=False)
    hashes: np.ndarray = field(repr=False)
    start: np.ndarray = field(repr=False)
    names: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Cases in each cycle, `[E]`."""
        return np.diff(self.start)

    def fingerprint(self) -> str:
        """SHA-256 of the executions and how they fall into cycles."""
        digest = hashlib.sha256()
        for array in (self.hashes, self.start, self.features):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """The three parts, what they were cut from, and what was left out.

    Attributes:
        withheld: `[C]` bool, the cases that were kept out of training.
        counts: cycles by what became of them: `all`, `without failures`, `too few cases`, and the parts.
        constant: features that are the same in every execution of the training part.
        default_rates: feature -> share of the training part's executions in which it says nothing.
    """

    parts: dict[str, CycleSet]
    project: Project = field(repr=False)
    withheld: np.ndarray = field(repr=False)
    counts: dict[str, int]
    constant: tuple[str, ...]
    default_rates: dict[str, float] = field(repr=False)


def load_dataset(config: Config) -> Dataset:
    """The data a config names; cached by what the data depends on and by the files' size and time.

    Raises:
        InputError: no path, no file, a file that cannot be used, or too few cycles with failures.
    """
    return _load_dataset(*cache_key(config))


def cache_key(config: Config) -> tuple[str, tuple]:
    """What the data depends on: the source, how it is cut, and the files' stamps."""
    return config.model_dump_json(include=_DATA_KEYS), _stamps(config)


def _stamps(config: Config) -> tuple:
    if config.data == "synthetic":
        return ()
    from rl_eval.domains.qase.environment_variables import data_path

    stamps: list[tuple] = []
    for given in (data_path(config.path), config.results):
        if given is None or given.startswith("rest:"):
            stamps.append((given,))
            continue
        path = Path(given)
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        told = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
        stamps.append((given, hash(tuple(told))))
    return tuple(stamps)


@lru_cache(maxsize=4)
def _load_dataset(source: str, stamps: tuple) -> Dataset:
    config = Config.model_validate_json(source)
    return split_cycles(*_read_source(config), config)


def _read_source(config: Config) -> tuple[Project, ExecutionLog]:
    if config.data == "synthetic":
        from rl_eval.domains.qase.synthetic.history import generate

        made = generate(config.cycles, config.data_seed)
        return made.project, made.log
    from rl_eval.domains.qase.environment_variables import data_path
    from rl_eval.domains.qase.formats.load import load as read

    path = data_path(config.path)
    found = read(path, config.results)
    if found.project is None or found.log is None:
        missing = "results: give env.results" if found.log is None else "cases: give an export as env.path"
        raise InputError(f"{path} holds no {missing}, or see `rl-eval qase inspect {path}`")
    return found.project, found.log


def split_cycles(project: Project, log: ExecutionLog, config: Config) -> Dataset:
    """Judged cycles in the order of time: the latest to `test`, those before to `validation`, the rest to `train`.

    A cycle is judged when it has a failure and at least `min_cases` cases with a verdict. From training, a share of
    all cases is withheld, chosen by their content, so that copies of a case stay on one side.

    Raises:
        InputError: too few cycles.
    """
    content = content_hashes(project)
    withheld = _uniform_by_content(content, config.data_seed) < config.unseen_share
    known = np.flatnonzero(log.verdict != NO_VERDICT)
    counted = np.bincount(log.cycle[known], minlength=len(log.cycles))
    failed = np.bincount(log.cycle[known], weights=log.verdict[known] == FAIL, minlength=len(log.cycles))
    judged = np.flatnonzero((failed > 0) & (counted >= config.min_cases))
    test, validation = round(len(judged) * config.test_share), round(len(judged) * config.validation_share)
    learnt = len(judged) - test - validation
    if min(test, validation, learnt) < 1:
        raise InputError(
            f"{len(judged)} of {len(log.cycles)} cycles have a failure and at least {config.min_cases} cases, which is "
            "too few to train, validate and test: give more results, or lower env.min_cases"
        )
    chosen = {
        "train": judged[:learnt],
        "validation": judged[learnt : learnt + validation],
        "test": judged[learnt + validation :],
    }
    features = np.concatenate([case_features(project)[log.case], history_features(project, log)], axis=1)
    build = _Builder(project, log, features, content)
    train = build.part(known[~withheld[log.case[known]]], chosen["train"], None)
    if not len(train):
        raise InputError(
            f"no training cycle holds a failure among the cases that are not withheld: lower env.unseen_share="
            f"{config.unseen_share:g}, or give more results"
        )
    parts = {"train": train, **{name: build.part(known, chosen[name], train) for name in ("validation", "test")}}
    rates = default_rates(train.features)
    return Dataset(
        parts=parts,
        project=project,
        withheld=withheld,
        counts={
            "all": len(log.cycles),
            "without failures": int((failed == 0).sum()),
            "too few cases": int(((failed > 0) & (counted < config.min_cases)).sum()),
            **{name: len(part) for name, part in parts.items()},
        },
        constant=constant_features(train.features),
        default_rates={name: float(rate) for name, rate in zip(FEATURES, rates, strict=True)},
    )


@dataclass(frozen=True)
class _Builder:
    project: Project
    log: ExecutionLog
    features: np.ndarray
    content: np.ndarray

    def part(self, rows: np.ndarray, cycles: np.ndarray, train: CycleSet | None) -> CycleSet:
        """The executions among `rows` of some cycles that have a failure; `train` tells which cases were seen."""
        log = self.log
        rows = rows[np.isin(log.cycle[rows], cycles)]
        failing = np.unique(log.cycle[rows[log.verdict[rows] == FAIL]])
        rows = rows[np.isin(log.cycle[rows], failing)]
        known = log.duration_ms[~np.isnan(log.duration_ms)]
        duration = np.nan_to_num(log.duration_ms[rows], nan=float(np.median(known)) if len(known) else 1.0)
        seen = self.content[train.case] if train is not None else self.content[log.case[rows]]
        return CycleSet(
            features=self.features[rows],
            verdict=log.verdict[rows],
            duration_ms=duration,
            case=log.case[rows],
            unseen=~np.isin(self.content[log.case[rows]], seen),
            security=is_security(self.project)[log.case[rows]],
            hashes=execution_hashes(log, rows, self.content),
            start=np.concatenate([np.searchsorted(log.cycle[rows], failing), [len(rows)]]).astype(np.int64),
            names=tuple(log.cycles[cycle] for cycle in failing),
        )


def is_security(project: Project) -> np.ndarray:
    """Which cases are of type security or behaviour negative, bool `[C]`."""
    return np.array([case.type == "security" or case.behavior == "negative" for case in project.cases], bool)


def content_hashes(project: Project) -> np.ndarray:
    """`content_hash` of every case, uint64 `[C]`."""
    return np.array([content_hash(case) for case in project.cases], np.uint64)


def content_hash(case: Case) -> int:
    """64 bits of everything a case says, but not of its number and place."""
    said = case.model_dump_json(exclude={"id", "suite_id", "milestone", "is_flaky", "is_muted"})
    return hash_text(said)


def _uniform_by_content(content: np.ndarray, seed: int) -> np.ndarray:
    """A number from [0, 1) for each case, by its content and the seed, float64 `[C]`."""
    return mix64(content ^ mix64(np.uint64(seed))) / 2.0**64


def execution_hashes(log: ExecutionLog, rows: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Equal where the same case ran at the same time, for as long, with the same verdict: a run imported twice.

    A source without times tells executions apart by their cycle alone.
    """
    started = log.started[rows]
    when = np.where(np.isnan(started), -1.0 - log.cycle[rows], started)
    columns = [
        content[log.case[rows]],
        when.view(np.uint64),
        np.nan_to_num(log.duration_ms[rows], nan=-1.0).view(np.uint64),
        log.verdict[rows].astype(np.uint64),
    ]
    return hash_columns(columns, len(rows))


def budgets_ms(part: CycleSet, budget: float | str | None) -> np.ndarray:
    """The time each cycle may take, float64 `[E]`: a share of its own full time, or the same time for all."""
    full = np.add.reduceat(part.duration_ms, part.start[:-1])
    if budget is None:
        return np.full(len(part), np.inf)
    return np.full(len(part), milliseconds(budget)) if isinstance(budget, str) else full * budget


def preprocessing(dataset: Dataset) -> dict[str, Any]:
    """What the observations are, as JSON, to be saved with a run."""
    return {
        "features": list(FEATURES),
        "constant": list(dataset.constant),
        "default_rates": {name: round(rate, 4) for name, rate in dataset.default_rates.items()},
        "cycles": dataset.counts,
        "withheld_cases": int(dataset.withheld.sum()),
    }
