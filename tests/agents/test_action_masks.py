"""Action masks: agents never choose an illegal action, and everything else is as without masks."""

import copy
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.distributions import Categorical

from agents import AGENTS, policy, q_policy
from agents.action_masks import ILLEGAL, masked, read_final_mask, read_mask, read_next_mask, refuse_late_mask
from agents.closed_form_gradients import ClosedForm
from agents.config import A2CConfig, DQNConfig, NetworkConfig, PPOConfig, QNetworkConfig
from agents.experience import Experience
from agents.flat_parameters import FlatParameters
from agents.networks import ActorCritic
from agents.q_learning import QLearning
from agents.replay import ReplayBuffer
from tests.agents.environments import MIXED, Scripted, Tabular, Walk, build, everything
from tests.agents.small_dqn import SMALL

THREE = gym.spaces.Discrete(3)
SAME, NEXT = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP


def masks_of(obs):
    """bool `[N, 3]`, a function of the observations `[N, 3]` of `Scripted`; every row has a legal action."""
    numbers = np.abs(np.asarray(obs, np.float64) @ [9973.0, 31.0, 7.0]).round(2) * 100
    mask = (numbers[:, None].astype(np.int64) >> np.arange(3)) % 2 == 1
    mask[np.arange(len(mask)), numbers.astype(np.int64) % 3] = True
    return mask


class Masked(Scripted):
    """`Scripted` with masks; refuses illegal actions. A terminated copy that is not reset yet has no legal action."""

    def reset(self, **keywords):
        obs, infos = super().reset(**keywords)
        self.mask = masks_of(obs)
        return obs, infos | {"action_mask": self.mask}

    def step(self, actions):
        plays = ~self.over
        assert self.mask[np.arange(self.num_envs), actions][plays].all()
        obs, rewards, terminated, truncated, infos = super().step(actions)
        self.mask = masks_of(obs)
        if self.mode == NEXT:
            self.mask[terminated] = False
        elif "final_obs" in infos:
            infos["final_action_mask"] = masks_of(infos["final_obs"]) & ~terminated[:, None]
        return obs, rewards, terminated, truncated, infos | {"action_mask": self.mask}


@st.composite
def logits_and_masks(draw, largest=30.0):
    """float32 `[B, A]` and bool `[B, A]` with a legal action in every row."""
    rows, actions = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    logits = draw(hnp.arrays(np.float32, (rows, actions), elements=st.floats(-largest, largest, width=32)))
    mask = draw(hnp.arrays(bool, (rows, actions)))
    mask[np.arange(rows), draw(hnp.arrays(np.int64, rows, elements=st.integers(0, actions - 1)))] = True
    return logits, mask


def discrete_network(actions, **options):
    config = NetworkConfig(widths=[4], **options)
    return ActorCritic(2, gym.spaces.Discrete(actions), config, np.random.default_rng(0)), config


@given(logits_and_masks(), st.integers(0, 99))
def test_log_probabilities_and_entropy_are_those_of_the_legal_actions(drawn, seed):
    logits, mask = drawn
    rng = np.random.default_rng(seed)
    actions = np.array([rng.choice(np.flatnonzero(row)) for row in mask])
    network, config = discrete_network(logits.shape[1])
    FlatParameters(network)
    by_hand = ClosedForm.of(network, config)._distribution(masked(logits, mask), actions)[:2]
    on_torch = torch.from_numpy(logits).masked_fill(~torch.from_numpy(mask), ILLEGAL)
    by_autograd = network.log_prob_and_entropy(on_torch, torch.from_numpy(actions))
    for row, (legal, action) in enumerate(zip(mask, actions, strict=True)):
        peer = Categorical(logits=torch.from_numpy(logits[row][legal]))
        place = torch.tensor(int(legal[:action].sum()))
        for log_prob, entropy in (by_hand, by_autograd):
            assert float(log_prob[row]) == pytest.approx(float(peer.log_prob(place)), abs=1e-4)
            assert float(entropy[row]) == pytest.approx(float(peer.entropy()), abs=1e-4)


# A network whose logits are the observations.
PASSES_ON = SimpleNamespace(
    log_std=None, parameters_of_actions=lambda inputs: inputs, values=lambda inputs: np.zeros(len(inputs), np.float32)
)


@given(logits_and_masks(largest=2.0**99))
def test_gradients_are_finite_and_zero_at_illegal_actions(drawn):
    logits, mask = drawn
    parameters = torch.from_numpy(logits).requires_grad_()
    network, _ = discrete_network(logits.shape[1])
    on_torch = parameters.masked_fill(~torch.from_numpy(mask), ILLEGAL)
    log_probs, entropy = network.log_prob_and_entropy(on_torch, torch.from_numpy(mask.argmax(axis=1)))
    (log_probs.clamp(min=-1e3).sum() + entropy.sum()).backward()
    gradient = parameters.grad.numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[~mask] == 0).all()


@given(logits_and_masks(largest=2.0**99), st.integers(0, 99))
def test_an_illegal_action_is_never_chosen(drawn, seed):
    logits, mask = drawn
    rows, space = np.arange(len(logits)), gym.spaces.Discrete(logits.shape[1], start=4)
    values = SimpleNamespace(q_values=lambda inputs: inputs)
    for acting in (
        policy.NetworkPolicy(PASSES_ON, space, np.asarray, None, seed),
        q_policy.QPolicy(values, space, np.asarray, 1.0, 0.5, seed),
    ):
        for greedy in (True, False):
            actions = acting.act(logits, greedy, mask=mask) - 4
            assert mask[rows, actions].all()
            if greedy:
                np.testing.assert_array_equal(logits[rows, actions], logits.max(axis=1, where=mask, initial=-np.inf))


@given(logits_and_masks())
def test_probabilities_are_those_of_the_legal_actions(drawn):
    logits, mask = drawn
    acting = policy.NetworkPolicy(PASSES_ON, gym.spaces.Discrete(logits.shape[1]), np.asarray, None, 0)
    shares = acting.probabilities(logits, mask)
    assert (shares[~mask] == 0).all()
    for row, legal in enumerate(mask):
        peer = Categorical(logits=torch.from_numpy(logits[row][legal])).probs
        np.testing.assert_allclose(shares[row][legal], peer, atol=1e-5)


# -- updates -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(2, 33), ent_coef=st.sampled_from([0.0, 0.3]),
    config=st.sampled_from([PPOConfig(n_envs=1, n_steps=64, batch_size=64), A2CConfig(n_envs=1)]),
)  # fmt: skip
def test_the_closed_form_equals_autograd(seed, count, ent_coef, config):
    rng = np.random.default_rng(seed)
    options = {**vars(config), "ent_coef": ent_coef, "network": NetworkConfig(widths=[7]), "normalize_advantage": True}
    if config.name == "ppo":
        options["n_epochs"] = 1
    agent = build(type(config)(**options), Walk(1), seed % 1000)
    mask = rng.random((count, 3)) < 0.5
    mask[np.arange(count), rng.integers(3, size=count)] = True
    obs, masks = torch.from_numpy(rng.normal(size=(count, 2)).astype(np.float32)), torch.from_numpy(mask)
    actions = torch.from_numpy(np.array([rng.choice(np.flatnonzero(row)) for row in mask]))
    with torch.no_grad():
        now, _ = agent.network.log_prob_and_entropy(agent.network.parameters_of_actions(obs, masks), actions)
    columns = [torch.from_numpy(rng.normal(size=count).astype(np.float32)) for _ in range(4)]
    experience = Experience(obs, actions, now + 0.4 * columns[0], *columns[1:], masks)
    agent.apply_gradient = lambda: None
    losses, gradients = [], []
    for closed_form in (agent.closed_form, None):
        agent.closed_form, agent.generators = closed_form, {"minibatch": np.random.default_rng(0)}
        losses.append(list(agent.update(experience).values()))
        gradients.append(agent.flat.parameter.grad.clone())
    np.testing.assert_allclose(*losses, rtol=2e-4, atol=2e-5)
    scale = float(gradients[1].abs().max()) + 1e-6
    np.testing.assert_allclose(gradients[0] / scale, gradients[1] / scale, atol=2e-4)


CONFIGS = {
    "ppo": PPOConfig(n_envs=4, n_steps=8, batch_size=8, n_epochs=2, ent_coef=0.01, normalize_obs=True),
    "ppo-autograd": PPOConfig(n_envs=4, n_steps=8, batch_size=8, network=NetworkConfig(norm="layer", shared=True)),
    "a2c": A2CConfig(n_envs=4, ent_coef=0.01),
    "dqn": DQNConfig(n_envs=4, **SMALL),
    "dqn-everything": DQNConfig(
        n_envs=4, n_step=3, dueling=True, prioritized=True, double=False, target="soft", normalize_obs=True, **SMALL
    ),
    "dqn-cached": DQNConfig(n_envs=4, n_step=2, **{**SMALL, "target_every": 40}),
    "dqn-attention": DQNConfig(
        n_envs=4, **{**SMALL, "network": QNetworkConfig(groups=[1, 2], group_width=4, heads=2, widths=[8])}
    ),
}  # fmt: skip
all_configs = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
all_modes = pytest.mark.parametrize("mode", [SAME, NEXT], ids=["same", "next"])


def trained(config, mode, iterations, seed=0):
    agent = build(config, Masked(mode, 4, MIXED), seed)  # which refuses illegal actions
    if config.name == "dqn":
        agent._rounds = 3
    return agent, [agent.iterate() for _ in range(iterations)]


@all_modes
@all_configs
def test_training_takes_legal_actions_and_stays_finite(config, mode):
    agent, rows = trained(config, mode, 8)
    assert agent.gradient_steps >= 8
    for name in ("entropy", "stale_kl", "behaviour_kl", "initial_kl", "greedy_share", "q_mean", "value_loss"):
        numbers = [row[name] for row in rows if name in row]
        assert all(abs(number) < 1e3 for number in numbers if not np.isnan(number)), name
    assert rows[0].get("stale_kl", 0.0) == pytest.approx(0.0, abs=1e-6)
    assert agent.policy_checkpoint()[1]["action_masks"] is True


@all_modes
@all_configs
def test_state_restores_to_the_bit(config, mode):
    first, _ = trained(config, mode, 6)
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = [first.iterate() for _ in range(4)]
    second, _ = trained(config, mode, 1, seed=9)
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr([second.iterate() for _ in range(4)]) == repr(rows)
    assert everything(second) == everything(first)


@all_configs
def test_state_is_taken_by_an_agent_that_was_never_started(config):
    """Environments that restore their own state are not reset, so the mask comes from the state alone."""
    first, _ = trained(config, SAME, 6)
    arrays, meta = copy.deepcopy(first.state())
    generators = {name: np.random.default_rng(0) for name in ("init", "policy", "minibatch")}
    second = AGENTS[config.name].build(config, copy.deepcopy(first.envs), generators=generators, total_steps=10_000)
    if config.name == "dqn":
        second._rounds = 3
    second.load_state(arrays, meta)
    assert repr(second.iterate()) == repr(first.iterate())


# -- Q-learning --------------------------------------------------------------------------------------------------------


def test_targets_choose_among_legal_actions():
    returns, discounts = np.array([1.0, 2.0, 3.0], np.float32), np.array([0.5, 0.5, 0.0], np.float32)
    next_q = np.array([[2.0, 5.0], [4.0, 1.0], [7.0, 9.0]], np.float32)
    online = np.array([[3.0, 1.0], [0.0, 2.0], [1.0, 0.0]], np.float32)
    next_masks = np.array([[True, False], [True, True], [True, False]])
    expected = {False: [1 + 0.5 * 2, 2 + 0.5 * 4, 3], True: [1 + 0.5 * 2, 2 + 0.5 * 1, 3]}
    for double, targets in expected.items():
        learner = QLearning(DQNConfig(double=double), 4, 2, np.random.default_rng(0), torch.device("cpu"))
        learner.values = SimpleNamespace(q_values=lambda _: online)
        ours = learner.targets(returns, discounts, np.zeros((3, 4)), next_q, next_masks)
        np.testing.assert_allclose(ours, targets, rtol=1e-6)


@pytest.mark.parametrize("n_step", [1, 3])
@all_modes
def test_the_replay_buffer_gives_the_mask_of_each_observation(mode, n_step):
    config = DQNConfig(n_envs=2, n_step=n_step, **{**SMALL, "learning_starts": 10**6})
    agent = build(config, Masked(mode, 2, MIXED))
    agent._rounds = 30
    agent.iterate()
    agent.start([5, 6], cut=True)
    agent.iterate()
    assert agent.env_steps > agent.buffer.size  # the ring has gone round
    batch = agent.buffer.sample(len(agent.buffer), np.random.default_rng(0))
    np.testing.assert_array_equal(batch.masks, masks_of(batch.obs))
    bootstraps = batch.discounts > 0
    assert 10 < bootstraps.sum() < len(bootstraps)
    np.testing.assert_array_equal(batch.next_masks[bootstraps], masks_of(batch.next_obs[bootstraps]))
    assert batch.next_masks.any(axis=1).all()


def test_without_a_final_mask_every_action_is_legal_there():
    buffer = ReplayBuffer(40, 1, (1,), gamma=0.9)
    buffer.keep_masks(2)
    one = np.ones(1, bool)
    for step in range(6):
        obs, mask = np.array([[step]]), np.array([[True, False]])
        buffer.add(obs, np.zeros(1), np.zeros(1), ~one, one, final_obs=obs + 100, mask=mask)
    batch = buffer.sample(6, np.random.default_rng(0))
    assert (batch.next_obs[:, 0] >= 100).all()
    assert batch.next_masks.all()
    assert not batch.masks[:, 1].any()


def test_exploration_is_uniform_over_legal_actions():
    agent = build(DQNConfig(n_envs=4, epsilon_end=1.0, **{**SMALL, "learning_starts": 10**6}), Masked(SAME, 4, MIXED))
    agent._rounds = 400
    agent.iterate()
    ring = agent.buffer.state()[0]
    two = ring["masks"][ring["available"]].sum(axis=1) == 2
    actions, masks = ring["actions"][ring["available"]][two], ring["masks"][ring["available"]][two]
    first = masks.argmax(axis=1) == actions
    assert len(first) > 30
    assert first.mean() == pytest.approx(0.5, abs=0.2)


class Tempting(Tabular):
    """A cycle with an action that would pay most and is never legal, and one that is legal in even states alone."""

    MASKS = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 1, 1]], bool)

    def __init__(self):
        super().__init__(
            [[1, 2, 0, 3], [2, 0, 1, 4], [0, 1, 2, 1], [0, 0, 3, 2]],
            [[0, 0.5, 9, -1], [1, 8, 9, 0.3], [0, -0.2, 9, 0.4], [0.2, 7, 9, 6]],
        )

    def reset(self, **keywords):
        obs, infos = super().reset(**keywords)
        return obs, infos | {"action_mask": self.MASKS[self.state]}

    def step(self, actions):
        assert self.MASKS[self.state, actions].all()
        ended = self.outcomes[self.state, actions]
        obs, rewards, terminated, truncated, infos = super().step(actions)
        return obs, rewards, terminated, truncated, infos | {
            "action_mask": self.MASKS[self.state], "final_action_mask": self.MASKS[ended]
        }  # fmt: skip

    def optimal(self, gamma):
        q = np.zeros(self.table.shape)
        for _ in range(2000):
            best = np.where(self.MASKS[:4], q, -np.inf).max(axis=1)
            q = self.table + gamma * np.append(best, 0.0)[self.outcomes]
        return q


@pytest.mark.parametrize("double", [True, False])
def test_learned_values_are_those_of_value_iteration_over_legal_actions(double):
    config = DQNConfig(
        n_envs=8, gamma=0.9, lr=1e-2, lr_schedule="linear", batch_size=32, buffer_size=4000, learning_starts=100,
        train_every=2, updates_per_step=0.25, loss="squared", epsilon_end=1.0, target_every=50, double=double,
        network=QNetworkConfig(widths=[]),
    )  # fmt: skip
    agent = build(config, Tempting(), total_steps=16_000)
    while agent.env_steps < 16_000:
        agent.iterate()
    learned, legal = agent.learner.values.q_values(np.eye(4, dtype=np.float32)), Tempting.MASKS[:4]
    np.testing.assert_allclose(learned[legal], Tempting().optimal(0.9)[legal], atol=1e-2)


# -- what an environment may give --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "space", "message"),
    [
        (np.ones((2, 3), np.int8), THREE, "int8"),
        (np.ones((2, 4), bool), THREE, r"\(2, 4\)"),
        (np.array([[True, True, True], [False, False, False]]), THREE, "copy 1"),
        (np.ones((2, 3), bool), gym.spaces.Box(-1, 1, (3,)), "Discrete"),
    ],
)
def test_a_mask_that_is_not_valid_is_one_sentence(mask, space, message):
    with pytest.raises(ValueError, match=message) as error:
        read_mask({"action_mask": mask}, 2, space)
    assert "\n" not in str(error.value)


def test_a_mask_is_returned_always_or_never():
    assert read_mask({}, 2, THREE) is None
    assert read_final_mask({}, 2, THREE, np.ones(2, bool)) is None
    with pytest.raises(ValueError, match="on reset and not on a step"):
        read_next_mask({}, 2, THREE)
    with pytest.raises(ValueError, match="on a step and not on reset"):
        refuse_late_mask({"action_mask": np.ones((2, 3), bool)})


@pytest.mark.parametrize("name", ["a2c", "dqn"])
@pytest.mark.parametrize("when", ["reset", "step"])
def test_a_mask_that_is_missing_later_stops_training(name, when):
    envs = Walk(4)
    method = getattr(envs, when)

    def masked_once(*arguments, **keywords):
        *others, infos = method(*arguments, **keywords)
        return *others, infos | {"action_mask": np.ones((4, 3), bool)}

    setattr(envs, when, masked_once)
    agent = build(CONFIGS[name], envs)
    with pytest.raises(ValueError, match="give it on both"):
        agent.iterate()


def test_an_empty_row_is_an_error_but_where_it_does_not_matter():
    empty = np.array([[True, False, False], [False, False, False]])
    mask = read_mask({"action_mask": empty}, 2, THREE, over=np.array([False, True]))
    np.testing.assert_array_equal(mask, [[True, False, False], [True, True, True]])
    assert not empty[1].any()  # the environment's own array stays as it was
    final = read_final_mask({"final_action_mask": empty}, 2, THREE, np.array([True, False]))
    np.testing.assert_array_equal(final, empty)
    with pytest.raises(ValueError, match="copy 1"):
        read_final_mask({"final_action_mask": empty}, 2, THREE, np.array([False, True]))
