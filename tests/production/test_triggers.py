"""Triggers: what fires, how often, and what a clock that jumps does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.production.learning_config import DAY_S, TriggerConfig
from rl_eval.production.triggers import Clock, TriggerState, begin, due, end, give_up_dead, look, renew, start

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


def test_never_two_at_once():
    state = begin(BEGIN, "t1", "experiences")
    assert due(after(state, 40 * DAY_S), CONFIG, 10_000, True) is None
    with pytest.raises(InputError, match="t1 runs already"):
        begin(state, "t2", "daily")
    assert due(end(state, "t1"), CONFIG, 10_000, False) == "experiences"


def test_a_dead_training_is_given_up_and_its_reason_is_due_again():
    state = begin(after(BEGIN, DAY_S), "t1", "daily")
    alive = renew(after(state, 599), "t1")
    assert give_up_dead(after(alive, 600), DAILY, 600.0).running == "t1"
    given_up = give_up_dead(after(alive, 601), DAILY, 600.0)
    assert given_up.running is None
    assert due(given_up, DAILY, 100, False) == "daily"
    with pytest.raises(InputError, match="lost its lease"):
        renew(given_up, "t1")
    with pytest.raises(InputError, match="t2 runs now"):
        end(begin(given_up, "t2", "daily"), "t1")
    full = begin(after(BEGIN, 30 * DAY_S), "t3", "monthly")
    assert due(give_up_dead(after(full, 601), CONFIG, 600.0), CONFIG, 0, False) == "monthly"


@given(st.lists(st.tuples(st.floats(0, 7200), st.floats(-1e8, 1e8)), min_size=1, max_size=60))
def test_a_clock_that_jumps_in_a_process_changes_nothing(looks):
    """Each look: seconds that passed, and by how much the clock of the day is off by then."""
    state, steady, fired = BEGIN, 50.0, 0
    for passed, off in looks:
        steady += passed
        state = look(state, Clock(max(1e9 + steady + off, 0.0), steady, "a"))
        if reason := due(state, DAILY, 500, False):
            state = end(begin(state, "t", reason), "t")
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
                state = end(begin(state, "t", reason), "t")
                fired += 1
    assert fired <= forward


def test_a_jump_of_a_month_is_no_full_training():
    assert due(after(BEGIN, 0.0, wall=40 * DAY_S, process="b"), CONFIG, 0, False) is None


@given(st.sampled_from(["daily", "experiences", "drift", "monthly"]))
def test_the_state_survives_json(reason):
    import json

    state = begin(after(BEGIN, 12.5), "t1", reason)
    assert TriggerState.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(
    "change",
    [{"at": "x"}, {"reason": "whim"}, {"running": None}, {"since_full": -1.0}, {"steady": float("nan")}, {"other": 1}],
)
def test_a_damaged_state_is_refused(change):
    values = begin(BEGIN, "t1", "daily").to_json()
    with pytest.raises(InputError, match="damaged"):
        TriggerState.from_json({**values, **change})
