"""Whether decisions go against the labels: then the label most likely means something else than in training."""

from __future__ import annotations

import numpy as np

from rl_eval.formatting import percent
from rl_eval.gates.episode_buffer import EpisodeBuffer

FACTS = ("label", "flagged")
DEVIATIONS = 3.09  # one-sided p = .001
LEAST_GAP = 0.1  # between the shares that are flagged


def opposite_labels_note(played: EpisodeBuffer) -> str:
    """What to add to a missed criterion that reads labels, where negatives are flagged more often than positives.

    By the two-proportion z-test at p = .001, and by 10 percentage points; else nothing. A policy that has learned
    nothing flags both alike.
    """
    episodes = played.between(0, played.count)
    if not all(name in episodes.outcome for name in FACTS):
        return ""
    label, flagged = (np.asarray(episodes.outcome[name]) == 1 for name in FACTS)
    positives, negatives = int(label.sum()), int((~label).sum())
    if not positives or not negatives:
        return ""
    of_positives, of_negatives = float(flagged[label].mean()), float(flagged[~label].mean())
    share = float(flagged.mean())
    deviation = (share * (1.0 - share) * (1.0 / positives + 1.0 / negatives)) ** 0.5
    gap = of_negatives - of_positives
    if gap < LEAST_GAP or gap < DEVIATIONS * deviation:
        return ""
    return (
        f"; worse than chance: it flags {percent(of_positives)} of the positive cases and {percent(of_negatives)} of "
        "the negative ones, so the label, or a column, probably means something else here than in training: check "
        "which value of the label is positive in both"
    )
