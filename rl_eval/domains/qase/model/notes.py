"""Notes on an import: what was accepted although it looks unusual."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Notes:
    """Unusual values that were accepted: sentence -> (count, first location)."""

    counts: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, sentence: str, where: str) -> None:
        """Count one more occurrence."""
        count, first = self.counts.get(sentence, (0, where))
        self.counts[sentence] = (count + 1, first)
