"""Keys of an environment's `info` as facts of a step: `env.outcome`."""

import importlib.util
import sys

import gymnasium as gym
import numpy as np
import pytest
from pydantic import ValidationError

from rl_eval import config as configs
from rl_eval import domains
from rl_eval.domains.gym import Config
from rl_eval.dry_run import dry_run
from rl_eval.errors import InputError
from rl_eval.gates import load_suite
from rl_eval.metrics import metric
from rl_eval.policy import Constant
from rl_eval.rewards import RewardTerm
from rl_eval.rollout import play
from tests.gates.fake_runs import write_suite

SOURCE = '''
import gymnasium as gym
import numpy as np


class Corridor(gym.Env):
    """Walk right for `length` steps; `info` tells the distance, and at the end whether the goal was reached."""

    observation_space = gym.spaces.Box(-9, 9, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length=3, note=1):
        self.length, self.note = length, note

    def reset(self, *, seed=None, options=None):
        self.at = self.steps = 0
        return np.zeros(1, np.float32), {"distance": -1}

    def step(self, action):
        self.at += 1 if action else -1
        self.steps += 1
        info = {"distance": np.array([self.length - self.at]), "note": self.note}
        if done := self.steps == self.length:
            info["is_success"] = self.at == self.length
        return np.full(1, self.at, np.float32), 0.0, done, False, info


gym.register("Corridor-v0", entry_point="corridor_facts:Corridor")
'''


@pytest.fixture(scope="module", autouse=True)
def corridor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corridor")
    (folder / "corridor_facts.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    gym.registry.pop("Corridor-v0", None)
    sys.modules.pop("corridor_facts", None)


def make(n_envs=3, *, autoreset=True, **config):
    config = Config(id="corridor_facts:Corridor-v0", **config)
    return domains.make(config, n_envs=n_envs, part="train", autoreset=autoreset)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_fact_is_a_number_where_the_step_has_it_else_nan(workers):
    vector = make(outcome=("is_success", "distance"), workers=workers)
    vector.reset(seed=0)
    actions = np.array([1, 0, 1])
    outcomes = [vector.step(actions)[4]["outcome"] for _ in range(4)]
    vector.close()
    assert [set(outcome) for outcome in outcomes] == [{"native_reward", "is_success", "distance"}] * 4
    nan = [np.nan] * 3
    # the last step's own info counts, not that of the reset after it
    np.testing.assert_array_equal([outcome["is_success"] for outcome in outcomes], [nan, nan, [1, 0, 1], nan])
    np.testing.assert_array_equal(
        [outcome["distance"] for outcome in outcomes], [[2, 4, 2], [1, 5, 1], [0, 6, 0], [2, 4, 2]]
    )
    assert all(values.dtype == np.float64 for outcome in outcomes for values in outcome.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_copy_that_plays_nothing_has_no_facts(workers):
    vector = make(2, autoreset=False, outcome=("distance",), workers=workers)
    vector.reset(seed=0, options={"reset_mask": np.array([True, False])})
    np.testing.assert_array_equal(vector.step(np.array([1, 1]))[4]["outcome"]["distance"], [2, np.nan])
    vector.close()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("note", ["a text", [1, 2], {"a": 1}])
def test_what_is_not_a_number_is_one_sentence(workers, note):
    vector = make(2, outcome=("note",), workers=workers, kwargs={"note": note})
    vector.reset(seed=0)
    with pytest.raises(InputError, match=r"^env.outcome names 'note', .*: a fact is one number or boolean$"):
        vector.step(np.array([1, 1]))
    vector.close()


@pytest.mark.parametrize("outcome", [["native_reward"], ["a", "a"], [""], [1]])
def test_a_fact_is_named_once_and_is_not_the_reward(outcome):
    with pytest.raises(ValidationError):
        Config(id="Any-v0", outcome=outcome)


def test_envpool_records_no_facts(monkeypatch):
    with pytest.raises(InputError, match="EnvPool"):
        make(outcome=("distance",), backend="envpool")
    if importlib.util.find_spec("envpool"):
        vector = domains.make(Config(id="CartPole-v1", outcome=("distance",), backend="auto"), n_envs=1, part="train")
        assert vector.backend == "gymnasium"
        vector.close()


def test_metrics_read_facts():
    vector = make(2, autoreset=False, outcome=("is_success",))
    episodes = play(vector, Constant(vector.single_action_space, "1"), seeds=range(5))
    vector.close()

    @metric("task", needs=("is_success",), better="higher")
    def reached(episodes, config):
        """Share of episodes that reach the goal."""
        return float(np.nansum(episodes.outcome["is_success"]) / len(episodes))

    assert reached(episodes, None) == 1.0


class Closer(RewardTerm):
    """The distance left, as a penalty."""

    def __call__(self, outcome):
        return -outcome["distance"]


def test_reward_terms_read_facts_and_a_fact_that_is_not_named_is_refused():
    vector = make(1, outcome=("distance",))
    vector.reset(seed=0)
    np.testing.assert_array_equal(Closer()(vector.step(np.array([1]))[4]["outcome"]), [-2])
    vector.close()
    assert domains.domain("gym").facts(Config(id="Any-v0", outcome=("distance",))) == ("native_reward", "distance")


SUITE = """
rl_eval: 1
env: {{id: CartPole-v1, outcome: {outcome}}}
criteria:
  left: {{metric: action_share.0, at_most: 0.9}}
"""


def test_a_suite_takes_a_metric_on_a_fact_that_is_named_and_no_other(tmp_path):
    suite = load_suite(write_suite(tmp_path / "a.yaml", SUITE.format(outcome="[action]")))
    assert suite.criteria[0].metric.needs == ("action",)
    with pytest.raises(InputError, match=r"action_share\.0 reads 'action'"):
        load_suite(write_suite(tmp_path / "b.yaml", SUITE.format(outcome="[]")))


def test_training_can_be_validated_by_such_a_metric():
    def check(outcome):
        env = {"name": "gym", "id": "corridor_facts:Corridor-v0", "outcome": outcome}
        values = {"agent": {"name": "ppo"}, "env": env, "total_steps": 1, "validation": {"metric": "action_share.0"}}
        values |= {"reward": {"terms": {"native": {"_target_": "rl_eval.rewards.Native"}}}, "tracker": {"name": "none"}}
        dry_run(configs.load(values))

    check(["action"])
    with pytest.raises(InputError, match=r"validation.metric='action_share.0' cannot be computed"):
        check([])


def test_facts_are_no_part_of_what_the_environment_is():
    assert domains.identity(Config(id="Any-v0", outcome=("distance",))) == domains.identity(Config(id="Any-v0"))
