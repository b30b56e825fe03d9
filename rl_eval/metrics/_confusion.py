"""The confusion table of a yes-or-no decision, which the detection metrics share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rl_eval.metrics._registry import MetricUndefined

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes


@dataclass(frozen=True)
class Confusion:
    """Counts of cases by what they are and whether they were flagged."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def positives(self) -> int:
        """Cases that are positive."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Cases that are negative."""
        return self.fp + self.tn

    @property
    def flagged(self) -> int:
        """Cases that were flagged."""
        return self.tp + self.fp


def confusion(episodes: Episodes) -> Confusion:
    """Count the cases of all episodes by the outcomes `label` and `flagged`, each `[S]` of 0 and 1.

    Raises:
        MetricUndefined: no case, or a label or flag that is neither 0 nor 1.
    """
    label, flagged = (np.asarray(episodes.outcome[name], np.float64) for name in ("label", "flagged"))
    if len(label) == 0:
        raise MetricUndefined("no case was played, so nothing can be counted: play at least one episode")
    for name, values in (("label", label), ("flagged", flagged)):
        if not np.isin(values, (0, 1)).all():
            raise MetricUndefined(f"the outcome {name!r} has values other than 0 and 1")
    positive, yes = label == 1, flagged == 1
    return Confusion(
        tp=int((positive & yes).sum()),
        fp=int((~positive & yes).sum()),
        fn=int((positive & ~yes).sum()),
        tn=int((~positive & ~yes).sum()),
    )
