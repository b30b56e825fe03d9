"""Which policy decides about a unit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.production.canary.assignment import Assignment, assignment
from rl_eval.production.canary.row import Row

UNITS = [f"unit-{index}" for index in range(20_000)]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_share_of_units_is_the_share(share):
    chosen = sum(Assignment(1, 2, share).to_challenger(unit) for unit in UNITS) / len(UNITS)
    assert chosen == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(UNITS)))


@settings(max_examples=30)
@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_unit_stays_while_the_share_grows(unit, one, other):
    low, high = sorted((one, other))
    assert Assignment(1, 2, low).to_challenger(unit) <= Assignment(1, 2, high).to_challenger(unit)
    assert not Assignment(1, 2, 0.0).to_challenger(unit)
    assert Assignment(1, 2, 1.0).to_challenger(unit)


def test_the_next_roll_out_begins_with_other_units():
    first, second = ([Assignment(1, number, 0.1).to_challenger(unit) for unit in UNITS] for number in (2, 3))
    assert np.mean(np.array(second)[np.array(first)]) == pytest.approx(0.1, abs=0.03)


def test_the_challenger_decides_only_where_row_and_alias_agree():
    body = Row("canary", share=0.5, challenger=2, champion=1).body()
    assert assignment(body, {"champion": 1, "challenger": 2}) == Assignment(1, 2, 0.5)
    for aliases in ({"champion": 1}, {"champion": 1, "challenger": 3}, {"champion": 2, "challenger": 2}):
        assert assignment(body, aliases) == Assignment(aliases["champion"])
    assert assignment({}, {"champion": 1, "challenger": 2}) == Assignment(1)
    assert assignment({}, {}) == Assignment(None)
    with pytest.raises(InputError, match="another version"):
        assignment({"states": "canary"}, {})
    with pytest.raises(InputError, match="damaged"):
        assignment({"state": "odd"}, {})
