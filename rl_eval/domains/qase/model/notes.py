"""Notes on an import: what was read in good faith and a person should know of."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Notes:
    """What was read in good faith and a person should know of: sentence -> how often, and where first."""

    counts: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, sentence: str, where: str) -> None:
        """Count one more occurrence."""
        count, first = self.counts.get(sentence, (0, where))
        self.counts[sentence] = (count + 1, first)
