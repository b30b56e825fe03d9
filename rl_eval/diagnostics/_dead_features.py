"""Columns of the observation that tell nothing, or nothing new."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding, Severity
from rl_eval.diagnostics._observed import Observed, observed
from rl_eval.diagnostics._registry import diagnostic

# Of all columns; fewer are told as a note, since a wide table has some.
NOTABLE_SHARE = 0.05
# float32 copies of a column, scaled and shifted, correlate to within 1e-12.
SAME = 1 - 1e-9
SHOWN = 6


@diagnostic
def dead_features(run: DiagnosedRun) -> list[Finding]:
    """Observation columns that never change, or that repeat another column."""
    seen = observed(run)
    if seen is None or len(seen.rows) < 2:
        return []
    where = "the training part" if seen.from_data else f"{len(seen.rows):,} observations at play"
    findings = []
    constant = constant_columns(seen)
    # The domain's own diagnostic names those that its preprocessing recorded.
    recorded = run.preprocessing.get("constant")
    still = [name for name in constant if not isinstance(recorded, list) or name not in recorded]
    if still:
        findings.append(
            Finding(
                name="dead_features",
                severity=_severity(len(still), len(seen.names)),
                layer="data",
                title="observation columns never change",
                evidence=f"{len(still)} of {len(seen.names)} columns are constant in {where}: {_listed(still)}",
                meaning="No policy can learn from them: a field is not filled in, is overwritten by a default, or "
                "belongs to something that never happens. Look at where the environment writes these columns.",
                source="largest = smallest value of a column, exactly; a warning from 5 % of the columns on",
                certainty=0.95,
                data={"constant": still, "columns": len(seen.names)},
            )
        )
    twins = duplicated_columns(seen)
    if twins:
        pairs = [f"{b} repeats {a}" for a, b in twins]
        findings.append(
            Finding(
                name="dead_features",
                severity=_severity(len(twins), len(seen.names)),
                layer="data",
                title="observation columns repeat other columns",
                evidence=f"{len(twins)} of {len(seen.names)} columns are copies in {where}: {_listed(pairs)}",
                meaning="A copy, scaled and shifted or not, tells nothing new: mostly it stands where another field "
                "was meant. It also counts that field twice in every distance and every first layer.",
                source="correlation of two columns above 1 - 1e-9; a warning from 5 % of the columns on",
                certainty=0.9,
                data={"duplicated": [list(pair) for pair in twins], "columns": len(seen.names)},
            )
        )
    return findings


def constant_columns(seen: Observed) -> list[str]:
    """Names of the columns with one value, but for those kept free for categories not seen while training."""
    still = seen.rows.max(axis=0) == seen.rows.min(axis=0)
    return [name for name, dead in zip(seen.names, still, strict=True) if dead and not name.endswith("=<other>")]


def duplicated_columns(seen: Observed) -> list[tuple[str, str]]:
    """(first, copy) of columns that rise and fall together, exactly.

    A column of two values counts only in a part of the data: two rare events may coincide in a short play.
    """
    rows = seen.rows.astype(np.float64)
    moving = np.flatnonzero(rows.max(axis=0) > rows.min(axis=0))
    if not seen.from_data:
        moving = np.array([c for c in moving if len(np.unique(rows[:, c])) > 2], np.int64)
    if len(moving) < 2:
        return []
    rows = rows[:, moving] - rows[:, moving].mean(axis=0)
    rows /= np.linalg.norm(rows, axis=0)
    alike = np.triu(rows.T @ rows > SAME, k=1)
    first = {int(b): int(np.flatnonzero(alike[:, b])[0]) for b in np.flatnonzero(alike.any(axis=0))}
    return [(seen.names[moving[a]], seen.names[moving[b]]) for b, a in first.items()]


def _severity(found: int, columns: int) -> Severity:
    return "warning" if found >= NOTABLE_SHARE * columns else "note"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
