"""Triggers: what fires, how often, and what a clock that jumps does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.production.learning_config import DAY_S, TriggerConfig
from rl_eval.production.triggers import Clock, Schedule, TriggerState, began, due, look, start

CONFIG = TriggerConfig()
DAILY = TriggerConfig(experiences=None, monthly=None, drift=False)
BEGIN = start(Clock(1e9, 50.0, "a"))


def after(state, seconds, wall=None, process="a"):
    at = state.at + (seconds if wall is None else wall)
    return look(state, Clock(at, state.steady + seconds, process))


@pytest.mark.parametrize(
    ("passed", "accepted", "drifted", "reason"),
    [
        (0, 0, False, None),
        (DAY_S - 1, 999, False, None),
        (DAY_S, 100, False, "daily"),
        (DAY_S, 99, False, None),  # nothing to learn from
        (0, 1000, False, "experiences"),
        (3599, 500, True, None),
        (3600, 500, True, "drift"),
        (3600, 99, True, None),
        (30 * DAY_S, 0, False, "monthly"),
        (30 * DAY_S, 5000, True, "monthly"),
    ],
)
def test_what_fires(passed, accepted, drifted, reason):
    assert due(after(BEGIN, passed), CONFIG, accepted, drifted) == reason


def test_a_training_starts_the_time_anew_and_a_full_one_both_times():
    state = after(BEGIN, 29 * DAY_S)
    daily = began(state, "daily")
    assert due(daily, DAILY, 500, False) is None
    assert due(after(daily, DAY_S), CONFIG, 100, False) == "monthly"
    assert began(state, "monthly").since_full == 0.0


@given(st.lists(st.tuples(st.floats(0, 7200), st.floats(-1e8, 1e8)), min_size=1, max_size=60))
def test_a_clock_that_jumps_in_a_process_changes_nothing(looks):
    """Each look: seconds that passed, and by how much the clock of the day is off by then."""
    state, steady, fired = BEGIN, 50.0, 0
    for passed, off in looks:
        steady += passed
        state = look(state, Clock(max(1e9 + steady + off, 0.0), steady, "a"))
        if reason := due(state, DAILY, 500, False):
            state = began(state, reason)
            fired += 1
    assert fired <= (steady - 50.0) // DAY_S


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30))
def test_over_restarts_a_jump_fires_at_most_once(jumps):
    """No time passes at all: a clock that jumps forward counts as a day, and fires once until it jumps again."""
    state, fired, forward = BEGIN, 0, 0
    for i, jump in enumerate(jumps):
        forward += jump > 0
        for attempt in range(3):  # looks of the same process after the jump
            at = max(state.at + (jump if attempt == 0 else 0.0), 0.0)
            state = look(state, Clock(at, 7.0, f"p{i}"))
            if reason := due(state, DAILY, 500, False):
                state = began(state, reason)
                fired += 1
    assert fired <= forward


def test_a_jump_of_a_month_is_no_full_training():
    assert due(after(BEGIN, 0.0, wall=40 * DAY_S, process="b"), CONFIG, 0, False) is None


def test_the_state_survives_json():
    state = began(after(BEGIN, 12.5), "daily")
    assert TriggerState.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(
    "change", [{"at": "x"}, {"process": None}, {"since_full": -1.0}, {"steady": float("nan")}, {"other": 1}]
)
def test_a_damaged_state_is_refused(change):
    with pytest.raises(InputError, match="damaged"):
        TriggerState.from_json({**BEGIN.to_json(), **change})


def test_the_store_keeps_the_time_over_restarts_and_between_watchers(tmp_path):
    pytest.importorskip("sqlalchemy")
    from rl_eval.production.store import Store

    stores = [Store("sqlite:///store.sqlite", tmp_path) for _ in range(2)]
    first, second = (Schedule(store, DAILY) for store in stores)
    assert first.due(Clock(0.0, 0.0, "a"), 500, False) is None
    assert first.due(Clock(DAY_S / 2, DAY_S / 2, "a"), 500, False) is None
    assert second.due(Clock(DAY_S, 3.0, "b"), 500, False) == "daily"
    second.began(Clock(DAY_S, 3.0, "b"), "daily")
    assert first.due(Clock(DAY_S, DAY_S, "a"), 500, False) is None
    assert second.due(Clock(2 * DAY_S, 3.0 + DAY_S, "b"), 500, False) == "daily"
    for store in stores:
        store.close()
