"""`env.data=csv`: read your own file of flows; the label column is named, what the others are is inferred."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rl_eval.domains.threat.columns.fields import order_of_time, table_of
from rl_eval.domains.threat.columns.reading import Choices, read_columns
from rl_eval.domains.threat.config import Config
from rl_eval.domains.threat.flow_table import Reading, Table
from rl_eval.domains.threat.formats.eve import ALERT, events_of, only_events, with_alerts
from rl_eval.domains.threat.formats.json_lines import EVENT
from rl_eval.domains.threat.formats.limits import check_columns
from rl_eval.domains.threat.formats.sheet import Sheet
from rl_eval.domains.threat.formats.table_reader import read_sheet
from rl_eval.domains.threat.labels import BENIGN, THREAT, binary_label
from rl_eval.errors import InputError

MAX_CATEGORIES = 32_767  # of attacks, as int16


def files(config: Config) -> tuple[Path, ...]:
    """The file, and that of the test part where there is one."""
    if not config.path:
        raise InputError(
            "env.data=csv needs env.path and env.label: give a file of flows and the name of its label column, such as "
            "env.path=flows.csv env.label=is_attack; `rl-eval threat inspect FILE` shows what is in one"
        )
    path = existing_file(Path(config.path))
    if config.test_path is None:
        return (path,)
    test = existing_file(Path(config.test_path), "env.test_path")
    if test.samefile(path):
        raise InputError(f"env.test_path={test} is the file of env.path: leave it out to hold out a share of that file")
    return path, test


def existing_file(path: Path, key: str = "env.path") -> Path:
    """The path, if it is a file.

    Raises:
        InputError: a missing file, or a folder.
    """
    if path.is_file():
        return path
    what = "is a folder, and a file is needed" if path.is_dir() else "does not exist"
    seen_from = "" if path.is_absolute() else f", relative to {Path.cwd()}"
    raise InputError(f"{path} {what}: set {key} to a file{seen_from}")


def read(config: Config) -> tuple[Table, Table | None]:
    """The flows of the file, and those of the test file where there is one."""
    path, *test_paths = files(config)
    sheet, events = flows_of(path, config.label)
    if not config.label:
        raise InputError(
            f"env.data=csv needs env.label, the name of the label column; {path} has {', '.join(sheet.frame.columns)}"
        )
    reading = reading_of(sheet, config, events)
    table = _table(sheet, reading, config)
    if config.time_column is not None:
        table = replace(table, time=order_of_time(sheet, config.time_column))
    if not test_paths:
        return table, None
    sheet, _ = flows_of(test_paths[0], config.label, events)
    if missing := [name for name in reading.columns if name not in sheet.frame.columns]:
        raise InputError(
            f"{sheet.path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}, which {path} has: "
            "add them, or leave them out with env.ignore"
        )
    return table, _table(sheet, reading, config)


def flows_of(path: Path, label: str | None, events: tuple[str, ...] | None = None) -> tuple[Sheet, tuple[str, ...]]:
    """The rows of a file that are flows to decide on, and of EVE the types of events that they are.

    Args:
        events: those types, where another file has decided.
    """
    sheet = read_sheet(path)
    if not sheet.layout.format.endswith("EVE JSON") or EVENT not in sheet.frame.columns:
        check_columns(path, sheet.frame.width)
        return sheet, ()
    sheet = with_alerts(sheet)
    events = events_of(sheet, label) if events is None else events
    sheet = only_events(sheet, events)
    check_columns(path, sheet.frame.width)
    return sheet, events


def reading_of(sheet: Sheet, config: Config, events: tuple[str, ...]) -> Reading:
    """What each column is.

    Raises:
        InputError: a key names a column that is not there, or nothing is a feature.
    """
    for key in ("ignore", "categorical", "times"):
        for name in getattr(config, key):
            sheet.column(name, f"env.{key}")
    if config.time_column is not None:
        sheet.column(config.time_column, "env.time_column")
    if config.category is not None:
        sheet.column(config.category, "env.category")
    no_features = {config.label, category_column(sheet, config), config.time_column, *config.ignore}
    features = [name for name in sheet.frame.columns if name not in no_features]
    choices = Choices(
        categorical=config.categorical,
        times=config.times,
        missing_allowed=config.missing != "error",
        label=config.label,
        earlier=config.preprocessing,
    )
    return read_columns(sheet, features, choices, events)


def category_column(sheet: Sheet, config: Config) -> str | None:
    """The column of the attack type: as the config says, what an alert says of itself, or the label."""
    of_alerts = "alert.category"
    if config.category is None and config.label == ALERT and of_alerts in sheet.frame.columns:
        return of_alerts
    return config.category or config.label


def _table(sheet: Sheet, reading: Reading, config: Config) -> Table:
    benign = BENIGN if config.benign_labels is None else config.benign_labels
    threat = THREAT if config.threat_labels is None else config.threat_labels
    assert config.label is not None
    label = binary_label(sheet, config.label, benign, threat)
    category = category_column(sheet, config)
    assert category is not None  # since there is a label
    names, codes = sheet.levels(category)
    if len(names) > MAX_CATEGORIES:
        raise InputError(
            f"{sheet.path}: the column {category!r} has {len(names):,} different values, and at most "
            f"{MAX_CATEGORIES:,} types of attacks are taken: set env.category to a column with fewer"
        )
    return table_of(sheet, reading, label, names, codes, missing_allowed=config.missing != "error")
