"""Champion and challenger as they are served."""

from __future__ import annotations

from dataclasses import dataclass, field

from rl_eval.production.canary.assignment import Assignment
from rl_eval.serving.served_policy import ServedPolicy
from rl_eval.serving.source import Source


@dataclass(frozen=True, eq=False)
class Arm:
    """A version of the registry that is served.

    Attributes:
        version: its number in the registry, as text; what records, metrics and answers name.
    """

    version: str
    source: Source

    @property
    def served(self) -> ServedPolicy:
        """What decides."""
        return self.source.policy


@dataclass(frozen=True)
class Arms:
    """What is served at the moment; never changes.

    Attributes:
        challenger: None: no roll-out, or a challenger that cannot be served.
        assignment: who decides about which unit.
    """

    champion: Arm
    challenger: Arm | None = None
    assignment: Assignment = field(default_factory=lambda: Assignment(None))

    @property
    def share(self) -> float:
        """Of the units that the challenger decides about."""
        return 0.0 if self.challenger is None or self.shadow else self.assignment.share

    @property
    def shadow(self) -> bool:
        """Whether the challenger decides about all units, and nobody acts on it."""
        return self.challenger is not None and self.assignment.shadow

    def is_challenger(self, unit: str) -> bool:
        """Whether the challenger decides about a unit."""
        return self.share > 0 and self.assignment.to_challenger(unit)
