"""The roll-out's states: every event in every state, against a table written by hand."""

import itertools

import pytest

from rl_eval.errors import InputError
from rl_eval.production import states

# One line a state, one column an event in the order below; `.` is refused.
EVENTS = "begin begin_shadow train advance fill complete roll_back pause resume abort promote pin unpin done".split()
EXPECTED = """
idle          canary  shadow  idle   .       .     .          .             .       .        .             .          pinned .     .
shadow        .       .       .      canary  .     .          rolling_back  paused  .        rolling_back  promoting  pinned .     .
canary        .       .       .      canary  full  .          rolling_back  paused  .        rolling_back  promoting  pinned .     .
full          .       .       .      .       .     promoting  rolling_back  paused  .        rolling_back  promoting  pinned .     .
paused        .       .       .      .       .     .          rolling_back  .       canary   rolling_back  promoting  pinned .     .
promoting     .       .       .      .       .     .          .             .       .        .             .          .      .     idle
rolling_back  .       .       .      .       .     .          .             .       .        .             .          .      .     idle
pinned        .       .       .      .       .     .          .             .       .        .             .          pinned idle  .
"""  # noqa: E501
TABLE = {words[0]: dict(zip(EVENTS, words[1:], strict=True)) for words in map(str.split, EXPECTED.strip().split("\n"))}


def test_the_table_names_every_state_and_event():
    assert set(TABLE) == set(states.STATES)
    assert set(EVENTS) == set(states.EVENTS)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(states.STATES, states.EVENTS)))
def test_every_event_in_every_state(state, event):
    expected = TABLE[state][event]
    if expected == ".":
        with pytest.raises(InputError, match=f"the roll-out is {state}, where {event} is not possible"):
            states.next_state(state, event, "canary")
    else:
        assert states.next_state(state, event, "canary") == expected


@pytest.mark.parametrize(
    ("state", "event", "said"),
    [
        ("idle", "resume", "nothing is paused or pinned; `pin` is possible now"),
        ("idle", "abort", "`resume` make an earlier version the champion again; `pin` is possible now"),
        ("idle", "promote", "no version is the challenger; `pin` is possible now"),
        ("idle", "pause", "no roll-out runs; `pin` is possible now"),
        ("canary", "resume", "nothing is paused or pinned; `pause`, `abort`, `promote` and `pin` are possible now"),
        ("paused", "pause", "it is paused already; `resume`, `abort`, `promote` and `pin` are possible now"),
        ("pinned", "promote", "a version is pinned; `pin` and `resume` are possible now"),
        ("promoting", "pause", "wait until its aliases have changed"),
    ],
)
def test_a_refusal_names_the_commands_that_are_possible(state, event, said):
    with pytest.raises(InputError) as refused:
        states.next_state(state, event, "canary")
    assert str(refused.value).endswith(said)


@pytest.mark.parametrize("previous", states.STATES)
def test_resume_goes_back_to_what_was_paused(previous):
    if previous in ("shadow", "canary", "full"):
        assert states.next_state("paused", "resume", previous) == previous
    else:
        with pytest.raises(InputError):
            states.next_state("paused", "resume", previous)


def test_an_end_is_reached_from_everywhere():
    """From every state some events lead to idle, so no roll-out is stuck."""
    for state in states.STATES:
        reached, queue = set(), [state]
        while queue:
            here = queue.pop()
            if here not in reached:
                reached.add(here)
                queue += [states.next_state(here, event, "canary") for event in states.TABLE[here]]
        assert "idle" in reached


def test_the_challenger_gets_all_units_only_step_by_step_or_by_a_person():
    into_full = {(state, event) for state in states.STATES for event, to in states.TABLE[state].items() if to == "full"}
    into_promoting = {(s, event) for s in states.STATES for event, to in states.TABLE[s].items() if to == "promoting"}
    assert into_full == {("canary", "fill")}
    assert {event for _, event in into_promoting} == {"complete", "promote"}
    assert [state for state, event in into_promoting if event == "complete"] == ["full"]


def test_a_training_starts_only_where_no_roll_out_runs_and_changes_nothing():
    assert {state for state in states.STATES if "train" in states.TABLE[state]} == {"idle"}
    assert states.next_state("idle", "train") == "idle"
