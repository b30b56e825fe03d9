"""Which policy decides about a unit, as the row of the roll-out and the aliases say; for servers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl_eval.production.canary.row import Row
from rl_eval.production.registry import CHALLENGER, CHAMPION

_BUCKETS = 1 << 32


@dataclass(frozen=True)
class Assignment:
    """Who serves.

    Attributes:
        champion: number of its version; None before there is one.
        challenger: number of its version; None where no roll-out runs.
        share: of the units that the challenger decides on.
        shadow: whether the challenger decides on all units without acting.
    """

    champion: int | None
    challenger: int | None = None
    share: float = 0.0
    shadow: bool = False

    def to_challenger(self, unit: str) -> bool:
        """Whether the challenger decides about a unit.

        By a hash of the challenger and the unit. So a unit stays with the challenger while the share grows, and other
        units are the first of the next roll-out.
        """
        if self.challenger is None:
            return False
        digest = hashlib.sha256(f"{self.challenger} {unit}".encode()).digest()
        return int.from_bytes(digest[:4], "big") < self.share * _BUCKETS


def assignment(body: Mapping[str, Any], aliases: Mapping[str, int]) -> Assignment:
    """Who serves by the row and the aliases together; they may be from different moments.

    A challenger decides only where both name it: an alias that is gone, or a row that ended, is enough to stop it.

    Args:
        body: of the document `rollout`.
        aliases: of the registry.

    Raises:
        InputError: the row is damaged.
    """
    row, champion, challenger = Row.parse(dict(body)), aliases.get(CHAMPION), aliases.get(CHALLENGER)
    if challenger is None or challenger != row.challenger or challenger == champion:
        return Assignment(champion)
    return Assignment(champion, challenger, row.share, row.shadow)
