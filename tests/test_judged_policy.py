"""Playing the judged policy of a run: episodes, limits, recorded observations, baselines."""

import numpy as np
import pytest

from agents import AGENTS
from rl_eval import domains, judged_policy, seeding
from rl_eval.errors import InputError
from rl_eval.policy import Constant
from tests.gates import fake_agent
from tests.gates.fake_runs import BALANCE, FALL, write_run

CARTPOLE = domains.validate({"name": "cartpole"})
THREAT = domains.validate({"name": "threat", "train_flows": 400, "validation_flows": 4000, "test_flows": 400})


@pytest.fixture(autouse=True)
def _fake_agent(monkeypatch):
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)


def play(path, seeds, **options):
    return judged_policy.play_judged_policy(path, CARTPOLE, seeds=seeds, seed=1, **{"max_steps": 1000, **options})


@pytest.mark.parametrize("purpose", ["doctor", "report", "select"])
def test_seeds_come_from_the_stream_of_the_purpose(purpose):
    seeds = judged_policy.validation_seeds(CARTPOLE, seed=3, purpose=purpose, count=7)
    assert seeds == seeding.episode_seeds(3, 7, purpose)


def test_a_finite_part_is_played_itself_up_to_fifty_episodes():
    limit = domains.domain("threat").episodes(THREAT, "validation")
    seeds = judged_policy.validation_seeds(THREAT, seed=3, purpose="doctor", count=7)
    assert seeds == list(range(min(limit, 50)))


def test_recorded_observations_are_those_of_the_steps(tmp_path):
    path = write_run(tmp_path / "run", rule=FALL).path
    played = play(path, [1, 2, 3], record_observations=True)
    assert len(played.observations) == played.episodes.lengths.sum()
    starts = np.concatenate([[0], np.cumsum(played.episodes.lengths)[:-1]])
    np.testing.assert_array_equal(played.observations[starts], played.episodes.first_obs)
    assert not len(play(path, [1]).observations)


def test_the_number_of_copies_does_not_change_the_episodes(tmp_path):
    path = write_run(tmp_path / "run", rule=FALL).path
    one, all_copies = play(path, [1, 2, 3], max_copies=1), play(path, [1, 2, 3])
    assert (one.copies, all_copies.copies) == (1, 3)
    np.testing.assert_array_equal(one.episodes.lengths, all_copies.episodes.lengths)


def test_too_many_steps_are_an_error(tmp_path):
    path = write_run(tmp_path / "run", rule=BALANCE).path
    with pytest.raises(InputError, match="more than 20 steps"):
        play(path, [1], max_steps=20)


def test_baselines_play_the_same_episodes(tmp_path):
    path = write_run(tmp_path / "run", rule=BALANCE).path
    vector = domains.make(CARTPOLE, n_envs=1, part="validation", autoreset=False)
    constant = Constant(vector.single_action_space, "0")
    vector.close()
    played = play(path, [1, 2], baselines={"left": constant})
    baseline = played.baselines["left"]
    np.testing.assert_array_equal(baseline.first_obs, played.episodes.first_obs)
    assert baseline.lengths.max() < played.episodes.lengths.min()


def test_a_limited_policy_offers_what_the_policy_offers(tmp_path):
    class Ranking:
        def act(self, obs, greedy):
            return np.zeros(len(obs), int)

        def rank(self, obs, candidates):
            return np.arange(len(obs))

    limited = judged_policy.LimitedPolicy(Ranking(), 1)
    assert limited.rank(np.zeros((2, 1)), {}).tolist() == [0, 1]
    assert not hasattr(limited, "probabilities")
