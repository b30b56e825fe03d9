"""Generated applications as a vector environment."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rl_eval.domains import domain
from rl_eval.domains.webtest import DOMAIN, Config
from rl_eval.domains.webtest.baselines import BASELINES, ORDERS, FixedOrder, best_order
from rl_eval.domains.webtest.gymnasium_env import WebtestEnv
from rl_eval.domains.webtest.page import FAILURE_KINDS
from rl_eval.domains.webtest.simulator.application import draw_application
from rl_eval.domains.webtest.simulator.defects import KIND_OF, TEMPLATES
from rl_eval.domains.webtest.simulator.tables import COLUMN
from rl_eval.domains.webtest.simulator.vector import SimulatedVector
from rl_eval.policy import choose_actions
from rl_eval.rollout import play

CONFIG = Config(applications=6, max_actions=40)


def random_actions(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uniform legal actions, `[N]`."""
    return np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)


@pytest.fixture(scope="module")
def vector():
    """Eight copies of training applications."""
    return SimulatedVector(CONFIG, n_envs=8, part="train")


def test_gymnasium_accepts_it():
    check_env(WebtestEnv(applications=2, max_actions=5), skip_render_check=True)


def test_the_best_order_is_that_of_the_usual_share_of_defects():
    """Without a defect in any build all orders would be equal, and the share of defects found has no value."""
    assert best_order(CONFIG.model_copy(update={"defect_share": 1e-9}), builds=6) == best_order(CONFIG, builds=6)


def test_there_are_at_least_25_templates_of_every_kind_of_failure():
    assert len(set(TEMPLATES)) == len(TEMPLATES) >= 25
    assert set(KIND_OF) == set(FAILURE_KINDS)


def test_steps_keep_to_the_spaces_and_state_goes_on_to_the_bit(vector):
    rng = np.random.default_rng(0)
    observation, infos = vector.reset(seed=3)
    for _ in range(50):
        assert observation in vector.observation_space
        assert infos["action_mask"].any(axis=1).all()
        observation, _, _, _, infos = vector.step(random_actions(infos["action_mask"], rng))
    state, continued = vector.get_state(), []
    for _ in range(2):
        other = SimulatedVector(CONFIG, n_envs=8, part="train")
        other.set_state(state)
        rng, mask = np.random.default_rng(1), infos["action_mask"]
        trace = []
        for _ in range(50):  # over the end of episodes
            observation, reward, _, _, step_infos = other.step(random_actions(mask, rng))
            mask = step_infos["action_mask"]
            trace.append((observation.tobytes(), reward.tobytes(), mask.tobytes()))
        continued.append(trace)
    assert continued[0] == continued[1]
    rng, mask = np.random.default_rng(1), infos["action_mask"]
    for expected in continued[0]:
        observation, reward, _, _, step_infos = vector.step(random_actions(mask, rng))
        mask = step_infos["action_mask"]
        assert (observation.tobytes(), reward.tobytes(), mask.tobytes()) == expected


def test_an_episode_does_not_depend_on_the_copies_beside_it():
    policy = FixedOrder(ORDERS[1])
    alone = play(SimulatedVector(CONFIG, n_envs=1, part="validation", autoreset=False), policy, seeds=[5, 9])
    beside = play(SimulatedVector(CONFIG, n_envs=3, part="validation", autoreset=False), policy, seeds=[5, 9, 11, 2])
    first = beside.episode < 2
    assert alone.outcome.keys() == set(DOMAIN.facts(CONFIG))
    for name, values in alone.outcome.items():
        np.testing.assert_array_equal(values, beside.outcome[name][first], err_msg=name)


def test_the_parts_have_different_applications():
    parts = ("train", "validation", "test")
    assert len({draw_application(0, part, index).name for part in parts for index in range(5)}) == 15


def test_an_illegal_action_does_nothing_and_destructive_controls_are_masked_unless_allowed():
    by_mask = {}
    for mask in (True, False):
        vector = SimulatedVector(CONFIG.model_copy(update={"mask": mask}), n_envs=16, part="train")
        _, infos = vector.reset(seed=1)
        rng, legal = np.random.default_rng(0), 0
        for _ in range(80):
            destructive = vector._pool.tables.candidates[vector._row, vector._page, :, COLUMN["destructive"]] == 1
            legal += int((infos["action_mask"] & destructive).sum())
            _, _, _, _, infos = vector.step(random_actions(infos["action_mask"], rng))
        by_mask[mask] = legal
    assert by_mask[True] == 0
    assert by_mask[False] > 0


def test_every_defect_that_a_build_has_counts_once_and_none_is_a_false_alarm():
    envs = SimulatedVector(CONFIG.model_copy(update={"max_actions": 150}), n_envs=10, part="train", autoreset=False)
    episodes = play(envs, FixedOrder(ORDERS[0]), seeds=range(10))
    found, ends = episodes.per_episode("defects_found"), episodes.outcome["episode_end"]
    assert found.sum() > 20
    assert (found <= episodes.outcome["defects"][ends]).all()
    assert (found == episodes.per_episode("new_failures")).all()
    assert episodes.per_episode("false_failures").sum() == 0


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_baselines_choose_legal_candidates(name, vector):
    policy = DOMAIN.baselines[name](CONFIG)
    observation, infos = vector.reset(seed=1)
    first = np.ones(8, bool)
    for _ in range(15):
        actions = choose_actions(policy, observation, True, infos["action_mask"], first)
        assert infos["action_mask"][np.arange(8), actions].all()
        observation, _, _, _, infos = vector.step(actions)
        first = np.zeros(8, bool)


def test_breadth_first_finishes_a_state_before_it_begins_a_later_one():
    envs = SimulatedVector(CONFIG, n_envs=1, part="train", autoreset=False)
    observation, infos = envs.reset(seed=[4])
    policy, first = BASELINES["breadth_first"](CONFIG), np.ones(1, bool)
    total = int((infos["action_mask"][0, :-2]).sum())
    tried = set()
    for _ in range(40):
        state = envs._memory.state[0]
        action = policy.act(observation, True, mask=infos["action_mask"], episode_start=first)
        untried = envs._memory.tries[0, envs._shown.actions[0, action[0]]] == 0
        if untried and state == envs._pool.tables.state[0, 0] and action[0] < infos["action_mask"].shape[1] - 2:
            tried.add(int(action[0]))
        elif untried and action[0] < infos["action_mask"].shape[1] - 2:
            assert len(tried) >= total - 1  # one of the header may have been tried elsewhere
        observation, _, _, _, infos = envs.step(action)
        first = np.zeros(1, bool)
    assert len(tried) >= total - 1


def test_the_domain_is_registered_and_names_its_parts():
    assert domain("webtest") is DOMAIN
    assert DOMAIN.validation_metric(CONFIG) == "defects_found"
    assert DOMAIN.longest_episode(CONFIG) == 40
