"""Columns that a policy should rather not see: one value a row, as ids have, or the label in another form."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.threat.flow_table import Table
from rl_eval.formatting import brief, percent

NEARLY_UNIQUE = 0.95  # distinct values a row
ORDERED = 0.95  # steps from one row to the next that go up, or down
PREDICTS_ALONE = 0.995  # balanced accuracy
MIN_ROWS = 100
MAX_ROWS = 100_000
MIN_LEVEL_ROWS = 5  # a rarer value predicts by chance
MAX_LEVELS = 1_000  # of a number, to be taken for a code


def column_notes(train: Table) -> tuple[str, ...]:
    """A sentence for each column of the training part that is nearly unique, or predicts the label alone.

    A column of numbers is called nearly unique only if all are whole, or rise or fall with the rows as times do, since
    measurements seldom repeat.
    """
    if len(train) < MIN_ROWS:
        return ()
    sample = train.rows(np.arange(0, len(train), -(-len(train) // MAX_ROWS)))
    columns = [*zip(sample.numeric_names, sample.numeric.T, strict=True)]
    columns += [*zip(sample.categorical_names, sample.codes.T, strict=True)]
    notes = []
    for name, values in columns:
        distinct, codes = np.unique(values, return_inverse=True)
        if len(distinct) >= NEARLY_UNIQUE * len(values):
            if (distinct == np.rint(distinct)).all() or _follows_the_rows(values):
                notes.append(
                    f"the column {brief(name, 80)!r} has {percent(len(distinct) / len(values))} distinct values, as "
                    "ids and times have: name it in env.ignore unless it is a measurement"
                )
                continue
            accuracy = threshold_accuracy(values, sample.label)
        else:
            accuracy = level_accuracy(codes, sample.label) if len(distinct) <= MAX_LEVELS else 0.0
            if name in sample.numeric_names:
                accuracy = max(accuracy, threshold_accuracy(values, sample.label))
        if accuracy >= PREDICTS_ALONE:
            notes.append(
                f"the column {brief(name, 80)!r} alone predicts the label with a balanced accuracy of "
                f"{percent(accuracy)}: name it in env.ignore if it is not known when a flow is decided on"
            )
    return tuple(notes)


def _follows_the_rows(values: np.ndarray) -> bool:
    """Whether numbers `[R]` rise from row to row, or fall, nearly always."""
    rising = float((np.diff(values) > 0).mean())
    return not 1.0 - ORDERED < rising < ORDERED


def level_accuracy(codes: np.ndarray, label: np.ndarray) -> float:
    """The best balanced accuracy of a rule on the values of a category; rare values count as guesses.

    Args:
        codes: `[R]` integers from 0.
        label: `[R]` 0 or 1, both occur.
    """
    counts = np.stack([np.bincount(codes[label == y], minlength=int(codes.max()) + 1) for y in (0, 1)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    common = counts.sum(axis=0) >= MIN_LEVEL_ROWS
    return float(np.where(common, shares.max(axis=0), shares.mean(axis=0)).sum() / 2.0)


def threshold_accuracy(values: np.ndarray, label: np.ndarray) -> float:
    """The best balanced accuracy of a threshold: (1 + KS) / 2, with the Kolmogorov-Smirnov distance of the classes.

    Args:
        values: `[R]` numbers.
        label: `[R]` 0 or 1, both occur.
    """
    benign, threat = np.sort(values[label == 0]), np.sort(values[label == 1])
    points = np.unique(values)
    below = [np.searchsorted(part, points, side="right") / len(part) for part in (benign, threat)]
    return float((1.0 + np.abs(below[0] - below[1]).max()) / 2.0)
