"""What a criterion is compared with where a person asked for it: the values of a release, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_UNITS = 10_000  # that a verdict holds


@dataclass(frozen=True)
class PlayedUnits:
    """The first episodes that a policy played, and what a criterion measured in each.

    Attributes:
        seeds: `[E]` of the environment, or indices of a finite set.
        values: `[E]` None where the metric is undefined.
    """

    seeds: tuple[int, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Compared:
    """How a criterion compares with a release.

    Attributes:
        unable: why it is not compared, and `decision` what that means; None if it is compared.
        played: the values of the release; None if it plays.
        test_set: the fingerprint of what those values are about.
        different: what defines those values in another way than in the suite; empty if nothing does.
    """

    unable: str | None = None
    decision: Literal["NOT_CHECKED", "ERROR"] = "NOT_CHECKED"
    played: PlayedUnits | None = None
    test_set: str | None = None
    different: str = ""
