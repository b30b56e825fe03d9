"""How benchmarks compare, summarise and print their figures."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.interleave import as_json, compare, in_turn, print_results, show, spread

seconds = st.floats(0.01, 1e6)


def test_a_ratio_is_taken_within_a_round():
    figures = {"ours": [10.0, 30.0, 20.0], "peer": [5.0, 10.0, 20.0]}
    results = compare(figures, "ours", "peer")
    assert results["ratio"] == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert results["ours"] == {"median": 20.0, "min": 10.0, "max": 30.0}


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=9))
def test_the_ratio_is_above_one_when_ours_is_better_for_both_directions(pairs):
    our_s, peer_s = ([pair[i] for pair in pairs] for i in (0, 1))
    rates = {"ours": [1 / s for s in our_s], "peer": [1 / s for s in peer_s]}
    by_seconds = compare({"ours": our_s, "peer": peer_s}, "ours", "peer", less=True)["ratio"]
    assert by_seconds == pytest.approx(compare(rates, "ours", "peer")["ratio"])


@given(st.lists(seconds, min_size=1, max_size=20))
def test_a_spread_is_ordered_and_made_of_what_was_measured(values):
    results = spread(values)
    assert results["min"] == min(values) <= results["median"] <= max(values) == results["max"]


def test_the_sides_take_turns_and_the_order_alternates():
    calls = []
    sides = {name: lambda name=name: calls.append(name) or float(len(calls)) for name in ("ours", "peer")}
    assert in_turn(sides, 3) == {"ours": [1.0, 4.0, 5.0], "peer": [2.0, 3.0, 6.0]}
    assert calls == ["ours", "peer", "peer", "ours", "ours", "peer"]


def test_a_figure_that_was_not_reached_is_null_in_json_and_words_in_the_table(capsys):
    results = {"seconds": spread([3.0, math.inf, math.inf])}
    assert json.loads(as_json("lunarlander", results))["seconds"] == {"median": None, "min": 3.0, "max": None}
    print_results({"seconds": results})
    assert "median not reached, min 3" in capsys.readouterr().out


@pytest.mark.parametrize(("value", "text"), [(123456.7, "123,457"), (2.345, "2.35"), (0.0306, "0.0306"), (0, "0")])
def test_figures_have_three_significant_digits(value, text):
    assert show(value) == text
