"""The memory of testers, by hand-worked episodes."""

import numpy as np
import pytest

from rl_eval.domains.webtest.exploration import BACK, START, Caused, Exploration, Shown
from rl_eval.domains.webtest.observation import CANDIDATE_MOVING, PAGE_MOVING, RESULTS

LINK, FIELD = 2, 3  # actions besides the browser's own


def shown(state: int, actions: list[int]) -> Shown:
    """A page of one tester with some actions."""
    return Shown(
        state=np.array([state]),
        actions=np.array([actions]),
        legal=np.array([actions]) >= 0,
        holds=np.zeros((1, len(actions)), bool),
        filled=np.zeros((1, 6), int),
    )


def caused(action: int, *sites: int, seeded: int = 1, refused: bool = False) -> Caused:
    """What an action of one tester caused; each failure has severity .5 and happens where half of the users come by."""
    places = list(sites) + [-1] * (3 - len(sites))
    return Caused(
        action=np.array([action]),
        sites=np.array([places]),
        severity=np.full((1, 3), 0.5),
        seeded=np.full((1, 3), seeded),
        refused=np.array([refused]),
        timed_out=np.zeros(1, bool),
        errors_shown=np.zeros(1, bool),
        seconds=np.zeros(1),
        traffic=np.full(1, 0.5),
    )


@pytest.fixture
def memory():
    """A tester of at most ten actions who has just opened state 4 with a link and a field."""
    memory = Exploration(1, states=8, actions=8, sites=4, max_actions=10)
    memory.start(np.ones(1, bool), shown(4, [LINK, FIELD, BACK, START]))
    return memory


def record(memory, action, page, *sites, **values):
    """The facts of an action, as plain numbers."""
    facts = memory.record(np.ones(1, bool), caused(action, *sites, **values), page)
    return {name: fact[0].item() for name, fact in facts.items()}


def test_a_link_to_a_new_page_and_back_and_again(memory):
    home, other = shown(4, [LINK, FIELD, BACK, START]), shown(5, [5, -1, BACK, START])
    facts = record(memory, LINK, other)
    assert (facts["new_state"], facts["new_transition"], facts["duplicate"]) == (True, True, False)
    assert facts["novelty"] == pytest.approx(1.0)
    facts = record(memory, BACK, home)
    assert (facts["new_state"], facts["new_transition"], facts["duplicate"]) == (False, False, True)
    facts = record(memory, LINK, other)
    assert facts["duplicate"]
    assert facts["novelty"] == pytest.approx(0.5 / 2**0.5 + 0.5 / 2**0.5)
    assert facts["path"] == 3
    assert record(memory, START, home)["path"] == 0


def test_a_failure_counts_once_by_its_site(memory):
    page = shown(4, [LINK, FIELD, BACK, START])
    facts = record(memory, LINK, page, 1, 1, 2)
    assert (facts["new_failures"], facts["severity"], facts["defects_found"]) == (2, 1.0, 2)
    assert facts["prevented"] == pytest.approx(1.0 * 0.5 * 0.9)
    facts = record(memory, LINK, page, 2, 3)
    assert (facts["new_failures"], facts["known_failures"]) == (1, 1)
    assert record(memory, LINK, page, 0, seeded=0)["false_failures"] == 1
    facts = record(memory, LINK, page, 1)
    assert (facts["new_failures"], facts["known_failures"], facts["duplicate"]) == (0, 1, True)


def test_a_page_without_candidates_is_a_dead_end_and_a_refused_action_is_no_transition(memory):
    assert record(memory, LINK, shown(6, [-1, -1, BACK, START]))["dead_end"]
    facts = record(memory, FIELD, shown(4, [LINK, FIELD, BACK, START]), refused=True)
    assert (facts["refused"], facts["new_transition"], facts["dead_end"]) == (True, False, False)


def test_columns_say_what_was_tried_and_where_it_led(memory):
    home, other = shown(4, [LINK, FIELD, BACK, START]), shown(5, [5, -1, BACK, START])
    record(memory, LINK, other)
    record(memory, BACK, home)
    columns = dict(zip(CANDIDATE_MOVING, memory.candidate_columns(home)[0].T, strict=True))
    assert columns["untried"].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert columns["target_known"].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert columns["target_number"][0] == 1 / 32  # the second state met
    assert columns["target_untried"][0] == 1 / 4  # one of four candidates there is untried
    assert columns["number"].tolist() == [0.0, 1 / 128, 2 / 128, 3 / 128]
    assert columns["caused_new_state"].tolist() == [1.0, 0.0, 0.0, 0.0]
    page = dict(zip(PAGE_MOVING, memory.page_columns(home)[0].tolist(), strict=True))
    assert (page["state_number"], page["first_visit"]) == (0.0, 0.0)
    assert page["actions_left"] == pytest.approx(0.8)
    assert [page[f"caused_{result}"] for result in RESULTS].index(1.0) == RESULTS.index("known_state")


def test_copies_that_start_again_forget_and_others_do_not():
    memory = Exploration(2, states=4, actions=4, sites=2, max_actions=5)
    page, link = (
        type(one)(*(np.repeat(value, 2, axis=0) for value in vars(one).values()))
        for one in (shown(1, [2, 0, 1]), caused(2, 1))
    )
    memory.start(np.ones(2, bool), page)
    memory.record(np.ones(2, bool), link, page)
    memory.start(np.array([True, False]), page)
    assert memory.tries[:, 2].tolist() == [0, 1]
    assert memory.seen[:, 1].tolist() == [False, True]
    assert memory.time.tolist() == [0, 1]


def test_a_state_of_another_shape_is_refused():
    state = Exploration(1, states=4, actions=4, sites=2, max_actions=5).get_state()
    with pytest.raises(ValueError, match=r"has shape \(1, 4\), and this environment has \(1, 5\)"):
        Exploration(1, states=5, actions=4, sites=2, max_actions=5).set_state(state)
