"""Steps as bytes: they come back, and what is of other environments or damaged is refused."""

import contextlib
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.step_layout import CopiesStep, StepLayout

LAYOUT = StepLayout(copies=3, obs_size=2, actions=4)


def step(seed, final=False, valid=False, masks=True):
    rng = np.random.default_rng(seed)
    return CopiesStep(
        obs=rng.normal(size=(3, 2)).astype(np.float32),
        actions=rng.integers(4, size=3),
        rewards=rng.normal(size=3).astype(np.float32),
        terminated=rng.random(3) < 0.5,
        truncated=rng.random(3) < 0.5,
        final_obs=rng.normal(size=(3, 2)).astype(np.float32) if final else None,
        valid=rng.random(3) < 0.5 if valid else None,
        mask=rng.random((3, 4)) < 0.5 if masks else None,
        final_mask=rng.random((3, 4)) < 0.5 if masks and final else None,
    )


def assert_same(one, other):
    for field in fields(CopiesStep):
        expected, value = getattr(one, field.name), getattr(other, field.name)
        assert (expected is None) == (value is None)
        if expected is not None:
            np.testing.assert_array_equal(value, expected)
            assert value.dtype == expected.dtype


@given(st.lists(st.tuples(st.integers(0, 99), st.booleans(), st.booleans(), st.booleans()), max_size=4), st.booleans())
def test_steps_come_back(kinds, begins):
    steps = [step(*kind) for kind in kinds]
    again, begun = LAYOUT.unpack(LAYOUT.pack(steps, begins=begins))
    assert begun == begins
    for one, other in zip(steps, again, strict=True):
        assert_same(one, other)


@given(st.data())
def test_what_is_cut_or_longer_is_refused(data):
    whole = LAYOUT.pack([step(1, final=True), step(2)], begins=True)
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError, match=r"damaged|has no steps"):
        LAYOUT.unpack(whole[:length])
    with pytest.raises(ValueError, match="its length is wrong"):
        LAYOUT.unpack(whole + b"x")


@given(st.binary(max_size=200))
def test_any_bytes_are_steps_or_a_sentence(data):
    with pytest.raises(ValueError, match="message of another process"):
        LAYOUT.unpack(data)


@given(st.integers(24, 200), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_else(place, value):
    whole = bytearray(LAYOUT.pack([step(1, final=True)], begins=True))
    whole[place % len(whole)] = value
    with contextlib.suppress(ValueError):
        LAYOUT.unpack(bytes(whole))


def test_steps_of_other_environments_are_refused():
    numbers = "2 numbers per observation and 4 actions"
    with pytest.raises(ValueError, match=f"3 copies with {numbers}, and this one has 3, 5"):
        StepLayout(3, 5, 4).unpack(LAYOUT.pack([step(1)], begins=True))
