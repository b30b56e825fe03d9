"""The signed-rank test against tables worked by hand: the share of sign patterns with as large a sum of ranks."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.evidence import signed_rank_p


def by_counting(differences):
    """P(sum of the ranks of the positive ones ≥ what is seen), all signs equally likely."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    seen = ranks[np.array(differences) > 0].sum()
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product([0, 1], repeat=len(ranks))]
    return np.mean(np.array(sums) >= seen)


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [([1.0, 2.0, 3.0, 4.0], 1 / 16), ([-1.0, 2.0, 3.0, 4.0], 2 / 16), ([1.0, 2.0, 3.0, -4.0], 7 / 16), ([5.0], 1 / 2)],
)
def test_small_tables(differences, p_value):
    assert signed_rank_p(np.array(differences)) == pytest.approx(p_value)


@given(
    values=st.lists(st.integers(1, 1000), min_size=1, max_size=9, unique=True),
    signs=st.lists(st.booleans(), min_size=9, max_size=9),
)
def test_it_counts_sign_patterns(values, signs):
    differences = [value if positive else -value for value, positive in zip(values, signs, strict=False)]
    assert signed_rank_p(np.array(differences, float)) == pytest.approx(by_counting(differences))


def test_one_very_large_difference_counts_as_the_largest_and_no_more():
    assert signed_rank_p(np.array([1.0, 2.0, 3.0, -4.0])) == signed_rank_p(np.array([1.0, 2.0, 3.0, -4e9]))


def test_equal_pairs_are_left_out():
    assert signed_rank_p(np.array([0.0, 1.0, 0.0, 2.0])) == signed_rank_p(np.array([1.0, 2.0]))
    assert signed_rank_p(np.zeros(5)) == 1.0


@pytest.mark.parametrize("differences", [[], [1.0, np.nan], [np.inf]])
def test_what_is_no_difference_is_refused(differences):
    with pytest.raises(InputError):
        signed_rank_p(np.array(differences))
