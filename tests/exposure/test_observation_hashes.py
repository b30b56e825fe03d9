"""Hashes of what a policy sees of cases find what a comparison of every pair of rows finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rl_eval.exposure import (
    ROUNDINGS,
    CaseObservations,
    case_views,
    contains,
    equal_but_for_one_field,
    observed,
    rounded,
    view_count,
)

WIDTHS = st.integers(1, 9)


def rows_of(width, most=8):
    shape = st.tuples(st.integers(0, most), st.just(width))
    return hnp.arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0, 2.0]))


def named(width):
    return [f"field {i}" for i in range(width)]


@st.composite
def pairs_of_rows(draw):
    width = draw(WIDTHS)
    return draw(rows_of(width)), draw(rows_of(width))


@given(pairs_of_rows())
def test_equal_in_all_fields_but_one_is_what_brute_force_finds(pair):
    first, second = (CaseObservations(rows, named(rows.shape[1])) for rows in pair)
    close = equal_but_for_one_field(case_views(first), case_views(second), first.rows.shape[1])
    differ = (first.rows[:, None] != second.rows[None]).sum(axis=2)  # [N, M] fields
    assert close.tolist() == ((differ <= 1).any(axis=1) & (first.rows.shape[1] > 1)).tolist()


@pytest.mark.parametrize("width", [2, 3, 33, 64, 65, 130])
def test_each_field_of_many_may_be_the_one_that_differs(width):
    row = np.random.default_rng(width).normal(size=width)
    others = row + np.eye(width)
    seen = case_views(CaseObservations(row[None], named(width)))
    assert seen.shape == (1, view_count(width))
    close = equal_but_for_one_field(case_views(CaseObservations(others, named(width))), seen, width)
    assert close.all()
    two = others + np.roll(np.eye(width), 1, axis=1)
    assert not equal_but_for_one_field(case_views(CaseObservations(two, named(width))), seen, width).any()


@given(pairs_of_rows())
def test_observations_are_equal_where_their_hashes_are(pair):
    width = pair[0].shape[1]
    first, second = (case_views(CaseObservations(rows, named(width))) for rows in pair)
    equal = (pair[0][:, None] == pair[1][None]).all(axis=2)
    assert (observed(first)[:, None] == observed(second)[None]).tolist() == equal.tolist()


@given(st.data(), WIDTHS)
def test_the_order_of_rows_and_columns_changes_no_hash(data, width):
    rows = data.draw(rows_of(width))
    columns, order = (data.draw(st.permutations(range(size))) for size in (width, len(rows)))
    names = named(width)
    shuffled = CaseObservations(rows[order][:, columns], [names[i] for i in columns])
    assert np.array_equal(case_views(shuffled), case_views(CaseObservations(rows, names))[order])


def test_values_under_other_names_are_others():
    rows = np.array([[1.0, 2.0]])
    hashes = {int(observed(case_views(CaseObservations(rows, names)))[0]) for names in (["a", "b"], ["b", "a"])}
    assert len(hashes) == 2


@pytest.mark.parametrize("rounding", ROUNDINGS)
@given(hnp.arrays(np.float64, (3, 4), elements=st.integers(-300, 300)), st.floats(-0.4, 0.4))
def test_noise_below_the_rounding_is_not_seen(rounding, steps, noise):
    """Around multiples of the rounding, noise below half of it."""
    clean, noisy = (CaseObservations((steps + x) * rounding, named(4)) for x in (0.0, noise))
    assert np.array_equal(rounded(case_views(clean), rounding), rounded(case_views(noisy), rounding))
    beyond = CaseObservations((steps + 0.6) * rounding, named(4))
    assert not (rounded(case_views(clean), rounding) == rounded(case_views(beyond), rounding)).any()


def test_the_levels_of_a_category_are_one_field():
    fields = ["size", "kind", "kind", "kind", "port"]
    seen = case_views(CaseObservations(np.array([[0.5, 1, 0, 0, 7]]), fields))
    other_kind = case_views(CaseObservations(np.array([[0.5, 0, 0, 1, 7]]), fields))
    assert equal_but_for_one_field(other_kind, seen, 3).all()
    other_kind_and_port = case_views(CaseObservations(np.array([[0.5, 0, 0, 1, 8]]), fields))
    assert not equal_but_for_one_field(other_kind_and_port, seen, 3).any()


def test_zero_has_no_sign_and_blocks_do_not_matter(monkeypatch):
    rows = np.random.default_rng(0).integers(-1, 2, (50, 6)) * np.float32(-1.0)  # with -0.0
    whole = case_views(CaseObservations(rows, named(6)))
    assert np.array_equal(whole, case_views(CaseObservations(rows + 0.0, named(6))))
    monkeypatch.setattr("rl_eval.exposure.observation_hashes.BLOCK_ROWS", 7)
    assert np.array_equal(whole, case_views(CaseObservations(rows, named(6))))


@given(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_contains_is_membership(values, wanted):
    found = contains(np.array(values, np.uint64), np.array(wanted, np.uint64))
    assert found.tolist() == [value in values for value in wanted]
