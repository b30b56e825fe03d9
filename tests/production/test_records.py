"""Records and their bytes: what is sent comes back, equal records have equal bytes, and nothing else is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.production.records import LoggedDecision, LoggedReward, MessageError, decode, encode

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
times = st.floats(0, 4e9)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200)
maybe = st.none() | finite
arrays = st.binary(max_size=64)
decisions = st.builds(
    LoggedDecision, names, times, st.none() | names, names, arrays, st.none() | arrays, arrays, maybe, maybe, maybe,
    st.booleans(),
)  # fmt: skip
rewards = st.builds(
    LoggedReward, names, finite, times, st.booleans(), st.booleans(), st.none() | arrays, st.none() | arrays
)
records = st.lists(decisions | rewards, max_size=5)


@given(records)
def test_records_come_back_as_they_were_sent(sent):
    message = encode(sent)
    assert decode(message) == sent
    assert encode(decode(message)) == message


@given(records)
def test_the_bytes_are_those_of_sorted_json(sent):
    message = encode(sent)
    assert json.dumps(json.loads(message), sort_keys=True, separators=(",", ":")).encode() == message


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_in_one_sentence(message):
    with pytest.raises(MessageError, match="not a message of this program"):
        decode(b"\xff" + message)


DECISION = LoggedDecision("d", 1.0, None, "v", b"", None, b"", None, None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", ""), ("id", "x" * 201), ("id", 3), ("id", "a\nb"), ("at", "1"), ("at", True), ("at", 1e12),
        ("propensity", "1"), ("shadow", 0), ("observation", "*"), ("observation", None), ("version", None),
        ("unit", 1), ("more", 1),
    ],
)  # fmt: skip
def test_a_damaged_decision_is_refused(key, value):
    (values,) = json.loads(encode([DECISION]))
    with pytest.raises(MessageError, match="not a message of this program"):
        decode(json.dumps([{**values, key: value}]).encode())


def test_numbers_that_are_not_finite_are_neither_sent_nor_read():
    with pytest.raises(MessageError, match="not finite"):
        encode([LoggedReward("d", float("nan"), 1.0, True, False)])
    message = encode([LoggedReward("d", 0.5, 1.0, True, False)])
    for text in (b"NaN", b"Infinity", b"1e999"):
        with pytest.raises(MessageError):
            decode(message.replace(b"0.5", text))
