"""What a diagnostic says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["note", "warning", "problem"]
Layer = Literal["record", "data", "experience", "reward", "optimisation", "critic", "policy", "outcome"]

SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")
# From cause to symptom: what is wrong above explains what is wrong below.
LAYERS: tuple[Layer, ...] = ("record", "data", "experience", "reward", "optimisation", "critic", "policy", "outcome")

# What is pasted into a shell may hold names from a config that comes from anyone.
PASTEABLE = re.compile(r"[A-Za-z0-9_.,=+\-\[\] ]{1,300}")


@dataclass(frozen=True)
class Finding:
    """One thing that a diagnostic found in a run.

    Attributes:
        name: of the diagnostic, as `diagnostic:` in a suite writes it.
        severity: problem: the run cannot be what it should be; warning: it costs much; note: worth knowing.
        layer: where the cause lies; of two findings of one severity the one nearer to the record comes first.
        title: one line, without numbers.
        evidence: the numbers that it rests on.
        meaning: what follows from them.
        change: Hydra overrides to paste, such as `agent.gamma=0`; None where no setting is the cure, or where a name in
            them would mean something to a shell.
        source: the formula or threshold, and where it is from.
        certainty: 0 to 1, how sure the sign is; ranks findings of one severity and layer.
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
        """Every attribute by its name."""
        return dict(vars(self))


def sentence(finding: Finding) -> str:
    """A finding in a line: `doctor: …; try …`."""
    change = f"; try {finding.change}" if finding.change else ""
    return " ".join(f"doctor: {finding.title} ({finding.evidence}){change}".split())


def importance(finding: Finding) -> tuple[int, int, float, str]:
    """The order of findings, most important first: severity, then cause before symptom, then certainty."""
    return (
        SEVERITIES.index(finding.severity),
        LAYERS.index(finding.layer),
        -finding.certainty,
        finding.name,
    )
