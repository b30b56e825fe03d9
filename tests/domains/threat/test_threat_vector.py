"""The vector environment: Gymnasium's checks, the gate's needs, and bit-exact resuming."""

import json
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains import threat
from rl_eval.domains.threat import data
from rl_eval.domains.threat.flow_stream import FlowStream, shuffle_flows
from rl_eval.policy import Random
from rl_eval.rollout import play

SMALL = {"train_flows": 1500, "validation_flows": 500, "test_flows": 830}
CONFIG = threat.Config(shift=40, **SMALL)


def make(config=CONFIG, n_envs=6, part="train", autoreset=True):
    return threat.DOMAIN.make(config, n_envs=n_envs, part=part, autoreset=autoreset)


def actions_of(rng, envs):
    return rng.integers(0, 4, envs.num_envs)


def same(a, b):
    """Equal to the bit, through dicts."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return np.asarray(a).dtype == np.asarray(b).dtype and np.array_equal(a, b)


@pytest.mark.filterwarnings("error")
def test_gymnasium_finds_nothing_wrong():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*render.*")
        check_env(
            gym.make("rl_eval.domains.threat.gymnasium_env:rl_eval/Threat-v0", **CONFIG.model_dump()).unwrapped,
            skip_render_check=True,
        )


def test_make_and_make_vec_know_it():
    envs = gym.make_vec("rl_eval.domains.threat.gymnasium_env:rl_eval/Threat-v0", num_envs=3, shift=40, **SMALL)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    obs, _ = envs.reset(seed=1)
    assert obs in envs.observation_space
    assert obs.dtype == np.float32
    single = gym.make("rl_eval.domains.threat.gymnasium_env:rl_eval/Threat-v0", shift=40, **SMALL)
    first, _ = single.reset(seed=1)
    assert first in single.observation_space
    _, reward, terminated, truncated, info = single.step(0)
    assert reward == -info["outcome"]["cost"]
    assert not terminated
    assert not truncated
    for _ in range(39):
        *_, truncated, _ = single.step(0)
    assert truncated


def test_importing_the_domain_imports_nothing_heavy():
    import subprocess

    code = "import sys, rl_eval.domains.threat; print([m for m in ('torch', 'sklearn', 'polars') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("campaigns", [False, True])
@pytest.mark.parametrize("n_envs", [1, 4, 50])
def test_playing_the_gate_visits_every_flow_once(n_envs, campaigns):
    config = CONFIG.model_copy(update={"campaigns": campaigns})
    envs = make(config, n_envs, "test", autoreset=False)
    count = threat.DOMAIN.episodes(config, "test")
    assert count == 21  # 830 flows: twenty shifts of 40 and one of 30
    played = play(envs, Random(envs.single_action_space, 0), seeds=range(count), order=7)
    assert sorted(played.outcome["flow"]) == list(range(830))
    assert played.lengths.tolist() == [40] * 20 + [30]
    assert not played.terminated.any()
    np.testing.assert_array_equal(
        played.outcome["label"], data.load_dataset(config).parts["test"].label[played.outcome["flow"]]
    )


def test_an_episode_does_not_depend_on_other_copies():
    def flows(n_envs, order):
        envs = make(n_envs=n_envs, part="test", autoreset=False)
        return play(envs, Random(envs.single_action_space, 0), seeds=range(21), order=order).outcome["flow"]

    np.testing.assert_array_equal(flows(3, order=7), flows(8, order=7))
    assert not np.array_equal(flows(3, order=7), flows(3, order=8))


def test_the_select_part_is_finite_too():
    assert threat.DOMAIN.episodes(CONFIG, "validation") == 13
    envs = make(n_envs=4, part="validation", autoreset=False)
    played = play(envs, Random(envs.single_action_space, 0), seeds=range(13))
    assert sorted(played.outcome["flow"]) == list(range(500))


def test_an_episode_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="episode 21 does not exist: the test part has 21 episodes"):
        make(part="test").reset(options={"episode": np.full(6, 21)})


def test_the_outcome_holds_the_facts_of_the_step():
    envs, rng = make(), np.random.default_rng(0)
    part, costs = data.load_dataset(CONFIG).parts["train"], np.asarray(CONFIG.costs, np.float32)
    obs, _ = envs.reset(seed=3)
    for _ in range(90):
        actions = actions_of(rng, envs)
        before = obs
        obs, reward, _, _, infos = envs.step(actions)
        outcome = infos["outcome"]
        assert set(threat.DOMAIN.facts(CONFIG)) <= set(outcome)
        flow = outcome["flow"]
        np.testing.assert_array_equal(before, part.features[flow])
        np.testing.assert_array_equal(outcome["label"], part.label[flow])
        np.testing.assert_array_equal(outcome["category"], part.category[flow])
        np.testing.assert_array_equal(outcome["posterior"], part.posterior[flow])
        np.testing.assert_array_equal(outcome["action"], actions)
        np.testing.assert_array_equal(outcome["flagged"], actions != 0)
        np.testing.assert_array_equal(outcome["cost"], costs[outcome["label"], actions])
        np.testing.assert_array_equal(reward, -outcome["cost"])


def test_the_outcome_of_every_action_is_what_taking_it_causes():
    """Copies of one state each take another action; what they cause is what the first one says of that action."""
    rng = np.random.default_rng(0)
    envs, others = make(), [make() for _ in range(4)]
    for vector in (envs, *others):
        vector.reset(seed=list(range(6)))
    for _ in range(3):
        actions = actions_of(rng, envs)
        *_, infos = envs.step(actions)
        outcomes = envs.outcomes_of_actions()
        for action, vector in enumerate(others):
            *_, alone = vector.step(np.full(6, action))
            assert same(outcomes[action], alone["outcome"])
            chosen = actions == action
            for name, facts in infos["outcome"].items():
                np.testing.assert_array_equal(outcomes[action][name][chosen], facts[chosen])


def test_where_alerts_are_counted_the_outcome_of_other_actions_is_not_known():
    assert make().knows_all_actions
    assert not make(threat.Config(alert_window=5)).knows_all_actions


def test_the_actions_that_flag_are_configurable():
    envs = make(CONFIG.model_copy(update={"flag_actions": (1, 2)}), n_envs=4)
    envs.reset(seed=0)
    assert envs.step(np.arange(4))[4]["outcome"]["flagged"].tolist() == [0, 1, 1, 0]


def test_the_outcome_does_not_depend_on_the_reward():
    from rl_eval.rewards import RewardedVector, RewardFunction

    matrices = [[[0, -9, -9, -9], [0, 0, 0, 0]], [[0, 0, 0, 0], [-1, 5, 5, 5]]]
    outcomes = []
    for values in matrices:
        terms = {"matrix": {"_target_": "rl_eval.domains.threat.rewards.Matrix", "values": values}}
        envs, rng = RewardedVector(make(), RewardFunction.from_config(terms)), np.random.default_rng(0)
        envs.reset(seed=0)
        outcomes.append([envs.step(actions_of(rng, envs)) for _ in range(60)])
    for one, other in zip(*outcomes, strict=True):
        assert same(one[4]["outcome"], other[4]["outcome"])
    assert any((one[1] != other[1]).any() for one, other in zip(*outcomes, strict=True))


def test_a_shift_ends_by_truncation_and_goes_on_in_the_same_step():
    envs = make(n_envs=3)
    obs, _ = envs.reset(seed=0)
    for step in range(1, 121):
        obs, _, terminated, truncated, infos = envs.step(np.zeros(3, int))
        assert not terminated.any()
        assert truncated.all() == (step % 40 == 0)
        if step % 40 == 0:
            assert infos["_final_obs"].all()
            assert infos["final_obs"].shape == obs.shape
            # What would have come next in the stream is what the next copy begins with.
            np.testing.assert_array_equal(infos["final_obs"][2], obs[0])
        else:
            assert "final_obs" not in infos


def test_a_finished_copy_stays_idle_until_it_is_reset():
    envs = make(n_envs=3, part="test", autoreset=False)
    envs.reset(options={"episode": np.array([0, 20, 1])})
    ends = [envs.step(np.zeros(3, int))[3].tolist() for _ in range(42)]
    assert ends[29] == [False, True, False]  # the last block has 30 flows
    assert ends[39] == [True, False, True]
    assert sum(map(sum, ends)) == 3
    envs.reset(options={"reset_mask": np.array([False, True, False]), "episode": np.array([0, 20, 1])})
    again = [envs.step(np.zeros(3, int)) for _ in range(30)]
    assert again[-1][3].tolist() == [False, True, False]


def test_training_sees_every_flow_once_an_epoch():
    envs = make(n_envs=5)
    envs.reset(seed=0)
    flows = [envs.step(np.zeros(5, int))[4]["outcome"]["flow"] for _ in range(1500 * 2 // 5)]
    assert np.bincount(np.concatenate(flows)).tolist() == [2] * 1500  # 3000 steps: the part has 1500 flows


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 30), st.lists(st.integers(1, 6), min_size=1, max_size=6), st.booleans())
def test_the_stream_is_one_sequence_of_epochs_however_it_is_cut(flows, length, counts, campaigns):
    label = np.arange(flows) % 3 == 0
    streams = [FlowStream(label.astype(np.int8), np.zeros(flows, np.int16), campaigns) for _ in range(2)]
    for stream in streams:
        stream.seed([5])
    pieces = [streams[0].take(count, length) for count in counts]
    complete = streams[1].take(sum(counts), length)
    np.testing.assert_array_equal(np.concatenate([p[:-1] for p in pieces], axis=1), complete[:-1])
    np.testing.assert_array_equal(complete[-1, :-1], complete[0, 1:])
    sequence = complete[:-1].T.ravel()
    for start in range(0, len(sequence) - flows + 1, flows):
        assert sorted(sequence[start : start + flows]) == list(range(flows))


def test_campaigns_are_bursts_of_one_category():
    rng = np.random.default_rng(0)
    label = (rng.random(20_000) < 0.109).astype(np.int8)
    category = np.where(label, rng.integers(1, 5, len(label)), 0)

    def pairs(campaigns):
        order = shuffle_flows(np.random.default_rng(1), label, category, campaigns)
        assert sorted(order) == list(range(len(label)))
        now, following = order[:-1], order[1:]
        threats = label[now] == 1
        return label[following][threats].mean(), (category[following] == category[now])[threats].mean()

    assert pairs(False)[0] == pytest.approx(0.109, abs=0.03)
    after_threat, alike = pairs(True)
    assert after_threat > 0.85
    assert alike > 0.85


@pytest.mark.parametrize("seed", [3, [3, 4, 5, 6, 7, 8]])
def test_a_seed_decides_everything(seed):
    trails = []
    for _ in range(2):
        envs, rng = make(), np.random.default_rng(0)
        trail = [envs.reset(seed=seed)[0]]
        for _ in range(50):
            trail += list(envs.step(actions_of(rng, envs))[:2])
        trails.append(trail)
    assert all(same(a, b) for a, b in zip(*trails, strict=True))


@pytest.mark.parametrize("autoreset", [True, False])
@pytest.mark.parametrize("values", [{}, {"campaigns": True}, {"alert_window": 9}])
def test_a_restored_state_continues_to_the_bit(values, autoreset):
    config = CONFIG.model_copy(update=values)
    one, other = make(config, autoreset=autoreset), make(config, autoreset=autoreset)
    rng = np.random.default_rng(0)
    one.reset(seed=2)
    other.reset(seed=99)
    for _ in range(57):
        one.step(actions_of(rng, one))
    state = one.get_state()
    arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    assert json.dumps({**state["stream"], "order": None})  # what is no array is JSON
    assert set(arrays) | {"stream"} == set(state)
    other.set_state(state)
    for step in range(150):
        actions = actions_of(rng, one)
        for first, second in zip(one.step(actions), other.step(actions), strict=True):
            assert same(first, second), step
        if step % 60 == 30:
            mask = rng.random(6) < 0.5
            assert same(*(e.reset(options={"reset_mask": mask})[0] for e in (one, other)))


def test_a_state_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="state 'rows' has shape"):
        make(n_envs=3).set_state(make(n_envs=4).get_state())


def test_alerts_are_counted_over_a_window_of_one_episode():
    config = CONFIG.model_copy(update={"alert_window": 5})
    envs, rng = make(config, n_envs=4), np.random.default_rng(0)
    obs, _ = envs.reset(seed=0)
    history = []
    for step in range(100):
        if step % 40 == 0:
            history = []
        np.testing.assert_allclose(obs[:, -1], np.sum(history[-5:], axis=0) / 5)  # the agent sees the backlog
        actions = actions_of(rng, envs)
        history.append(actions == threat.ALERT)
        obs, *_, infos = envs.step(actions)
        np.testing.assert_array_equal(infos["outcome"]["alerts_in_window"], np.sum(history[-5:], axis=0))


@pytest.mark.parametrize("actions", [np.full(6, 4), np.full(6, -1), np.zeros(5, int)])
def test_actions_outside_the_space_are_refused(actions):
    envs = make()
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="actions must be 6 integers from 0 to 3"):
        envs.step(actions)


def test_what_a_caller_keeps_is_not_overwritten():
    envs = make()
    obs, _ = envs.reset(seed=0)
    obs_before = obs.copy()
    envs.step(np.zeros(6, int))
    np.testing.assert_array_equal(obs, obs_before)


def test_a_step_costs_no_python_loop_over_the_copies():
    """Python calls a step, for 8 copies and for 4,096: their number does not grow with the copies."""

    def calls_of_a_step(n_envs):
        envs = make(threat.Config(**SMALL), n_envs=n_envs)
        envs.reset(seed=0)
        actions = np.zeros(n_envs, int)
        envs.step(actions)  # whatever the first step alone does
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            envs.step(actions)
        finally:
            sys.setprofile(None)
        return calls

    assert 0 < calls_of_a_step(4096) <= calls_of_a_step(8) + 10
