"""Labels of flows: which texts mean benign, and which a threat."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from rl_eval.domains.threat.formats.sheet import Sheet, short
from rl_eval.errors import InputError

BENIGN = ("0", "false", "no", "benign", "normal", "legitimate", "background")
THREAT = ("1", "true", "yes", "threat", "attack", "malicious", "malware", "anomaly", "anomalous")
ANY = "*"


def binary_label(
    sheet: Sheet, column: str, benign: Sequence[str], threat: Sequence[str], *, fixed: bool = False
) -> np.ndarray:
    """`[R]` int8, 1 for a threat; letter case does not matter.

    Args:
        benign, threat: the values of each class; `*` means any text, and on its own every value that is not named.
        fixed: whether the format defines the values, so that a config cannot change them.

    Raises:
        InputError: no such column, or a label value that is neither benign nor a threat, or both.
    """
    sheet.column(column, "env.label")
    names, codes = sheet.levels(column)
    values = [class_of(name, benign, threat) for name in names]
    label = np.array([-1 if value is None else value for value in values], np.int8)[codes]
    unknown = np.flatnonzero(label < 0)
    if len(unknown):
        name = names[codes[unknown[0]]]
        where = f"{sheet.at(unknown[0])}: the label {short(name, 80)} in column {column!r} is"
        if _matches(name, benign) and _matches(name, threat):
            raise InputError(f"{where} in env.benign_labels and in env.threat_labels: name it once")
        advice = "" if fixed else (
            "; set env.benign_labels and env.threat_labels (threat_labels=['*'] takes any other value)"
        )  # fmt: skip
        raise InputError(f"{where} unknown: benign is {'/'.join(benign)}, threat is {'/'.join(threat)}{advice}")
    return label


def class_of(name: str, benign: Sequence[str], threat: Sequence[str]) -> int | None:
    """0 for benign, 1 for a threat; None where a value is neither, or both."""
    is_benign, is_threat = _matches(name, benign), _matches(name, threat)
    if is_benign != is_threat:
        return int(is_threat)
    if is_benign or not name:
        return None
    # `*` on its own is for what nothing names
    return 1 if ANY in threat else 0 if ANY in benign else None


def _matches(name: str, patterns: Sequence[str]) -> bool:
    # A float column has 0.0 and 1.0 for 0 and 1.
    key = name.lower().removesuffix(".0")
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.lower().split("*"))), key, re.DOTALL) is not None
        for pattern in patterns
        if pattern != ANY
    )


def label_candidates(sheet: Sheet) -> list[str]:
    """Columns that may hold the label, the likeliest first: by their name, or by values that are labels."""
    word = re.compile(r"(?i)label|class|attack|verdict|malicious|target")
    named = [name for name in sheet.frame.columns if word.search(name)]
    exact = [name for name in named if name.lower() in ("label", "class", "verdict")]
    valued = [name for name in sheet.frame.columns if name not in named and _has_label_values(sheet, name)]
    return [*exact, *(name for name in named if name not in exact), *valued]


def _has_label_values(sheet: Sheet, name: str) -> bool:
    values = sheet.text(name).unique().to_list()
    words = [value for value in values if value.lower() not in ("0", "1", "0.0", "1.0", "true", "false", "yes", "no")]
    return 1 < len(values) <= 1_000 and any(class_of(value, BENIGN, THREAT) is not None for value in words)
