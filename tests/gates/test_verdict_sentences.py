"""How a verdict states numbers against their bars."""

from __future__ import annotations

import re

import pytest

from rl_eval.gates.verdict import CriterionVerdict, decide_by_estimate, format_estimate


@pytest.mark.parametrize(
    ("threshold", "digits"), [(475.0000001, "475 over .* misses at_least 475.0000001"), (475, "meets")]
)
def test_a_near_miss_shows_the_digits_that_differ(threshold, digits):
    blank = CriterionVerdict("s", "c", "mean_return", "ERROR", "", "estimate", "at_least")
    assert re.search(digits, decide_by_estimate(blank, 475.0, threshold, " over 10 episodes").detail)


@pytest.mark.parametrize(
    ("direction", "threshold", "sentence"),
    [
        ("better_than", 0.0, "mean_return 9.5 is better than 0"),
        ("better_than", 21.9, "mean_return 9.5 is not better than 21.9, short by 12.4"),
        ("at_least", 21.9, "mean_return 9.5 misses at_least 21.9 by 12.4"),
    ],
)
def test_a_plain_number_is_stated_against_its_bar(direction, threshold, sentence):
    blank = CriterionVerdict("s", "c", "mean_return", "ERROR", "", "estimate", direction)
    assert decide_by_estimate(blank, 9.5, threshold, "").detail == sentence


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((476.4, 496.0), "486.2 ± 9.8"),
        ((476.4, 494.0), "486.2 in [476, 494]"),
        ((None, 500.0), "486.2 in [-∞, 500]"),
        ((400.0, None), "486.2 in [400, ∞]"),
        ((486.2, 486.2), "486.2"),
    ],
)
def test_an_interval_has_one_half_width_only_where_both_sides_are_equal(interval, text):
    verdict = CriterionVerdict(
        "s", "c", "mean_return", "PASS", "", "evidence", "at_least", estimate=486.2, interval=interval
    )
    assert format_estimate(verdict) == text
