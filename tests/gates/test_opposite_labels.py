"""Decisions that go against the labels are named, and those of a policy that learned nothing are not."""

import numpy as np
import pytest

from rl_eval.gates.opposite_labels import opposite_labels_note
from rl_eval.rollout import Episodes

RNG = np.random.default_rng(0)
LABEL = RNG.random(1000) < 0.3


class Played:
    def __init__(self, **outcome):
        self.count, self._outcome = 1, outcome

    def between(self, start, stop):
        steps = len(next(iter(self._outcome.values())))
        one = np.ones(1, np.int64)
        return Episodes(one, one * steps, one > 0, np.zeros(steps, np.int64), self._outcome, np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("flagged", "is_named"),
    [
        (~LABEL, True),
        (LABEL, False),
        (RNG.random(1000) < 0.3, False),
        (np.ones(1000), False),
        (np.where(RNG.random(1000) < 0.7, ~LABEL, LABEL), True),
    ],
    ids=["opposite", "right", "chance", "all", "mostly opposite"],
)
def test_decisions_against_the_labels_are_named(flagged, is_named):
    note = opposite_labels_note(Played(label=LABEL.astype(float), flagged=np.asarray(flagged, float)))
    assert ("worse than chance" in note) is is_named
    assert bool(note) is is_named


def test_without_labels_or_one_class_there_is_nothing_to_say():
    assert opposite_labels_note(Played(cost=np.zeros(3))) == ""
    assert opposite_labels_note(Played(label=np.zeros(50), flagged=np.ones(50))) == ""
    assert opposite_labels_note(Played(label=np.r_[0.0, 1.0], flagged=np.r_[1.0, 0.0])) == ""
