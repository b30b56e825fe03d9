"""The config with which a file can be trained on: what a person says of it, completed by what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.domains.threat.columns.numbers import parse_numbers
from rl_eval.domains.threat.config import Config
from rl_eval.domains.threat.csv_data import existing_file, flows_of, reading_of
from rl_eval.domains.threat.flow_table import Reading
from rl_eval.domains.threat.formats.eve import ALERT
from rl_eval.domains.threat.formats.sheet import Sheet
from rl_eval.domains.threat.labels import ANY, BENIGN, THREAT, class_of, label_candidates
from rl_eval.errors import InputError
from rl_eval.formatting import brief

MANY_LABELS = 1_000


@dataclass(frozen=True)
class Proposal:
    """A file, and the config to train on it.

    Attributes:
        config: without a label where none is known.
        labels: value of the label -> its flows, and its class: 0 benign, 1 threat, None unknown; the most first.
        candidates: columns that may be the label.
        notes: sentences on what was completed.
    """

    sheet: Sheet = field(repr=False)
    config: Config
    reading: Reading = field(repr=False)
    labels: Mapping[str, tuple[int, int | None]]
    candidates: Sequence[str]
    notes: tuple[str, ...]

    @property
    def can_be_trained_on(self) -> bool:
        """Whether the label is known, and both of its classes occur."""
        return {value for _, value in self.labels.values()} == {0, 1}


def propose(
    file: Path,
    *,
    label: str | None,
    benign: tuple[str, ...],
    threat: tuple[str, ...],
    category: str | None,
    ignore: tuple[str, ...],
    categorical: tuple[str, ...],
    times: tuple[str, ...],
    costs: str | None = None,
) -> Proposal:
    """The config for a file.

    Args:
        costs: the prices as JSON; None: the default ones.

    Raises:
        InputError: it cannot be read, has no column that is named, or `costs` are not prices.
    """
    prices = {} if costs is None else {"costs": _prices(costs)}
    existing_file(file, "FILE")
    sheet, events = flows_of(file, label)
    candidates, notes = label_candidates(sheet), list[str]()
    if label is None:
        label = ALERT if events else _only(candidates)
        if label is not None:
            notes.append(f"{label!r} is taken for the label: --label names another one")
    if label is not None:
        sheet.column(label, "--label")
    labels = {} if label is None else _labels(sheet, label, benign, threat)
    unknown = [value for value, (_, of_class) in labels.items() if of_class is None]
    if unknown and not threat and any(of_class == 0 for _, of_class in labels.values()):
        threat = (ANY,)
        notes.append(f"labels that are not benign are taken for threats: {_named(unknown)}")
        labels = _labels(sheet, label or "", benign, threat)
    config = Config(
        data="csv", path=str(file), label=label, category=category, benign_labels=benign or None,
        threat_labels=threat or None, ignore=ignore, categorical=categorical, times=times, **prices,
    )  # fmt: skip
    reading = reading_of(sheet, config, events)
    if absent := _columns_with_absent_numbers(sheet, reading):
        config = config.model_copy(update={"missing": "indicator"})
        reading = reading_of(sheet, config, events)
        notes.append(
            f"numbers are missing or infinite in {_named(absent)}: env.missing=indicator takes the median and says so "
            "in extra columns, env.missing=median takes only the median"
        )
    return Proposal(sheet, config, reading, labels, candidates, tuple(notes))


def _prices(text: str) -> Any:
    try:
        return Config(costs=json.loads(text)).costs
    except (ValueError, RecursionError) as error:  # of JSON, or of pydantic
        raise InputError(
            f"--costs {brief(text, 80)} is not two rows of four prices from 0, of a benign flow and of a threat: give "
            "for example '[[0,100,40,10],[500,0,20,60]]', each row allow, block, quarantine, alert"
        ) from error


def _labels(
    sheet: Sheet, label: str, benign: tuple[str, ...], threat: tuple[str, ...]
) -> dict[str, tuple[int, int | None]]:
    names, codes = sheet.levels(label)
    counts = np.bincount(codes, minlength=len(names))
    order = np.argsort(-counts, kind="stable")[:MANY_LABELS]
    return {names[i]: (int(counts[i]), class_of(names[i], benign or BENIGN, threat or THREAT)) for i in order}


def _only(candidates: Sequence[str]) -> str | None:
    """The column that is the label by its name, if there is exactly one."""
    named = [name for name in candidates if name.lower() in ("label", "class", "verdict")]
    return named[0] if len(named) == 1 else candidates[0] if len(candidates) == 1 else None


def _columns_with_absent_numbers(sheet: Sheet, reading: Reading) -> list[str]:
    return [
        name
        for name in reading.columns
        if name in reading.numbers and not np.isfinite(parse_numbers(sheet.frame[name], sheet.layout.decimal)[0]).all()
    ]


def _named(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
