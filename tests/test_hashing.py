"""Hashes of 64 bits: compared with the published function, plain formulas, and values of earlier versions."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rl_eval import exposure
from rl_eval.domains.threat.flow_table import Table, partition_hashes
from rl_eval.hashing import hash_columns, hash_text, mix64

WORDS = st.integers(0, 2**64 - 1)
MASK = 2**64 - 1


def split_mix(word):
    """SplitMix64 in whole numbers, as its paper has it."""
    word = (word + 0x9E3779B97F4A7C15) & MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)


def bits(number):
    return int(np.float64(number).view(np.uint64))


def test_the_published_sequence():
    """The first outputs of SplitMix64 with seed 1234567, as its reference implementation prints them."""
    states = [(1234567 + i * 0x9E3779B97F4A7C15) & MASK for i in range(3)]
    assert [int(mix64(np.uint64(state))) for state in states] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@given(st.lists(WORDS, max_size=20))
def test_words_are_mixed_one_by_one(words):
    mixed = mix64(np.array(words, np.uint64))
    assert mixed.dtype == np.uint64
    assert mixed.tolist() == [split_mix(word) for word in words]


@given(hnp.arrays(np.uint64, st.tuples(st.integers(0, 4), st.integers(0, 5)), elements=WORDS), WORDS)
def test_columns_are_chained(rows, start):
    expected = []
    for row in rows.tolist():
        state = start
        for word in row:
            state = split_mix(state ^ word)
        expected.append(state)
    assert hash_columns(rows.T, len(rows), start).tolist() == expected


def test_a_column_of_numbers_is_hashed_by_its_bits():
    numbers = np.array([0.5, -0.0, np.inf])
    assert hash_columns([numbers], 3).tolist() == [split_mix(bits(number)) for number in numbers]


def test_the_hash_of_a_text_is_that_of_b2sum():
    """`printf tcp | b2sum -l 64` prints these bytes, the lowest first."""
    assert hash_text("tcp").to_bytes(8, "little").hex() == "c94501e55a09d253"


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(0, 5))))
def test_rows_of_observations_hash_as_they_always_did(rows):
    """The loop that wrote the fingerprints of runs, which this module replaced."""
    state = np.full(len(rows), rows.shape[1] + 1, np.uint64)
    for column in np.ascontiguousarray((rows + 0.0).T).view(np.uint64):
        state = (state ^ column) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    assert np.array_equal(exposure.hash_rows(rows), state)


@given(
    hnp.arrays(np.float64, (3, 2), elements=st.floats(allow_nan=False, allow_infinity=False)),
    hnp.arrays(np.int32, (3, 2), elements=st.integers(0, 1)),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=4, max_size=4),
)
def test_flows_hash_as_they_always_did(numeric, codes, texts):
    """The loop that split files into parts, which this module replaced."""
    levels = (tuple(texts[:2]), tuple(texts[2:]))
    label, category = np.zeros(3, np.int8), np.zeros(3, np.int16)
    table = Table(("a", "b"), numeric, ("c", "d"), levels, codes, label, ("e",), category)
    state = [0x9E3779B97F4A7C15] * 3
    for column in numeric.T.tolist():
        state = [split_mix(word ^ bits(number + 0.0)) for word, number in zip(state, column, strict=True)]
    for names, column in zip(levels, codes.T.tolist(), strict=True):
        digests = [hashlib.blake2b(names[code].encode(), digest_size=8).digest() for code in column]
        state = [split_mix(word ^ int.from_bytes(d, "little")) for word, d in zip(state, digests, strict=True)]
    assert partition_hashes(table).tolist() == state
