"""DQN: schedules, updates, the content of the buffer, state, and what it must learn."""

import copy

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from agents import q_policy
from agents.config import DQNConfig, QNetworkConfig, ReplayConfig
from agents.q_metrics import UpdateLog, largest_return
from agents.schedules import updates_due
from agents.target_cache import TargetCache
from tests.agents.environments import (
    BOX,
    DISCRETE,
    MIXED,
    Frames,
    Line,
    Reusing,
    Scripted,
    Tabular,
    Walk,
    build,
    everything,
)

SMALL = {
    "batch_size": 8,
    "buffer_size": 200,
    "learning_starts": 20,
    "target_every": 10,
    "network": QNetworkConfig(widths=[8]),
}


def iterate(agent, times):
    """Shorter iterations than usual: a few rounds each."""
    agent._rounds = 3
    return [agent.iterate() for _ in range(times)]


# -- updates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_envs", [1, 3, 8])
@pytest.mark.parametrize("ratio", [0.1, 0.75, 1.0, 2.5])
def test_as_many_updates_an_env_step_for_any_number_of_copies(n_envs, ratio):
    agent = build(DQNConfig(n_envs=n_envs, updates_per_step=ratio, train_every=2, **SMALL), Walk(n_envs))
    for _ in range(12):
        iterate(agent, 1)
        assert agent.gradient_steps == updates_due(agent.config, agent.env_steps)
    assert agent.gradient_steps == int(ratio * (agent.env_steps - 20) + 1e-9) > 0


def test_the_hard_target_is_copied_every_so_many_updates():
    agent = build(DQNConfig(n_envs=2, updates_per_step=0.5, train_every=1, **SMALL), Walk(2))
    before, changed = agent.learner._flat_target.parameter.detach().clone(), []
    agent._rounds = 1
    while agent.gradient_steps < 35:
        agent.iterate()
        now = agent.learner._flat_target.parameter.detach().clone()
        if not torch.equal(now, before):
            changed.append(agent.gradient_steps)
            assert torch.equal(now, agent.learner.flat.parameter)
        before = now
    assert changed == [10, 20, 30]


def test_the_soft_target_moves_with_every_update():
    agent = build(DQNConfig(n_envs=2, target="soft", tau=0.1, train_every=1, **SMALL), Walk(2))
    moves, sync = [], agent.learner.sync
    agent.learner.sync = lambda tau: (moves.append(tau), sync(tau))
    iterate(agent, 10)
    assert moves == [0.1] * agent.gradient_steps
    assert len(moves) > 10


def test_updates_sampled_together_equal_updates_sampled_one_by_one():
    """Rows that are drawn at once, between two copies of the target network, are learned from one batch at a time."""
    agents = []
    for together in (10**6, 8):
        agent = build(DQNConfig(n_envs=2, train_every=8, double=False, **SMALL), Walk(2))
        draw, rng = agent.buffer.sample, agent.generators["minibatch"]
        agent.buffer.sample = lambda rows, _, *, beta=0.0, draw=draw, rng=rng: _joined(
            [draw(8, rng, beta=beta) for _ in range(rows // 8)]
        )
        agent.next_measurement = 10**9
        agents.append(agent)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("agents.dqn.DRAWN_ROWS", together)
            iterate(agent, 4)
    first, second = (agent.learner.flat.parameter.detach() for agent in agents)
    assert agents[0].gradient_steps == agents[1].gradient_steps > 50
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def _joined(batches):
    columns = zip(*(vars(b).values() for b in batches), strict=True)
    return type(batches[0])(*(None if column[0] is None else np.concatenate(column) for column in columns))


@pytest.mark.parametrize(("mode", "double"), [("same", False), ("same", True), ("next", True)])
def test_the_target_of_what_was_drawn_before_is_the_target(mode, double):
    """With the cache and without it, over a ring that goes round, resets of either kind, and copies of the network."""
    agents, computed = [], [0, 0]
    for which, cached in enumerate((True, False)):
        envs = Walk(4) if mode == "same" else Scripted(AutoresetMode.NEXT_STEP, 4, MIXED)
        agent = build(DQNConfig(n_envs=4, n_step=2, double=double, **{**SMALL, "target_every": 40}), envs)
        if not cached:
            agent.cache = TargetCache(0, agent.actions)
        compute = agent.learner.target_values.q_values

        def counting(inputs, which=which, compute=compute):
            computed[which] += len(inputs)
            return compute(inputs)

        agent.learner.target_values.q_values = counting
        iterate(agent, 4)
        agent.start([9] * 4, cut=True)
        iterate(agent, 12)
        agents.append(agent)
    assert agents[0].env_steps > 2 * agents[0].buffer.size
    assert computed[1] == 8 * agents[1].gradient_steps
    assert computed[0] < 0.6 * computed[1]
    np.testing.assert_allclose(*(agent.learner.flat.parameter.detach() for agent in agents), rtol=1e-4, atol=1e-5)


def test_the_cache_is_off_if_hits_are_rare_or_inputs_change():
    slots = [
        build(DQNConfig(**{**SMALL, "buffer_size": 10**5, **changes}), Walk(1)).cache.slots
        for changes in ({}, {"buffer_size": 90}, {"target": "soft"}, {"normalize_obs": True})
    ]
    assert slots == [2 * 8 * 10, 90, 0, 0]
    agent = build(DQNConfig(n_envs=2, **SMALL), Walk(2))
    used = agent.cache.q_values
    agent.cache.q_values = lambda *a: (fills.append(agent.buffer.filled), used(*a))[1]
    fills: list[int] = []
    iterate(agent, 60)
    assert 140 < max(fills) <= 160
    assert agent.buffer.filled == 200


# -- what is learned from ----------------------------------------------------------------------------------------------


def test_exploration_is_uniform_and_greed_is_greedy():
    explores = build(DQNConfig(n_envs=4, epsilon_end=1.0, **SMALL), Walk())
    row = explores.iterate()
    shares = [row[f"action/{a}"] for a in range(3)]
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) > 0.2
    greedy = build(
        DQNConfig(n_envs=4, epsilon_start=0.0, epsilon_end=0.0, **{**SMALL, "learning_starts": 10**6}), Walk()
    )
    greedy.iterate()
    arrays, _ = greedy.buffer.state()
    drawable = arrays["available"]
    best = greedy.learner.values.q_values(arrays["obs"][drawable]).argmax(axis=1)
    np.testing.assert_array_equal(arrays["actions"][drawable], best)


def transitions(agent, rng):
    """What can be drawn, as a set of rounded rows; a few may be missed."""
    draws = [agent.buffer.sample(len(agent.buffer), rng) for _ in range(10)]
    drawn = _joined(draws)
    parts = (drawn.obs, drawn.actions, drawn.returns, np.where(drawn.discounts[:, None] > 0, drawn.next_obs, 0))
    columns = [*(np.asarray(p, float).reshape(len(drawn.obs), -1) for p in parts), drawn.discounts[:, None]]
    return {tuple(row) for row in np.concatenate(columns, axis=1).round(4).tolist()}


@pytest.mark.parametrize("n_step", [1, 3])
def test_resetting_on_the_next_step_gives_the_same_transitions(n_step):
    """The same script in either mode; SAME_STEP has no rows of resets, so it is some steps ahead in the end."""
    drawn = []
    for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        config = DQNConfig(n_envs=2, n_step=n_step, epsilon_start=0.0, epsilon_end=0.0, gamma=0.5,
                           **{**SMALL, "buffer_size": 2000, "learning_starts": 10**6})  # fmt: skip
        agent = build(config, Scripted(mode, 2, MIXED))
        iterate(agent, 12)
        drawn.append(transitions(agent, np.random.default_rng(0)))
        assert agent.log.steps_finished + agent.log.running_length.sum() == agent.env_steps
    assert len(drawn[1]) > 150
    assert len(drawn[1] - drawn[0]) <= 2


def test_environments_started_anew_join_no_two_episodes():
    config = DQNConfig(n_step=3, gamma=0.5, train_every=2, **{**SMALL, "learning_starts": 10**6})
    agent = build(config, Line(), seed=0)
    agent._rounds = 2
    agent.iterate()  # positions 0 to 3, and 4 is the next
    agent.start([100], cut=True)
    agent.iterate()
    assert agent.log.steps_cut == 4
    batch = agent.buffer.sample(4, np.random.default_rng(0))
    for _ in range(40):
        batch = agent.buffer.sample(4, np.random.default_rng(_))
        for at, after, discount, returned in zip(
            batch.obs[:, 0], batch.next_obs[:, 0], batch.discounts, batch.returns, strict=True
        ):
            steps = min(3, 4 - at) if at < 100 else 3
            assert after == at + steps
            assert discount == 0.5**steps
            expected = sum(0.5**k * 10.0 ** -((at + k) % 100) for k in range(int(steps)))
            assert returned == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_observations_of_any_dtype_and_shape_are_learned_from_as_float32(dtype):
    agent = build(DQNConfig(train_every=2, **{**SMALL, "learning_starts": 10**6}), Frames(dtype))
    iterate(agent, 2)
    assert (agent.obs.dtype, agent.obs.shape) == (np.float32, (1, 2))
    batch = agent.buffer.sample(10, np.random.default_rng(0))
    assert batch.obs.dtype == np.float32
    np.testing.assert_array_equal(batch.next_obs, batch.obs + 1)  # also where an episode was truncated
    np.testing.assert_allclose(batch.obs[:, 1] - batch.obs[:, 0], 0.25 if dtype is np.float64 else 0.0)


def test_both_ends_at_once_are_a_termination():
    envs = Walk(4)
    step = envs.step

    def both(actions):
        obs, rewards, terminated, truncated, infos = step(actions)
        return obs, rewards, terminated | truncated, terminated | truncated, infos

    envs.step = both
    agent = build(DQNConfig(n_envs=4, **{**SMALL, "learning_starts": 10**6}), envs)
    iterate(agent, 8)
    ring, used = agent.buffer.state()[0], len(agent.buffer)
    assert np.count_nonzero(ring["ends"] == 1) > 5
    assert not (ring["ends"] == 2).any()
    assert used >= agent.buffer.filled - 4  # no slot went to a final observation


def test_an_environment_may_give_one_array_again_and_again():
    config = DQNConfig(train_every=2, **{**SMALL, "learning_starts": 10**6})
    agent = build(config, Reusing(), seed=0)
    iterate(agent, 2)
    batch = agent.buffer.sample(8, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.next_obs, batch.obs + 1)
    np.testing.assert_allclose(batch.returns, 10.0 ** -batch.obs[:, 0], rtol=1e-5)


def test_scales_are_those_of_the_moment_of_the_draw():
    """Rewards and observations lie in the buffer as they came; targets divide by the present deviation."""
    config = DQNConfig(n_envs=4, normalize_obs=True, normalize_reward=True, **SMALL)
    agent = build(config, Walk())
    iterate(agent, 5)
    assert agent.obs_moments.count == agent.env_steps == agent.reward_scale.moments.count
    arrays, _ = agent.buffer.state()
    raw = arrays["obs"][arrays["available"]]
    assert raw[:, 1].max() == 6.0  # the step number, as the environment gives it
    calls = {}
    agent.learner.targets = lambda returns, *_: calls.setdefault("returns", returns)
    sample = agent.buffer.sample
    agent.buffer.sample = lambda *a, **k: calls.setdefault("batch", sample(*a, **k))
    deviation = agent._deviation()
    agent.learner.step = lambda inputs, actions, targets, weights: (targets, np.zeros((8, 3), np.float32), 0.0)
    agent._collect({})
    agent._learn(UpdateLog())
    np.testing.assert_allclose(calls["returns"][:8], calls["batch"].returns[:8] / np.float32(deviation), rtol=1e-6)


# -- state -------------------------------------------------------------------------------------------------------------

CASES = {
    "plain": DQNConfig(n_envs=4, **SMALL),
    "cached": DQNConfig(n_envs=4, n_step=2, **{**SMALL, "target_every": 40}),
    "everything": DQNConfig(
        n_envs=4, n_step=3, dueling=True, prioritized=True, target="soft", normalize_obs=True, normalize_reward=True,
        exploration="exponential", lr_schedule="linear", updates_per_step=0.3, loss="squared", **SMALL,
    ),
    "attention": DQNConfig(
        n_envs=4, double=False, prioritized=True,
        **{**SMALL, "network": QNetworkConfig(groups=[1, 1], group_width=4, heads=2, widths=[8], norm="layer")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("storage", ["memory", "memmap"])
@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_state_restores_to_the_bit(config, storage, tmp_path):
    config = DQNConfig(**{**vars(config), "replay": ReplayConfig(storage=storage)})
    first = build(config, Walk(), folder=tmp_path)
    iterate(first, 8)  # the ring has gone round
    assert first.env_steps > config.buffer_size
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = iterate(first, 4)
    second = build(config, Walk(), seed=99, folder=tmp_path)
    iterate(second, 1)
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr(iterate(second, 4)) == repr(rows)
    assert everything(second) == everything(first)
    assert not list(tmp_path.iterdir())  # a memmap leaves no file behind


def test_state_of_environments_that_reset_on_the_next_step_restores_to_the_bit():
    config = DQNConfig(n_envs=4, n_step=3, train_every=1, **SMALL)
    first = build(config, Scripted(AutoresetMode.NEXT_STEP, 4, MIXED))
    while not first.resetting.any() or first.gradient_steps < 20:
        iterate(first, 1)
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = iterate(first, 4)
    second = build(config, Scripted(AutoresetMode.NEXT_STEP, 4, MIXED), seed=9)
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr(iterate(second, 4)) == repr(rows)
    assert everything(second) == everything(first)


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_same_seed_same_bytes_and_another_seed_others(config):
    runs = []
    for seed in (3, 3, 4):
        agent = build(config, Walk(), seed)
        runs.append((repr(iterate(agent, 4)), everything(agent)))
    assert runs[0] == runs[1]
    assert runs[0][1] != runs[2][1]


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_a_snapshot_acts_as_the_agent_does(config):
    agent = build(config, Walk())
    iterate(agent, 6)
    arrays, meta = agent.policy_checkpoint()
    acting = q_policy.load(arrays, meta, seed=1)
    obs = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    expected = agent.learner.values.q_values(agent.inputs(obs)) * agent._deviation()
    np.testing.assert_allclose(acting.q_values(obs), expected, rtol=1e-4, atol=1e-5)
    actions = acting.act(obs, greedy=True)
    np.testing.assert_array_equal(actions, acting.q_values(obs).argmax(axis=1) + DISCRETE.start)
    explored = acting.act(np.repeat(obs, 20, axis=0), greedy=False)
    assert set(explored.tolist()) <= {5, 6, 7}
    differs = (explored != np.repeat(actions, 20)).mean()
    assert differs == pytest.approx(meta["epsilon"] * 2 / 3, abs=0.03)
    assert not hasattr(acting, "probabilities")


def test_measuring_changes_nothing():
    ends = []
    for every in (1, 10**9):
        agent = build(CASES["everything"], Walk())
        for _ in range(6):
            agent.next_measurement = 0 if every == 1 else 10**9
            row = iterate(agent, 1)[0]
            assert np.isfinite(row["dormant_share"]) == (every == 1)
        agent.next_measurement = 0
        ends.append(everything(agent))
    assert ends[0] == ends[1]


def test_the_row_has_what_a_run_is_read_by():
    agent = build(CASES["everything"], Walk())
    agent._rounds = 1
    first = agent.iterate()
    *_, row = iterate(agent, 8)
    assert list(first) == list(row)
    assert np.isnan(first["value_loss"])  # nothing was learned yet
    for name in ("value_loss", "td_error", "q_mean", "q_max", "grad_norm", "replay_age", "replay_distinct", "epsilon",
                 "beta", "replay_fill", "lr", "episode_return_mean", "episode_length_mean",
                 "reward/centre"):  # fmt: skip
        assert np.isfinite(row[name]), name
    assert 0.8 < row["replay_fill"] <= 1
    assert 0 < row["replay_age"] < 250
    assert row["q_bound"] == pytest.approx(agent.largest_reward / (1 - agent.config.gamma))
    assert row["q_mean"] <= row["q_max"]


def test_the_largest_return():
    assert largest_return(2.0, 0.9) == pytest.approx(20.0)
    assert largest_return(-1.0, 0.9) == -1.0  # one step, and it is over
    assert np.isnan(largest_return(2.0, 1.0))


def test_numbers_that_are_not_finite_end_it():
    agent = build(DQNConfig(n_envs=4, **SMALL), Walk())
    iterate(agent, 2)
    agent.envs.position[:] = np.nan
    with pytest.raises(FloatingPointError, match=r"not finite: rewards\[0, 0\]"):
        iterate(agent, 1)
    last = build(DQNConfig(**SMALL), Frames(np.float64))
    step = last.envs.step

    def ends_nowhere(actions):
        *others, infos = step(actions)
        infos["final_obs"][0] = infos["final_obs"][0] + np.inf
        return *others, infos

    last.envs.step = ends_nowhere
    with pytest.raises(FloatingPointError, match=r"not finite: final_obs\[0, 0, 0\]"):
        iterate(last, 3)
    wild = build(DQNConfig(n_envs=4, lr=1e30, prioritized=True, **SMALL), Walk())
    with pytest.raises(FloatingPointError, match=r"(weight|loss|TD error) is"), np.errstate(all="ignore"):
        iterate(wild, 20)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_trained_is_one_sentence(tmp_path):
    def refused(match, envs=None, **changes):
        with pytest.raises(ValueError, match=match) as error:
            build(DQNConfig(**changes), envs or Walk(1), folder=tmp_path)
        assert "\n" not in str(error.value)

    refused("takes Box.*use agent=ppo or agent=a2c", Walk(1, BOX))
    refused("buffer_size=100 is too small for batch_size=64.*make it at least", batch_size=64, buffer_size=100)
    refused("epsilon_end=0.5 is above epsilon_start=0.2", epsilon_start=0.2, epsilon_end=0.5)
    refused("epsilon_end=0 is never reached", epsilon_end=0.0, exploration="exponential")
    refused(r"groups=\[1, 2\] are 3 features in all.*gives 2", network=QNetworkConfig(groups=[1, 2]))
    refused("bytes free, and the replay buffer needs", replay=ReplayConfig(storage="memmap"), buffer_size=10**14)
    nowhere = ReplayConfig(storage="memmap", folder=str(tmp_path / "nowhere"))
    refused("No such file or directory", replay=nowhere)
    with pytest.raises(ValueError, match="group_width=9 is not a multiple of heads=4"):
        QNetworkConfig(groups=[1], group_width=9)
    with pytest.raises(ValueError, match="n_step=9 is longer than an episode, which ends after 7 steps"):
        DQNConfig(n_step=9).check(Walk(1).single_observation_space, DISCRETE, 7)


# -- what it must learn ------------------------------------------------------------------------------------------------


CHAIN = Tabular([[0, 1], [0, 2], [1, 3], [2, 4], [3, 5]], [[0.1, 0], [0, 0], [0, 0], [0, 0], [0, 1]])
CYCLE = Tabular([[1, 2, 3], [2, 0, 4], [0, 1, 1], [0, 0, 2]], [[0, 0.5, -1], [1, 0, 0.3], [0, -0.2, 0.4], [0.2, 0, 0]])


@pytest.mark.parametrize("extra", [
    pytest.param({}, id="plain"),
    pytest.param({"dueling": True, "prioritized": True, "double": False, "target": "soft", "tau": 0.05}, id="others"),
])  # fmt: skip
@pytest.mark.parametrize("world", [CHAIN, CYCLE], ids=["chain", "cycle"])
def test_learned_values_are_those_of_value_iteration(world, extra):
    """Random actions, so that one-step Q-learning meets everything; truncated episodes, which are bootstrapped from."""
    config = DQNConfig(
        n_envs=8, gamma=0.9, lr=1e-2, lr_schedule="linear", batch_size=32, buffer_size=4000, learning_starts=100,
        train_every=2, updates_per_step=0.25, loss="squared", epsilon_end=1.0, target_every=50,
        network=QNetworkConfig(widths=[]), **extra,
    )  # fmt: skip
    agent = build(config, copy.deepcopy(world), total_steps=16_000)
    while agent.env_steps < 16_000:
        agent.iterate()
    learned = agent.learner.values.q_values(np.eye(world.states, dtype=np.float32))
    np.testing.assert_allclose(learned, world.optimal(0.9), atol=1e-2)
