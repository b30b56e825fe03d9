"""DQN: how many updates there are, the target network, and its cache."""

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from agents.config import DQNConfig
from agents.schedules import updates_due
from agents.target_cache import TargetCache
from tests.agents.environments import MIXED, Scripted, Walk, build
from tests.agents.small_dqn import SMALL, iterate, joined


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
        agent.buffer.sample = lambda rows, _, *, beta=0.0, draw=draw, rng=rng: joined(
            [draw(8, rng, beta=beta) for _ in range(rows // 8)]
        )
        agent.next_measurement = 10**9
        agents.append(agent)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("agents.off_policy.DRAWN_ROWS", together)
            iterate(agent, 4)
    first, second = (agent.learner.flat.parameter.detach() for agent in agents)
    assert agents[0].gradient_steps == agents[1].gradient_steps > 50
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


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
