"""Near-duplicates: cases that look to the policy almost like one of training, and how many of them are chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.exposure import Exposure, contains, equal_but_for_one_field, rounded
from rl_eval.gates.held_out.held_out_set import TestSet

DEVIATIONS = 3.0  # that a number may exceed what chance explains
MANY_FIELDS = 8  # of these, equality in all except one is not by chance
SAME = 0.95  # of the cases have one value: such a field tells nothing
LIKELY = 0.01  # expected share of chance matches, up to which fewer fields tell cases apart too
FREQUENT = 6  # cases with one value of a field, for its share to be estimated on its own


def is_near_duplicate(test_set: TestSet, record: Exposure, rounding: float) -> np.ndarray:
    """Whether each case equals one of training or validation after rounding, or in all except one field; bool `[G]`."""
    near = np.zeros(len(test_set), bool)
    for part in (record.train, record.validation):
        near |= _near(test_set.views, part.views, test_set, rounding)
    return near


def share_in_validation(test_set: TestSet, record: Exposure, rounding: float) -> float | None:
    """The share of the validation part that is near-duplicates of `train`; None without a validation part.

    Where that part was drawn from the same source, this is how often its cases resemble each other anyway.
    """
    if not len(record.validation):
        return None
    near = _near(record.validation.views, record.train.views, test_set, rounding)
    return float(np.average(near, weights=record.validation.counts))


def _near(views: np.ndarray, others: np.ndarray, test_set: TestSet, rounding: float) -> np.ndarray:
    assert test_set.cases is not None
    if not len(others):
        return np.zeros(len(views), bool)
    near = contains(rounded(others, rounding), rounded(views, rounding))
    return near | equal_but_for_one_field(views, others, len(test_set.cases.field_names))


def more_than_chance(
    test_set: TestSet,
    near: np.ndarray,
    candidates: np.ndarray,
    records: Sequence[Exposure],
    rounding: float,
    share: float,
) -> bool:
    """Whether more cases are near-duplicates than a share of the test set, and than chance explains.

    Where fields take few values, a case resembles some other one though nothing was copied. If fields were independent,
    a case would equal another with the product of the shares of its values, and one of T with 1 - exp(-T * product).

    Args:
        near: bool `[G]`, the near-duplicates among the candidates.
        candidates: bool `[G]`, the cases that are not equal to one of training.
        records: whose T cases they could resemble: the largest counts.
    """
    excess = near.sum() - share * len(test_set)
    if excess <= 0:
        return False
    drawn = max(int(record.train.counts.sum() + record.validation.counts.sum()) for record in records)
    chance = by_chance(test_set, drawn, rounding)[candidates]
    return bool(excess > chance.sum() + DEVIATIONS * np.sqrt((chance * (1.0 - chance)).sum()))


def tells_apart(test_set: TestSet, records: Sequence[Exposure], rounding: float) -> bool:
    """Whether the fields say so much that near-equality means the same case.

    That is so with many fields that vary, or if less than 1 % of independent cases would be near-duplicates. Otherwise
    different cases of one source are alike, more so as its fields depend on each other.
    """
    varying = sum(
        int(np.unique(values, return_counts=True)[1].max()) < SAME * len(values) for values in _hashes(test_set, None)
    )
    drawn = max(int(record.train.counts.sum() + record.validation.counts.sum()) for record in records)
    return bool(varying >= MANY_FIELDS or by_chance(test_set, drawn, rounding).mean() < LIKELY)


def by_chance(test_set: TestSet, drawn: int, rounding: float) -> np.ndarray:
    """The probability that each case is a near-duplicate of one of T independent ones, `[G]`."""
    equal, in_all_but_one = _coincidence(test_set, rounding)[0], _coincidence(test_set, None)[1]
    return np.asarray(-np.expm1(-drawn * (equal + in_all_but_one)))


def _coincidence(test_set: TestSet, rounding: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The probability that an independent case equals each in all fields, and in all except one, `[G]` both."""
    hashes = _hashes(test_set, rounding)
    n_fields, total = hashes.shape
    equal, inverses = np.ones(total), np.zeros(total)
    for values in hashes:
        shares = value_shares(values)
        equal *= shares
        inverses += 1.0 / shares
    # without one field, its share is divided out
    return equal, equal * inverses if n_fields > 1 else np.zeros(total)


def _hashes(test_set: TestSet, rounding: float | None) -> np.ndarray:
    """`[F, G]` hash of each field of each case."""
    assert test_set.cases is not None
    hashes = np.empty((len(test_set.cases.field_names), len(test_set)), np.uint64)
    for block, values in test_set.cases.field_hashes(rounding):
        hashes[:, block] = values
    return hashes


def value_shares(values: np.ndarray) -> np.ndarray:
    """The probability that an independent case has the same value of a field as each, estimated from these, `[G]`.

    A frequent value has its share among the other cases. Values that are too rare for that share an upper estimate, two
    deviations above their mean, as values that never repeat say only that repeats are rare.

    Args:
        values: `[G]` the values of a field, or hashes of them.
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    others = max(len(values) - 1, 1)
    shares = (counts - 1) / others
    rare = counts < FREQUENT
    if rare.any():
        pairs = (counts[rare] * (counts[rare] - 1)).sum() / 2
        shares[rare] = min(1.0, 2.0 * (pairs + 2.0 * pairs**0.5 + 3.0) / (counts[rare].sum() * others))
    return np.asarray(shares[place])
