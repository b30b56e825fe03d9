"""The planner that says what sessions of their own are worth: moves as the simulator makes them."""

import numpy as np
import pytest

from benchmarks.webtest_sessions import Plan, Session, states_seen
from rl_eval.domains.webtest import Config
from rl_eval.domains.webtest.simulator.session import FIRST_FIELD, INDEX
from rl_eval.domains.webtest.simulator.vector import SimulatedVector

BACK_PLACE = -2  # of the candidates of a page


@pytest.fixture(scope="module")
def vector():
    vector = SimulatedVector(Config(defect_share=1e-9), n_envs=3, part="validation", autoreset=False)
    vector.reset(seed=[1, 2, 3])
    return vector


def session_of(vector, copy):
    """The session of a copy of the simulator; the plan need not know the page before, as back is not used."""
    quantities, row, page = vector._quantities[copy], vector._row[copy], int(vector._page[copy])
    accepted = vector._pool.tables.accepts[row, page] >> quantities[FIRST_FIELD:] & 1
    cart = min(int(quantities[INDEX["cart"]]), 2)
    return Session(page, None, bool(quantities[INDEX["logged_in"]]), cart, not accepted.all())


def test_every_page_that_the_simulator_comes_to_is_a_move_of_the_plan(vector):
    plans = [Plan(vector._pool, int(row)) for row in vector._row]
    rng, moved = np.random.default_rng(0), 0
    _, infos = vector.reset(seed=[1, 2, 3])
    for _ in range(60):
        before = [session_of(vector, copy) for copy in range(3)]
        mask = infos["action_mask"]
        mask[:, BACK_PLACE] = False
        _, _, _, _, infos = vector.step(np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1))
        for copy, plan in enumerate(plans):
            after = session_of(vector, copy)
            if after.page != before[copy].page:
                fitting = [one for one in plan.moves(before[copy]) if one.page == after.page]
                assert (after.logged_in, after.cart) in {(one.logged_in, one.cart) for one in fitting}
                moved += 1
    assert moved > 60


def test_new_states_come_one_an_action_and_no_more_than_there_are(vector):
    plan = Plan(vector._pool, int(vector._row[0]))
    for sessions in (1, 3):
        curve = states_seen(plan, sessions, 120, np.random.default_rng(0))
        assert curve[0] == 1
        assert set(np.diff(curve)) <= {0, 1}
        assert curve[-1] < plan.states
    assert states_seen(plan, 1, 120, np.random.default_rng(0))[-1] > plan.states / 2
