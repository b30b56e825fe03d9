"""Sums of costs: what is unknown of a part is unknown of the whole, and never 0."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.cost import Cost, Rate, cost_text, money_text, total

hours = st.floats(0, 1e6)
rates = st.builds(
    Rate,
    price_per_hour=st.none() | st.floats(1e-6, 1e3),
    watts=st.none() | st.floats(1e-3, 1e5),
    currency=st.sampled_from(["USD", "EUR"]),
    share=st.floats(0.01, 8),
)


@given(rates, st.lists(st.floats(0, 1e6), min_size=1, max_size=8))
def test_the_sum_of_the_parts_is_the_cost_of_the_whole(rate, seconds):
    whole, parts = rate.cost(sum(seconds)), total(map(rate.cost, seconds))
    assert math.isclose(parts.machine_s, whole.machine_s, rel_tol=1e-9, abs_tol=1e-12)
    for name in ("energy_wh", "money"):
        one, other = getattr(parts, name), getattr(whole, name)
        assert (one is None) == (other is None)
        assert one is None or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    assert parts.currency == whole.currency


@given(st.lists(st.builds(Cost, st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.just("USD")), max_size=6))
def test_one_part_without_a_price_leaves_the_sum_without_one(parts):
    summed = total([*parts, Cost(1.0)])
    assert (summed.money, summed.energy_wh, summed.currency) == (None, None, None)
    assert summed.machine_s == sum(part.machine_s for part in parts) + 1.0


def test_two_currencies_are_not_added():
    assert total([Cost(1, 1, 1, "USD"), Cost(1, 1, 1, "EUR")]).money is None


@pytest.mark.parametrize(
    ("rate", "seconds", "expected"),
    [
        # 2 USD an hour and 400 W for half an hour
        (Rate(price_per_hour=2.0, watts=400, currency="USD"), 1800, Cost(1800, 200, 1.0, "USD")),
        # half of a machine
        (Rate(price_per_hour=2.0, watts=400, currency="USD", share=0.5), 3600, Cost(1800, 200, 1.0, "USD")),
        (Rate(), 10, Cost(10, None, None, None)),
    ],
)
def test_costs_by_hand(rate, seconds, expected):
    assert rate.cost(seconds) == expected


def test_unknown_is_written_as_such():
    assert money_text(Cost(3.0)) == "unknown"
    assert "money unknown" in cost_text(Cost(3.0))
    assert "energy unknown" in cost_text(Cost(3.0))
    assert money_text(Cost(3.0, None, 0.5, "EUR")) == "0.5 EUR"
