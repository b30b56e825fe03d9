"""Observation columns that never change, or that repeat another column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding, Severity
from rl_eval.diagnostics._observations import Observed, observed
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.diagnostics._silent_features import silent_features_of

NOTABLE_SHARE = 0.05  # of all columns; a wide table has some, so fewer are only a note
SAME = 1 - 1e-9  # float32 copies of a column, scaled and shifted, correlate to within 1e-12
MAX_NAMES = 6


@diagnostic
def dead_features(run: DiagnosedRun) -> list[Finding]:
    """Observation columns that never change, or that repeat another column.

    Reads the cases of the training part; without cases, the observations of the judged policy and of random actions. A
    constant column is exactly constant. A copy has a correlation above 1 − 10⁻⁹, scaled and shifted or not. A warning
    from 5 % of the columns, else a note: columns for categories that training did not have may be empty.
    """
    sample = observed(run)
    if sample is None or len(sample.rows) < 2:
        return []
    where = "the training part" if sample.from_data else f"{len(sample.rows):,} observations at play"
    findings = []
    constant = constant_columns(sample)
    silent = silent_features_of(run)  # which another diagnostic reports
    unrecorded = [name for name in constant if name not in silent]
    if unrecorded:
        findings.append(
            Finding(
                name="dead_features",
                severity=_severity(len(unrecorded), len(sample.names)),
                layer="data",
                title="observation columns never change",
                evidence=f"{len(unrecorded)} of {len(sample.names)} columns are constant in {where}: "
                f"{_names(unrecorded)}",
                meaning="No policy can learn from them. A field is not filled in, is overwritten by a default, or "
                "describes something that never happens. Check where the environment writes these columns.",
                source="largest = smallest value of a column, exactly; a warning from 5 % of the columns on",
                certainty=0.95,
                data={"constant": unrecorded, "columns": len(sample.names)},
            )
        )
    duplicates = duplicated_columns(sample)
    if duplicates:
        pairs = [f"{b} repeats {a}" for a, b in duplicates]
        findings.append(
            Finding(
                name="dead_features",
                severity=_severity(len(duplicates), len(sample.names)),
                layer="data",
                title="observation columns repeat other columns",
                evidence=f"{len(duplicates)} of {len(sample.names)} columns are copies in {where}: {_names(pairs)}",
                meaning="A copy, scaled and shifted or not, adds no information. Often another field was meant. It "
                "also counts that field twice in every distance and every first layer.",
                source="correlation of two columns above 1 - 1e-9; a warning from 5 % of the columns on",
                certainty=0.9,
                data={"duplicated": [list(pair) for pair in duplicates], "columns": len(sample.names)},
            )
        )
    return findings


def constant_columns(sample: Observed) -> list[str]:
    """Names of the columns with one value, except those reserved for categories that training did not have."""
    constant = sample.rows.max(axis=0) == sample.rows.min(axis=0)
    return [name for name, dead in zip(sample.names, constant, strict=True) if dead and not name.endswith("=<other>")]


def duplicated_columns(sample: Observed) -> list[tuple[str, str]]:
    """(first, copy) of columns that are equal up to scale and shift.

    Columns with two values are compared only in a part of the data: two rare events may coincide in a short play.
    """
    rows = sample.rows.astype(np.float64)
    moving = np.flatnonzero(rows.max(axis=0) > rows.min(axis=0))
    if not sample.from_data:
        moving = np.array([c for c in moving if len(np.unique(rows[:, c])) > 2], np.int64)
    if len(moving) < 2:
        return []
    rows = rows[:, moving] - rows[:, moving].mean(axis=0)
    rows /= np.linalg.norm(rows, axis=0)
    alike = np.triu(rows.T @ rows > SAME, k=1)
    first = {int(b): int(np.flatnonzero(alike[:, b])[0]) for b in np.flatnonzero(alike.any(axis=0))}
    return [(sample.names[moving[a]], sample.names[moving[b]]) for b, a in first.items()]


def _severity(affected: int, columns: int) -> Severity:
    return "warning" if affected >= NOTABLE_SHARE * columns else "note"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
