"""How a page shows what the policy observed: the fields of the data where they can be told, else its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rl_eval.domains import RawField
from rl_eval.report import html_page

MOST_SHOWN = 60  # numbers or fields of an observation
SCALED = "The numbers are scaled, as the policy observes them."


@dataclass(frozen=True)
class Observed:
    """What is known of observations.

    Attributes:
        names: of an observation's numbers; where there are fewer, the rest have their number.
        raw: the fields of the data that an observation was made of; None: it cannot be told.
        scaled: whether the numbers were made by a preprocessing.
        rules: number of a feature -> what the privacy policy does with it.
    """

    names: Sequence[str] = ()
    raw: Callable[[Sequence[float]], Sequence[RawField] | None] | None = None
    scaled: bool = False
    rules: Mapping[int, str] = field(default_factory=dict)

    def shown(self, observation: Sequence[float]) -> tuple[list[tuple[str, str]], str]:
        """Names and values as a page shows them, and a note on them, which may be empty."""
        if self.raw is not None and observation and (fields := self.raw(observation)):
            rows = [(one.name, self._private(one)) for one in fields]
            return rows[:MOST_SHOWN], _first_of(len(rows), "fields")
        names = [*self.names[: len(observation)], *map(str, range(len(self.names), len(observation)))]
        rows = [(name, html_page.number(value, 3)) for name, value in zip(names, observation, strict=True)]
        notes = [_first_of(len(rows), "numbers"), SCALED if self.scaled and rows else ""]
        return rows[:MOST_SHOWN], " ".join(note for note in notes if note)

    def _private(self, one: RawField) -> str:
        rules = {self.rules[column] for column in one.columns if column in self.rules}
        if "hash" in rules:
            return "hashed"
        if "drop" in rules:
            return "dropped"
        return f"about {one.text}" if rules else one.text


def _first_of(count: int, what: str) -> str:
    return f"The first {MOST_SHOWN} of its {count:,} {what}." if count > MOST_SHOWN else ""
