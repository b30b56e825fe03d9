"""How values are written for people."""

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.formatting import (
    brief,
    clock,
    compact,
    decision_text,
    display_text,
    duration,
    escape_controls,
    mask_url,
    mask_urls,
    number,
    percent,
    quantity,
    short_duration,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (math.nan, "nan"), (math.inf, "inf"), (10**400, "inf"), (-(10**400), "-inf"), (True, "1"),
        (0, "0"), (-0.0, "0"), (200, "200"), (200.0, "200"), (12345678, "12,345,678"), (187.34, "187.3"),
        (1234.56, "1,235"), (123456.789, "123,457"), (99999.6, "100,000"), (0.92714, "0.9271"), (0.1 + 0.2, "0.3"),
        (-0.031214, "-0.03121"), (3e-4, "0.0003"), (1e-8, "1e-8"), (1.2e-7, "1.2e-7"), (1e20, "1e20"),
        ("unknown", "unknown"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


@given(st.floats(-1e300, 1e300))
def test_a_number_is_short_and_has_four_digits(value):
    text = number(value)
    assert len(text) <= 20
    assert math.isclose(float(text.replace(",", "")), value, rel_tol=5.1e-4)


def test_a_number_has_more_digits_where_it_must_differ_from_another():
    assert (number(0.94999), number(0.94999, distinct_from=0.95)) == ("0.95", "0.94999")
    assert number(0.95, distinct_from=0.95) == "0.95"
    assert number(12_345.4, distinct_from=12_345.3) == "12,345.4"
    assert number(math.nan, distinct_from=0.95) == "nan"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_two_different_numbers_are_written_differently(first, second):
    if not math.isclose(first, second, rel_tol=1e-14, abs_tol=1e-300):
        assert number(first, distinct_from=second) != number(second, distinct_from=first)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (-200, "-200"), (0.05, "0.05"), (9_812, "9,812"), (25_000, "25k"), (250_000, "250k"),
        (999_999, "1M"), (1.5e6, "1.5M"), (2e9, "2G"),
    ],
)  # fmt: skip
def test_compact_numbers(value, text):
    assert compact(value) == text


def test_shares_and_times():
    assert [percent(0.4312), percent(0.4312, 0)] == ["43.1 %", "43 %"]
    assert [duration(s) for s in (0, 4.76, 59.96, 200, 7500)] == [
        "0.0 s",
        "4.8 s",
        "1 min 0 s",
        "3 min 20 s",
        "2 h 5 min",
    ]
    assert [clock(s) for s in (8, 754, 3723)] == ["0:08", "12:34", "1:02:03"]


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0ms"), (999.4, "999ms"), (999.6, "1.0s"), (59_940, "59.9s"), (59_960, "1m 00s"), (200_000, "3m 20s"),
     (3_599_600, "1h 00m"), (3_900_000, "1h 05m"), (1e11, "27,777h 47m"), (math.nan, "-")],
)  # fmt: skip
def test_short_durations(ms, text):
    assert short_duration(ms) == text


def test_decisions_read_as_words():
    assert [decision_text(d) for d in ("PASS", "NEEDS_RUNS", "NONE")] == ["PASS", "NEEDS RUNS", "NOT JUDGED"]


def test_long_values_are_cut():
    assert brief("short") == "short"
    assert brief("x" * 700) == "x" * 600 + " … (700 characters)"
    assert len(brief([["x" * 10_000] * 10_000] * 10_000)) < 700


HOSTILE = "\x1b\x00\x07\r\n\x7f\x9b\u202e\u2066\u200f\u2028\ud800"


@given(st.text() | st.text(st.sampled_from(HOSTILE + "a é\u3000")))
def test_nothing_that_acts_on_a_terminal_is_left(text):
    escaped = escape_controls(text)
    assert not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in escaped)
    assert not any(unicodedata.bidirectional(letter)[:3] in ("LRO", "RLO", "LRE", "RLE", "PDF") for letter in escaped)
    assert escape_controls(escaped) == escaped
    assert escape_controls(text, keep=text) == text


def test_controls_are_written_out():
    assert escape_controls("a\x1b[31m\u202eb\nc", keep="\n") == "a\\u001b[31m\\u202eb\nc"
    assert escape_controls("née ‍🧑‍💻 日本") == "née ‍🧑‍💻 日本"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://user:pw@host:8443/a", "https://user:***@host:8443/a"),
        ("https://token@host", "https://***@host"),
        ("http://:pw@host", "http://***@host"),
        ("http://u:p@ss/w?o#rd@host/a", "http://u:***@host/a"),
        ("http://host/a?token=abc&plain;x=1=2", "http://host/a?token=***&***;x=***"),
        ("http://host/a#access_token=abc", "http://host/a#access_token=***"),
        ("http://127.0.0.1:8000/act", "http://127.0.0.1:8000/act"),
    ],
)
def test_secrets_in_urls(url, masked):
    assert mask_url(url) == masked
    assert mask_url(masked) == masked


@given(st.text(st.characters(codec="utf-8", exclude_characters=":@/?#*"), min_size=1), st.text(min_size=1))
def test_no_password_is_left_in_a_url(user, password):
    assert mask_url(f"http://{user}:{password}@host/path") == f"http://{user}:***@host/path"


def test_secrets_in_urls_in_a_sentence():
    text = "policy 'http://u:pw@h/a?key=abc' or https://h/b?token=abc: give http://127.0.0.1:<port>/<path>, //x@y"
    shown = "policy 'http://u:***@h/a?key=***' or https://h/b?token=***: give http://127.0.0.1:<port>/<path>, //x@y"
    assert mask_urls(text) == shown
    assert display_text(text + "\x1b") == shown + "\\u001b"


@pytest.mark.parametrize(("count", "text"), [(0, "0 episodes"), (1, "1 episode"), (12_345, "12,345 episodes")])
def test_a_quantity_agrees_with_its_number(count, text):
    assert quantity(count, "episode") == text
