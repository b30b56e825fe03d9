"""The data set of test cycles: read or generate, split into parts by time, withhold cases; cached per process."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.domains.file_stamps import file_stamp
from rl_eval.domains.qase.config import Config, milliseconds
from rl_eval.domains.qase.environment.features import (
    FEATURES,
    case_features,
    constant_features,
    default_rates,
    history_features,
)
from rl_eval.domains.qase.environment_variables import data_path
from rl_eval.domains.qase.fixed_strings import UNHASHED_CASE_FIELDS
from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, ExecutionLog
from rl_eval.domains.qase.model.project import Case, Project
from rl_eval.domains.qase.synthetic.history import generate
from rl_eval.errors import InputError
from rl_eval.hashing import hash_columns, hash_text, mix64
from rl_eval.override_text import shell_word

PARTS = ("train", "validation", "test")
_DATA_KEYS = {
    "data",
    "path",
    "results",
    "cycles",
    "signal",
    "data_seed",
    "validation_share",
    "test_share",
    "unseen_share",
    "min_cases",
}


@dataclass(frozen=True)
class CycleSet:
    """E test cycles with R executions in total; the executions of a cycle are contiguous, in source order.

    Attributes:
        features: `[R, 64]` float32, from what was known before the cycle began.
        verdict: `[R]` int8, 1 failed, 0 passed.
        duration_ms: `[R]` float64; the median of all recorded durations if none was recorded.
        case: `[R]` int32, index into the project's cases.
        unseen: `[R]` bool, the case is in no training cycle.
        security: `[R]` bool, type security or behaviour negative.
        hashes: `[R]` uint64 of the execution as recorded; equal for equal executions.
        start: `[E + 1]` first execution of each cycle.
        names: names of the cycles.
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
        """SHA-256 of the executions and their division into cycles."""
        digest = hashlib.sha256()
        for array in (self.hashes, self.start, self.features):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class CycleDataset:
    """The three parts, the project they come from, and what was left out.

    Attributes:
        withheld: `[C]` bool, cases kept out of training.
        counts: number of cycles: `all`, `judged` (which the parts share), `without failures`, `too few cases`, and of
            each part.
        constant: features with one value in all training executions.
        default_rates: feature -> share of training executions where it has its default value.
    """

    parts: dict[str, CycleSet]
    project: Project = field(repr=False)
    withheld: np.ndarray = field(repr=False)
    counts: dict[str, int]
    constant: tuple[str, ...]
    default_rates: dict[str, float] = field(repr=False)


def load_dataset(config: Config) -> CycleDataset:
    """The data set of a config; cached by the config keys it depends on and the stamps of the files.

    Raises:
        InputError: no path, no file, an invalid file, or too few cycles with failures.
    """
    return _load_dataset(*cache_key(config))


def cache_key(config: Config) -> tuple[str, tuple]:
    """The key of the cache: source, split, and the stamps of the files."""
    return config.model_dump_json(include=_DATA_KEYS), _stamps(config)


def data_files(config: Config) -> tuple[Path, ...]:
    """The files of cases and results; empty for the embedded project, and where one of the two comes over HTTP.

    Raises:
        InputError: no path, or one that does not exist.
    """
    sources = [source for source in _sources(config) if source is not None]
    if any(source.startswith("rest:") for source in sources):
        return ()
    for source in sources:
        if not Path(source).exists():
            raise InputError(f"{source} does not exist: name a file or folder of cases and results")
    return tuple(dict.fromkeys(file for source in sources for file in _files(source)))


def _sources(config: Config) -> tuple[str | None, ...]:
    return () if config.data == "synthetic" else (data_path(config.path), config.results)


def _files(source: str) -> list[Path]:
    path = Path(source)
    return [file for file in (sorted(path.rglob("*")) if path.is_dir() else [path]) if file.is_file()]


def _stamps(config: Config) -> tuple:
    stamps: list[tuple] = []
    for source in _sources(config):
        if source is None or source.startswith("rest:"):
            stamps.append((source,))
            continue
        stamps.append((source, hash(tuple(file_stamp(file) for file in _files(source)))))
    return tuple(stamps)


@lru_cache(maxsize=4)
def _load_dataset(source: str, stamps: tuple) -> CycleDataset:
    config = Config.model_validate_json(source)
    return split_cycles(*_read_source(config), config)


def _read_source(config: Config) -> tuple[Project, ExecutionLog]:
    if config.data == "synthetic":
        synthetic = generate(config.cycles, config.data_seed, signal=config.signal)
        return synthetic.project, synthetic.log
    from rl_eval.domains.qase.formats.load import load as read

    path = data_path(config.path)
    imported = read(path, config.results)
    if imported.project is None or imported.log is None:
        missing = "results: give env.results" if imported.log is None else "cases: give an export as env.path"
        raise InputError(f"{path} has no {missing}, or see `rl-eval qase inspect {shell_word(path)}`")
    return imported.project, imported.log


def split_cycles(project: Project, log: ExecutionLog, config: Config) -> CycleDataset:
    """Split the judged cycles by time: the latest to `test`, those before to `validation`, the rest to `train`.

    A cycle is judged if it has a failure and at least `min_cases` cases with a verdict. A share of all cases is
    withheld from training, chosen by content, so that copies of a case stay on the same side.

    Raises:
        InputError: too few judged cycles.
    """
    content = content_hashes(project)
    withheld = _uniform_by_content(content, config.data_seed) < config.unseen_share
    with_verdict = np.flatnonzero(log.verdict != NO_VERDICT)
    counted = np.bincount(log.cycle[with_verdict], minlength=len(log.cycles))
    failed = np.bincount(log.cycle[with_verdict], weights=log.verdict[with_verdict] == FAIL, minlength=len(log.cycles))
    judged = np.flatnonzero((failed > 0) & (counted >= config.min_cases))
    test, validation = (number_of_cycles(len(judged), share) for share in (config.test_share, config.validation_share))
    train_count = len(judged) - test - validation
    if min(test, validation, train_count) < 1:
        raise InputError(
            f"{len(judged)} of {len(log.cycles)} cycles have a failure and at least {config.min_cases} cases, which is "
            "too few to train, validate and test: give more results, or lower env.min_cases"
        )
    cycles_of_part = {
        "train": judged[:train_count],
        "validation": judged[train_count : train_count + validation],
        "test": judged[train_count + validation :],
    }
    features = np.concatenate([case_features(project)[log.case], history_features(project, log)], axis=1)
    build = _Builder(project, log, features, content)
    train = build.part(with_verdict[~withheld[log.case[with_verdict]]], cycles_of_part["train"], None)
    if not len(train):
        raise InputError(
            f"no training cycle holds a failure among the cases that are not withheld: lower env.unseen_share="
            f"{config.unseen_share:g}, or give more results"
        )
    parts = {
        "train": train,
        **{name: build.part(with_verdict, cycles_of_part[name], train) for name in ("validation", "test")},
    }
    rates = default_rates(train.features)
    return CycleDataset(
        parts=parts,
        project=project,
        withheld=withheld,
        counts={
            "all": len(log.cycles),
            "judged": len(judged),
            "without failures": int((failed == 0).sum()),
            "too few cases": int(((failed > 0) & (counted < config.min_cases)).sum()),
            **{name: len(part) for name, part in parts.items()},
        },
        constant=constant_features(train.features),
        default_rates={name: float(rate) for name, rate in zip(FEATURES, rates, strict=True)},
    )


def earlier_splits(config: Config, count: int) -> tuple[Config, ...]:
    """Configs that split the same cycles earlier: the first trains on a third of the cycles before the test part.

    It trains on more than a tenth of all cycles, which a config must leave. The validation parts are the other cycles
    before the test part, in up to `count` blocks of about the same size.
    """
    counts = load_dataset(config).counts
    judged = counts["judged"]
    before_test = judged - number_of_cycles(judged, config.test_share)
    first = max(before_test // 3, judged // 10 + 1)
    edges = np.unique(np.linspace(first, before_test, min(count, before_test - first) + 1).round().astype(int)).tolist()
    return tuple(
        config.model_copy(update={"validation_share": (stop - start) / judged, "test_share": (judged - stop) / judged})
        for start, stop in itertools.pairwise(edges)
    )


def number_of_cycles(judged: int, share: float) -> int:
    """The cycles of a share of the judged ones, at least one."""
    return max(round(judged * share), 1)


@dataclass(frozen=True)
class _Builder:
    project: Project
    log: ExecutionLog
    features: np.ndarray
    content: np.ndarray

    def part(self, rows: np.ndarray, cycles: np.ndarray, train: CycleSet | None) -> CycleSet:
        """Executions among `rows` in the given cycles that have a failure; cases outside `train` are marked unseen."""
        log = self.log
        rows = rows[np.isin(log.cycle[rows], cycles)]
        failing = np.unique(log.cycle[rows[log.verdict[rows] == FAIL]])
        rows = rows[np.isin(log.cycle[rows], failing)]
        known_durations = log.duration_ms[~np.isnan(log.duration_ms)]
        duration = np.nan_to_num(
            log.duration_ms[rows], nan=float(np.median(known_durations)) if len(known_durations) else 1.0
        )
        train_content = self.content[train.case] if train is not None else self.content[log.case[rows]]
        return CycleSet(
            features=self.features[rows],
            verdict=log.verdict[rows],
            duration_ms=duration,
            case=log.case[rows],
            unseen=~np.isin(self.content[log.case[rows]], train_content),
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
    """64-bit hash of a case without its id, suite, milestone and flags."""
    text = case.model_dump_json(exclude=UNHASHED_CASE_FIELDS)
    return hash_text(text)


def _uniform_by_content(content: np.ndarray, seed: int) -> np.ndarray:
    """A uniform number in [0, 1) for each case, from its content and the seed, float64 `[C]`."""
    return mix64(content ^ mix64(np.uint64(seed))) / 2.0**64


def execution_hashes(log: ExecutionLog, rows: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Hashes that are equal for the same case, time, duration and verdict, so that a run imported twice is noticed.

    Without recorded times, executions differ by their cycle.
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
    """Time budget of each cycle, float64 `[E]`: a share of its full time, or the same time for all."""
    full = np.add.reduceat(part.duration_ms, part.start[:-1])
    if budget is None:
        return np.full(len(part), np.inf)
    return np.full(len(part), milliseconds(budget)) if isinstance(budget, str) else full * budget


def preprocessing(dataset: CycleDataset) -> dict[str, Any]:
    """Description of the observations as JSON, saved with a run."""
    return {
        "features": list(FEATURES),
        "constant": list(dataset.constant),
        "default_rates": {name: round(rate, 4) for name, rate in dataset.default_rates.items()},
        "cycles": dataset.counts,
        "withheld_cases": int(dataset.withheld.sum()),
    }
