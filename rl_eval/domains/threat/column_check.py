"""Notes on the columns of a file: how they were read, and which of them a policy should rather not see."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.threat.flow_table import Table
from rl_eval.domains.threat.preprocess import Preprocessing
from rl_eval.formatting import brief, percent, quantity

NEARLY_UNIQUE = 0.95  # distinct values per row
ORDERED = 0.95  # steps from one row to the next that go up, or down
PREDICTS_ALONE = 0.995  # balanced accuracy
MIN_ROWS = 100
MAX_ROWS = 100_000
MIN_LEVEL_ROWS = 5  # a rarer value predicts by chance
MAX_LEVELS = 1_000  # of a number, to be taken for a code
MAX_NAMED = 12
FIRST_TIME, LAST_TIME = 9e8, 4e9  # seconds since 1970: from 1998 to 2096
TIME_UNITS = (1, 1e3, 1e6)  # a second has


def reading_notes(preprocessing: Preprocessing) -> tuple[str, ...]:
    """Sentences on columns that are not features, and on those that were read as something else than they look."""
    reading, notes = preprocessing.reading, []
    if silent := preprocessing.silent():
        named = "; ".join(f"{brief(name, 60)} ({reason})" for name, reason in [*silent.items()][:MAX_NAMED])
        more = f"; and {len(silent) - MAX_NAMED} more" if len(silent) > MAX_NAMED else ""
        notes.append(f"{quantity(len(silent), 'column')} left out: {named}{more}")
    kinds = {
        "hour and weekday": [c.column for c in reading.typed if c.kind == "time" and c.weekday],
        "hour": [c.column for c in reading.typed if c.kind == "time" and not c.weekday],
        "seconds since the first time": [c.column for c in reading.typed if c.kind == "elapsed"],
        "class of the IP address": [c.column for c in reading.typed if c.kind == "address"],
    }
    if read := [f"{', '.join(brief(name, 60) for name in names)} as {kind}" for kind, names in kinds.items() if names]:
        notes.append(f"read {'; '.join(read)}: name a column in env.ignore to leave it out")
    return tuple(notes)


def column_notes(train: Table) -> tuple[str, ...]:
    """A sentence for each column of the training part that is nearly unique, or predicts the label on its own.

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
            whole = distinct[np.isfinite(distinct)]
            if (whole == np.rint(whole)).all() or _follows_the_rows(values):
                is_time = name in sample.numeric_names and any(
                    FIRST_TIME * unit <= whole.min(initial=np.inf) and whole.max(initial=0.0) <= LAST_TIME * unit
                    for unit in TIME_UNITS
                )
                notes.append(
                    f"the column {brief(name, 80)!r} has {percent(len(distinct) / len(values))} distinct values, as "
                    "ids and times have: name it in env.ignore unless it is a measurement"
                    + (", or in env.times to read its hour and weekday" if is_time else "")
                )
                continue
            accuracy = threshold_accuracy(values, sample.label)
        else:
            accuracy = level_accuracy(codes, sample.label) if len(distinct) <= MAX_LEVELS else 0.0
            if name in sample.numeric_names:
                accuracy = max(accuracy, threshold_accuracy(values, sample.label))
        if accuracy >= PREDICTS_ALONE:
            notes.append(
                f"the column {brief(name, 80)!r} predicts the label without other columns, with a balanced accuracy of "
                f"{percent(accuracy)}: name it in env.ignore if it is not known when a flow is decided on"
            )
    return tuple(notes)


def _follows_the_rows(values: np.ndarray) -> bool:
    """Whether numbers `[R]` rise from row to row, or fall, nearly always."""
    rising = float((values[1:] > values[:-1]).mean())
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
