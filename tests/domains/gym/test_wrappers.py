"""`env.wrappers`: wrappers of Gymnasium by name, others with trust, and what is refused."""

import gymnasium as gym
import numpy as np
import pytest
from pydantic import ValidationError

from rl_eval import domains
from rl_eval.domains.gym import DOMAIN, Config
from rl_eval.errors import InputError
from rl_eval.policy import Random
from rl_eval.rollout import play


class Half(gym.ActionWrapper):
    def __init__(self, env, factor=0.5):
        super().__init__(env)
        self.factor = factor

    def action(self, action):
        return action * self.factor


def make(wrappers, env_id="Pendulum-v1", n=2, **config):
    config = Config(id=env_id, wrappers=wrappers, **config)
    return domains.make(config, n_envs=n, part="test", autoreset=False)


STACKED = [{"TimeLimit": {"max_episode_steps": 7}}, {"FrameStackObservation": {"stack_size": 3}}]


def test_wrappers_of_gymnasium_are_applied_in_their_order():
    vector = make([*STACKED, "FlattenObservation"])
    own = gym.wrappers.TimeLimit(gym.make("Pendulum-v1"), 7)
    own = gym.wrappers.FlattenObservation(gym.wrappers.FrameStackObservation(own, 3))
    assert vector.single_observation_space == own.observation_space
    obs, _ = own.reset(seed=5)
    rows, _ = vector.reset(seed=[5, 6])
    np.testing.assert_array_equal(rows[0], obs)
    for step in range(7):
        action = np.float32([np.sin(step)])
        obs, reward, *_, truncated, _ = own.step(action)
        rows, rewards, _, truncations, _ = vector.step(np.stack([action, action]))
        np.testing.assert_array_equal(rows[0], obs)
        assert rewards[0] == reward
    assert truncated
    assert truncations.all()
    assert make(STACKED).single_observation_space.shape == (3, 3)
    column = make([{"ReshapeObservation": {"shape": [3, 1]}}])  # a shape is a list in YAML
    assert column.single_observation_space.shape == (3, 1)


def test_other_processes_apply_them_too():
    one, two = (make(STACKED, n=3, workers=count) for count in (1, 2))
    played = [play(vector, Random(vector.single_action_space, 3), seeds=range(6)) for vector in (one, two)]
    np.testing.assert_array_equal(*(each.per_episode("native_reward") for each in played))
    assert played[1].lengths.tolist() == [7] * 6


def test_a_wrapper_of_anyone_needs_trust():
    name = f"{__name__}:Half"
    assert DOMAIN.needs_trust(Config(id="Pendulum-v1", wrappers=[name])) == f"env.wrappers={name!r} imports a module"
    assert DOMAIN.needs_trust(Config(id="Pendulum-v1", wrappers=["RecordVideo"])).endswith("writes files")
    assert DOMAIN.needs_trust(Config(id="Pendulum-v1", wrappers=STACKED)) is None
    assert DOMAIN.code_identity(Config(id="Pendulum-v1", wrappers=[name])) is None
    vector = make([{name: {"factor": 0.0}}])
    plain = make([])
    for each, action in ((vector, 2.0), (plain, 0.0)):
        each.reset(seed=[1, 2])
        each.last = each.step(np.full((2, 1), action, np.float32))[0]
    np.testing.assert_array_equal(vector.last, plain.last)


@pytest.mark.parametrize(
    ("wrappers", "message"),
    [
        (["FlattenObservations"], r"'FlattenObservations' is not a wrapper of gymnasium\.wrappers: did you mean"),
        (["RescaleObservation"], r"RescaleObservation cannot be applied to 'Pendulum-v1': .*missing"),
        ([{"TimeLimit": {"steps": 3}}], r"TimeLimit with \{'steps': 3\} cannot be applied to .*: .*unexpected keyword"),
        (["AtariPreprocessing"], r"AtariPreprocessing cannot be applied to 'Pendulum-v1'"),
        (["no_module_here:Wrapper"], r"'no_module_here:Wrapper' cannot be imported: No module"),
        (["math:floor"], r"math:floor cannot be applied to 'Pendulum-v1'"),
        (["builtins:repr"], r"builtins:repr made str: it must be a class of gymnasium\.Wrapper"),
    ],
)
def test_a_wrapper_that_does_not_fit_is_one_sentence(wrappers, message):
    with pytest.raises(InputError, match=f"^env.wrappers: {message}") as error:
        make(wrappers)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrappers", [[""], [{}], [{"TimeLimit": {}, "FlattenObservation": {}}], "FlattenObservation"])
def test_what_names_no_wrapper_is_refused(wrappers):
    with pytest.raises(ValidationError):
        Config(id="Pendulum-v1", wrappers=wrappers)


def test_they_are_part_of_the_identity_and_a_time_limit_is_a_limit():
    plain, stacked = Config(id="Pendulum-v1"), Config(id="Pendulum-v1", wrappers=STACKED)
    assert domains.identity(plain) == domains.identity(Config(id="Pendulum-v1", wrappers=[]))
    assert domains.identity(plain) != domains.identity(stacked)
    assert DOMAIN.episodes_identity(plain) != DOMAIN.episodes_identity(stacked)
    assert DOMAIN.code_identity(plain) != DOMAIN.code_identity(stacked)
    gym.register("EndlessPendulum-v0", "gymnasium.envs.classic_control.pendulum:PendulumEnv")
    try:
        assert len(DOMAIN.notes(Config(id="EndlessPendulum-v0"))) == 1
        assert DOMAIN.notes(Config(id="EndlessPendulum-v0", wrappers=STACKED)) == ()
        limited = make([{"TimeLimit": {"max_episode_steps": 1_200}}], "EndlessPendulum-v0", n=1)
        assert play(limited, Random(limited.single_action_space, 0), seeds=[1]).lengths.tolist() == [1200]
    finally:
        del gym.registry["EndlessPendulum-v0"]
