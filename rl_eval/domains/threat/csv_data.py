"""`env.data=csv`: read any CSV or Parquet file of flows; the label column is named, types are inferred."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from rl_eval.domains.threat.config import Config
from rl_eval.domains.threat.flow_table import Table
from rl_eval.domains.threat.table_files import Sheet, existing_file, read_csv, read_parquet
from rl_eval.errors import InputError

BENIGN = ("0", "false", "no", "benign", "normal", "legitimate", "background")
THREAT = ("1", "true", "yes", "threat", "attack", "malicious", "malware", "anomaly", "anomalous")
# A column with a smaller share of numbers is a category; with a larger one, other cells are errors.
NUMERIC_SHARE = 0.5


def files(config: Config) -> tuple[Path, ...]:
    """The file, and that of the test part where there is one."""
    if not config.path:
        raise InputError(
            "env.data=csv needs env.path and env.label: give a CSV or Parquet file and the name of its label "
            "column, such as env.path=flows.csv env.label=is_attack"
        )
    path = existing_file(Path(config.path))
    if config.test_path is None:
        return (path,)
    test = existing_file(Path(config.test_path), "env.test_path")
    if test.samefile(path):
        raise InputError(f"env.test_path={test} is the file of env.path: leave it out to hold out a share of that file")
    return path, test


def read(config: Config) -> tuple[Table, Table | None]:
    """The flows of the file, and those of the test file where there is one."""
    path, *test_paths = files(config)
    sheet = _sheet(path)
    if not config.label:
        raise InputError(
            f"env.data=csv needs env.label, the name of the label column; {path} has {', '.join(sheet.frame.columns)}"
        )
    for name in (*config.ignore, *config.categorical):
        sheet.column(name, "env.ignore or env.categorical")
    if config.time_column is not None:
        sheet.column(config.time_column, "env.time_column")
    no_features = {config.label, config.category or config.label, config.time_column, *config.ignore}
    features = [name for name in sheet.frame.columns if name not in no_features]
    if not features:
        raise InputError(f"{path} has no columns but the label: at least one feature is needed")
    table = _table(sheet, features, set(config.categorical), config)
    if config.time_column is not None:
        table = replace(table, time=sheet.times(config.time_column))
    if not test_paths:
        return table, None
    sheet = _sheet(test_paths[0])
    if missing := [name for name in features if name not in sheet.frame.columns]:
        raise InputError(
            f"{sheet.path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}, which {path} has: "
            "add them, or leave them out with env.ignore"
        )
    return table, _table(sheet, features, set(table.categorical_names), config, infer=False)


def _sheet(path: Path) -> Sheet:
    return read_parquet(path) if path.suffix.lower() in {".parquet", ".pq"} else read_csv(path)


def _table(
    sheet: Sheet, features: Sequence[str], categorical: Collection[str], config: Config, *, infer: bool = True
) -> Table:
    benign = BENIGN if config.benign_labels is None else config.benign_labels
    threat = THREAT if config.threat_labels is None else config.threat_labels
    assert config.label is not None
    label = binary_label(sheet, config.label, benign, threat)
    category = config.category or config.label
    sheet.column(category, "env.category")
    names, codes = sheet.levels(category)
    return sheet_table(sheet, features, categorical, label, names, codes, infer=infer)


def binary_label(
    sheet: Sheet, column: str, benign: Sequence[str], threat: Sequence[str], *, fixed: bool = False
) -> np.ndarray:
    """`[R]` int8, 1 for a threat; letter case does not matter.

    Args:
        benign, threat: the values of each class; `*` among the threats means any other value.
        fixed: whether the format defines the values, so that a config cannot change them.

    Raises:
        InputError: no such column, or a label value that is neither benign nor a threat.
    """
    sheet.column(column, "env.label")
    names, codes = sheet.levels(column)
    zero, one = ({value.lower() for value in values} for values in (benign, threat))
    # A float column has 0.0 and 1.0 for 0 and 1.
    keys = [name.lower().removesuffix(".0") for name in names]
    value = [0 if key in zero else 1 if key in one or ("*" in one and key) else -1 for key in keys]
    label = np.array(value, np.int8)[codes]
    unknown = np.flatnonzero(label < 0)
    if len(unknown):
        label_value = names[codes[unknown[0]]]
        advice = "" if fixed else (
            "; set env.benign_labels and env.threat_labels (threat_labels=['*'] takes any other value)"
        )  # fmt: skip
        raise InputError(
            f"{sheet.at(unknown[0])}: the label {label_value!r} in column {column!r} is unknown: benign is "
            f"{'/'.join(benign)}, threat is {'/'.join(threat)}{advice}"
        )
    return label


def sheet_table(
    sheet: Sheet,
    features: Sequence[str],
    categorical: Collection[str],
    label: np.ndarray,
    category_names: tuple[str, ...],
    category: np.ndarray,
    *,
    infer: bool = True,
) -> Table:
    """The flows of a sheet, each feature numeric or categorical.

    Args:
        categorical: features that are always categories.
        infer: whether to infer the type of the others from their cells; else they are numbers.
    """
    kinds = {name: name not in categorical and (not infer or _looks_numeric(sheet, name)) for name in features}
    numeric = tuple(name for name in features if kinds[name])
    texts = tuple(name for name in features if not kinds[name])
    columns = [sheet.levels(name) for name in texts]
    rows = len(sheet.frame)
    return Table(
        numeric_names=numeric,
        numeric=np.stack([sheet.numbers(n) for n in numeric], axis=1) if numeric else np.zeros((rows, 0)),
        categorical_names=texts,
        levels=tuple(levels for levels, _ in columns),
        codes=np.stack([codes for _, codes in columns], axis=1) if texts else np.zeros((rows, 0), np.int32),
        label=label,
        category_names=category_names,
        category=category.astype(np.int16),
    )


def _looks_numeric(sheet: Sheet, name: str) -> bool:
    series = sheet.frame[name]
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        return True
    if series.dtype == pl.String:
        filled = series.drop_nulls().str.strip_chars().replace("", None).drop_nulls()
        numbers = filled.cast(pl.Float64, strict=False).is_not_null().sum()
        return bool(len(filled)) and numbers >= NUMERIC_SHARE * len(filled)
    if series.dtype in (pl.Categorical, pl.Enum):
        return False
    raise InputError(
        f"{sheet.path}: the column {name!r} holds {series.dtype}, and numbers, booleans and text are read: "
        f"add it to env.ignore"
    )
