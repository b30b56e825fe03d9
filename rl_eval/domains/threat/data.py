"""The data set of a config: read or generate, split into three disjoint parts, resample, preprocess; cached."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np

from rl_eval.domains.file_stamps import file_stamp
from rl_eval.domains.threat import preprocess, synthetic
from rl_eval.domains.threat.column_check import column_notes
from rl_eval.domains.threat.config import Config
from rl_eval.domains.threat.flow_table import Table, partition_hashes, row_hashes
from rl_eval.domains.threat.preprocess import Preprocessing
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.seeding import part_key

PARTS = ("train", "validation", "test")
_NOT_DATA = {"name", "shift", "campaigns", "alert_window", "flag_actions", "costs"}


@dataclass(frozen=True)
class FlowSet:
    """The R flows of one part, preprocessed.

    Attributes:
        features: `[R, D]` float32 observations.
        label: `[R]` int8, 1 for a threat.
        category: `[R]` int16, index into the data set's `category_names`.
        hashes: `[R]` uint64 hash of the raw fields; equal for equal fields.
        posterior: `[R]` float32 true P(threat | flow), if the distribution of the data is known.
    """

    features: np.ndarray = field(repr=False)
    label: np.ndarray = field(repr=False)
    category: np.ndarray = field(repr=False)
    hashes: np.ndarray = field(repr=False)
    posterior: np.ndarray | None = field(repr=False)

    def __len__(self) -> int:
        return len(self.label)

    def fingerprint(self) -> str:
        """SHA-256 of the flows and their labels, in any order: each flow is decided on its own."""
        order = np.lexsort((self.category, self.label, self.hashes))
        digest = hashlib.sha256()
        for array in (self.hashes, self.label, self.category):
            digest.update(np.ascontiguousarray(array[order]).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class FlowDataset:
    """The three parts and their preprocessing.

    Attributes:
        suspicions: sentences on columns of your own file that a policy should rather not see.
    """

    parts: dict[str, FlowSet]
    category_names: tuple[str, ...]
    preprocessing: Preprocessing
    suspicions: tuple[str, ...] = ()


def load_dataset(config: Config) -> FlowDataset:
    """The data set of a config; cached by the config keys it depends on and the stamps of the files.

    Raises:
        InputError: no path, no file, or an invalid file, with the line.
    """
    return _load_dataset(*cache_key(config))


def cache_key(config: Config) -> tuple[str, tuple]:
    """The key of the cache: the config without keys about decisions, and the stamps of the files."""
    return config.model_dump_json(exclude=_NOT_DATA), file_stamps(config)


def files(config: Config) -> tuple[Path, ...]:
    """The files that a config reads; none for the embedded data.

    Raises:
        InputError: no path, or a path that does not exist.
    """
    return () if config.data == "synthetic" else _source(config).files(config)


def _source(config: Config) -> ModuleType:
    """The module with `files(config)` and `read(config)` for this source."""
    module = {"nsl_kdd": "nsl_kdd", "unsw_nb15": "unsw_nb15", "csv": "csv_data"}[config.data]
    with imports_of_extra("threat", f"env.data={config.data}"):
        return importlib.import_module(f"rl_eval.domains.threat.{module}")  # imports polars, when a file is read


def file_stamps(config: Config) -> tuple[tuple, ...]:
    """The stamp of every file that a config reads."""
    return tuple(file_stamp(file) for file in files(config))


@lru_cache(maxsize=4)
def _load_dataset(config_json: str, stamps: tuple) -> FlowDataset:
    config = Config.model_validate_json(config_json)
    tables = _tables(config)
    if config.prevalence is not None and config.data != "synthetic":
        tables = {part: _resample(tables[part], config, part) for part in PARTS}
    for part, table in tables.items():
        _check_both_classes(table, part, config)
    fitted = config.preprocessing
    preprocessing = (
        preprocess.fit(tables["train"], missing=config.missing)
        if fitted is None
        else preprocess.apply_fitted(fitted, tables["train"])
    )
    return FlowDataset(
        {part: _flow_set(table, preprocessing, config) for part, table in tables.items()},
        tables["train"].category_names,
        preprocessing,
        column_notes(tables["train"]) if config.data == "csv" else (),
    )


def _tables(config: Config) -> dict[str, Table]:
    """The raw flows of each part, with the same category codes."""
    if config.data == "synthetic":
        share = threat_share(config)
        sizes = {"train": config.train_flows, "validation": config.validation_flows, "test": config.test_flows}
        return {part: synthetic.generate(sizes[part], share, config.data_seed, part, config.mix) for part in PARTS}
    learn, test = _source(config).read(config)
    if test is None:  # one file: the test part is a share of it
        held_out = _held_out(learn, config, "test", config.test_share)
        learn, test = learn.rows(~held_out), learn.rows(held_out)
    names = tuple(sorted({*learn.category_names, *test.category_names}))
    learn, test = learn.recode(names), test.recode(names)
    validation = _held_out(learn, config, "validation", config.validation_share)
    return {"train": learn.rows(~validation), "validation": learn.rows(validation), "test": test}


def threat_share(config: Config) -> float:
    """The share of threats in the embedded data."""
    return synthetic.THREAT_SHARE if config.prevalence is None else config.prevalence


def _held_out(table: Table, config: Config, part: str, share: float) -> np.ndarray:
    """Which flows are of a part, bool `[R]`: about `share` of them, by their content or the latest.

    Flows of one time are in one part, the later one.
    """
    if table.time is None:
        return _uniform_by_content(table, config, part) < share
    if not len(table):
        return np.zeros(0, bool)
    first = np.sort(table.time)[min(round(len(table) * (1.0 - share)), len(table) - 1)]
    return table.time >= first


def _uniform_by_content(table: Table, config: Config, part: str) -> np.ndarray:
    """Uniform numbers in [0, 1), `[R]`, from the fields of each flow, so that copies of a flow get the same number."""
    salt = hashlib.sha256(f"{part_key(part)}\0{config.data_seed}".encode()).digest()[:8]
    mixed = (partition_hashes(table) ^ np.uint64(int.from_bytes(salt, "little"))) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    return (mixed * np.uint64(0xD6E8FEB86659FD93) >> np.uint64(11)).astype(np.float64) / 2.0**53


def _resample(table: Table, config: Config, part: str) -> Table:
    """Drop flows of the class that is too frequent; no flow is duplicated."""
    rng = np.random.default_rng(np.random.SeedSequence([config.data_seed, *part_key(part).encode()]))
    threats, benign = np.flatnonzero(table.label == 1), np.flatnonzero(table.label == 0)
    assert config.prevalence is not None
    odds = config.prevalence / (1.0 - config.prevalence)
    keep_threats, keep_benign = len(threats), len(benign)
    if len(threats) > odds * len(benign):
        keep_threats = round(odds * len(benign))
    else:
        keep_benign = round(len(threats) / odds)
    samples = [rng.permutation(threats)[:keep_threats], rng.permutation(benign)[:keep_benign]]
    return table.rows(np.sort(np.concatenate(samples)))


def _check_both_classes(table: Table, part: str, config: Config) -> None:
    threats, total = int(table.label.sum()), len(table)
    if 0 < threats < total:
        return
    what = "no flows" if total == 0 else "only threats" if threats else "only benign flows"
    where = ", ".join(str(file) for file in files(config)) or "the synthetic data"
    raise InputError(
        f"{where}: the {part} part has {what}, and both classes are needed: give more rows, or change "
        "env.validation_share, env.test_share, env.prevalence or env.data_seed"
    )


def _flow_set(table: Table, preprocessing: Preprocessing, config: Config) -> FlowSet:
    posterior = None
    if config.data == "synthetic":
        share = threat_share(config)
        posterior = synthetic.posterior(table.numeric, table.codes, share, mix=config.mix).astype(np.float32)
    arrays = (preprocessing.transform(table), table.label, table.category, row_hashes(table))
    for array in (*arrays, *([] if posterior is None else [posterior])):
        array.setflags(write=False)  # shared by every environment of the process
    return FlowSet(*arrays, posterior)
