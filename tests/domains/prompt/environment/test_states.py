"""Reachable prompts: the texts of the mutations, legal where they change something."""

import numpy as np

from rl_eval.domains.prompt.environment.states import APPLIED, STATES, prompt_states
from rl_eval.domains.prompt.tasks.starts import starts
from rl_eval.domains.prompt.text.mutations import MUTATIONS, legal, mutate
from tests.domains.prompt.synthetic_tasks import TASKS

FOUND = prompt_states(TASKS["test"])


def test_every_start_of_every_task_is_there():
    assert [texts[0] for texts in FOUND.texts] == [start.text for task in TASKS["test"] for start in starts(task)]
    assert FOUND.legal.shape == (len(FOUND), STATES, len(MUTATIONS))
    assert APPLIED[6].tolist() == [False, True, True, False, False]


def test_a_legal_mutation_leads_to_the_mutated_text_and_an_illegal_one_changes_nothing():
    for start, state in np.argwhere(FOUND.can_reach):
        text, task = FOUND.texts[start][state], FOUND.tasks[FOUND.task[start]]
        assert FOUND.legal[start, state].tolist() == list(legal(text, task))
        for bit in np.flatnonzero(FOUND.legal[start, state]):
            assert FOUND.texts[start][state | 1 << bit] == mutate(text, MUTATIONS[bit], task)


def test_states_with_a_mutation_that_changes_nothing_are_not_reached():
    assert FOUND.can_reach[:, 0].all()
    first_steps = FOUND.can_reach[:, [1 << bit for bit in range(len(MUTATIONS))]]
    np.testing.assert_array_equal(first_steps, FOUND.legal[:, 0])
    assert 0 < FOUND.can_reach.sum() < FOUND.can_reach.size
