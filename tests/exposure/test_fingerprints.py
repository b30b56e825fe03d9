"""Fingerprints of rows are equal exactly where rows are equal, or equal to about three digits."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from rl_eval.exposure import fingerprint_observations, hash_rows, round_to_bits

FEW_VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.0001, 1.002, -1.0, 0.5, 1e-300, 3e5, math.inf])
SHAPES = st.tuples(st.integers(0, 12), st.integers(1, 3))
ROWS = arrays_of.arrays(np.float64, SHAPES, elements=FEW_VALUES)


@given(ROWS)
def test_rows_hash_alike_exactly_when_they_are_equal(rows):
    """Against Python's own equality of tuples, for which -0.0 == 0.0."""
    exact, _ = fingerprint_observations(rows)
    plain = [tuple(row) for row in rows.tolist()]
    assert [[a == b for a in exact] for b in exact] == [[a == b for a in plain] for b in plain]


def by_hand(x, bits=10):
    """Ten significant bits through integers: ties to even, as Python's `round`."""
    if x == 0 or math.isinf(x):
        return x
    exponent = math.frexp(x)[1]
    return round(x * 2.0 ** (bits - exponent)) * 2.0 ** (exponent - bits) if abs(exponent) < 900 else x


@given(ROWS)
def test_near_duplicates_are_those_that_brute_force_finds(rows):
    _, near = fingerprint_observations(rows)
    plain = [tuple(by_hand(x) for x in row) for row in rows.tolist()]
    assert [[a == b for a in near] for b in near] == [[a == b for a in plain] for b in plain]


@given(st.floats(1e-100, 1e100), st.floats(-1e-3, 1e-3))
def test_rounding_moves_a_number_by_less_than_a_thousandth(x, relative):
    assert abs(round_to_bits(np.array(x)) - x) <= x / 1000
    assert round_to_bits(np.array(-x)) == -round_to_bits(np.array(x))
    assert round_to_bits(round_to_bits(np.array(x))) == round_to_bits(np.array(x))


def test_the_fingerprint_is_of_the_numbers_not_of_their_type_or_layout():
    rows = np.array([[1, 2, 3], [4, 5, 6]])
    for same in (rows.astype(np.float32), np.asfortranarray(rows, np.float64), rows.astype(np.uint8)[:, :, None]):
        assert np.array_equal(hash_rows(same), hash_rows(rows))
    assert len(set(hash_rows(rows[:, ::-1])) | set(hash_rows(rows))) == 4
    assert len(set(hash_rows(np.zeros((1, 2)))) & set(hash_rows(np.zeros((1, 3))))) == 0


def test_fingerprints_stay_as_they_were():
    """A run is judged by later versions too: these values may change only with the schema."""
    assert hash_rows(np.array([[0.0], [1.0], [-2.5]])).tolist() == [
        10905525725756348110,
        8616530930701005867,
        10958213021151862089,
    ]


def test_a_million_neighbours_have_different_fingerprints():
    rows = np.stack([np.arange(1_000_000) // 1000, np.arange(1_000_000) % 1000], 1)
    assert len(np.unique(hash_rows(rows))) == 1_000_000
