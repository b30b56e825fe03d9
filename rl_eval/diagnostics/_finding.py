"""`Finding`: the result of a diagnostic."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["note", "warning", "problem"]
Layer = Literal["record", "data", "experience", "reward", "optimisation", "critic", "policy", "outcome"]

SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")
# From cause to symptom: a fault in one layer explains faults in later ones.
LAYERS: tuple[Layer, ...] = ("record", "data", "experience", "reward", "optimisation", "critic", "policy", "outcome")

# Changes are pasted into a shell, and may contain names from a config of anyone.
PASTEABLE = re.compile(r"[A-Za-z0-9_.,=+\-\[\] ]{1,300}")


@dataclass(frozen=True)
class Finding:
    """One result of a diagnostic.

    Attributes:
        name: of the diagnostic, as in `diagnostic: <name>` of a suite.
        severity: problem: the run cannot work as intended; warning: it costs much; note: worth knowing.
        layer: where the cause is; of two findings with one severity, the one closer to the record comes first.
        title: one line, without numbers.
        evidence: the numbers behind it.
        meaning: what follows from them.
        change: Hydra overrides to paste, such as `agent.gamma=0`; None if no setting helps, or if a name in them has a
            meaning in a shell.
        source: the formula or threshold, and its reference.
        certainty: 0 to 1; ranks findings of one severity and layer.
        data: the numbers of `evidence` by name, for JSON.
    """

    name: str
    severity: Severity
    layer: Layer
    title: str
    evidence: str
    meaning: str
    source: str
    change: str | None = None
    certainty: float = 0.5
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.change is not None and not PASTEABLE.fullmatch(self.change):
            object.__setattr__(self, "change", None)

    def to_json(self) -> dict[str, Any]:
        """The attributes by name."""
        return dict(vars(self))


def sentence(finding: Finding) -> str:
    """A finding in one line; what to try is in backticks: "doctor: …; try `lr=1e-4`"."""
    change = f"; try `{finding.change}`" if finding.change else ""
    return " ".join(f"doctor: {finding.title} ({finding.evidence}){change}".split())


def importance(finding: Finding) -> tuple[int, int, float, str]:
    """The sort key of findings, most important first: severity, then cause before symptom, then certainty."""
    return (
        SEVERITIES.index(finding.severity),
        LAYERS.index(finding.layer),
        -finding.certainty,
        finding.name,
    )
