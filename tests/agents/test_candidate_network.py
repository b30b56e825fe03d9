"""The Q-network that scores candidates with shared weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from agents import memory_use, q_policy
from agents.config import DQNConfig, QNetworkConfig
from agents.export import q_network_to_onnx
from agents.networks import load_arrays
from agents.q_learning import QLearning
from agents.q_network import CandidateAttention, QNetwork

CONFIG = QNetworkConfig(candidates=5, context=3, group_width=8, heads=2, widths=[16])
SIZE = 3 + 5 * 4
CPU = torch.device("cpu")


def network(config: QNetworkConfig = CONFIG, dueling: bool = False) -> QNetwork:
    """A network with first weights that are far from each other."""
    made = QNetwork(SIZE, 5, config, dueling, np.random.default_rng(0))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return made.eval()


def observations(count: int) -> torch.Tensor:
    return torch.randn(count, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, norm="layer"), replace(CONFIG, context=3, widths=[])])
def test_another_order_of_the_candidates_gives_the_values_in_that_order(config, dueling):
    made, obs, order = network(config, dueling), observations(6), torch.tensor([3, 0, 4, 1, 2])
    moved = torch.cat([obs[:, :3], obs[:, 3:].reshape(6, 5, 4)[:, order].flatten(1)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(made(moved), made(obs)[:, order])
        assert made(obs).std(dim=1).min() > 1e-3


def test_the_attention_is_torchs_over_the_candidates_that_are_there():
    attention = network().attention
    assert isinstance(attention, CandidateAttention)
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    obs = observations(4)
    obs[:, 3 + 2 * 4 : 3 + 3 * 4] = 0.0  # the third candidate is absent
    with torch.no_grad():
        layers = (attention.query, attention.key, attention.value)
        reference.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        reference.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        reference.out_proj.load_state_dict(attention.out.state_dict())
        tokens = torch.relu(attention.of_candidate(obs[:, 3:].reshape(4, 5, 4)))
        context = tokens.mean(dim=1) + torch.relu(attention.of_context(obs[:, :3]))
        normed, absent = attention.norm(tokens), torch.zeros(4, 5, dtype=torch.bool)
        absent[:, 2] = True
        answer, _ = reference(attention.norm(context)[:, None], normed, normed, key_padding_mask=absent)
        expected = torch.cat([tokens, (context + answer[:, 0])[:, None].expand(4, 5, 8)], dim=2)
        torch.testing.assert_close(attention(obs), expected.flatten(0, 1))


def test_a_value_that_any_place_may_have_is_learned_from_few_places():
    config = DQNConfig(lr=3e-3, network=CONFIG)
    learning = QLearning(config, SIZE, 5, np.random.default_rng(0), CPU)
    rng = np.random.default_rng(1)
    for _ in range(300):
        obs = rng.standard_normal((64, SIZE)).astype(np.float32)
        actions = rng.integers(2, size=64)  # only the first two places are ever taken
        learning.step(obs, actions, obs[:, 3:].reshape(64, 5, 4)[np.arange(64), actions, 0], None)
    obs = rng.standard_normal((256, SIZE)).astype(np.float32)
    errors = learning.values.q_values(obs) - obs[:, 3:].reshape(256, 5, 4)[..., 0]
    assert np.abs(errors[:, 4]).mean() < 0.4  # the last place was never taken


def test_a_snapshot_acts_as_the_network_does():
    config, made = DQNConfig(network=CONFIG), network()
    meta = q_policy.metadata(Box(-9, 9, (SIZE,)), Discrete(5), config, 1.0, 0.0, action_masks=True)
    policy = q_policy.load(q_policy.pack(made, None), meta)
    obs = observations(40).numpy()
    with torch.no_grad():
        expected = made(torch.from_numpy(obs)).numpy()
    np.testing.assert_allclose(policy.q_values(obs), expected, rtol=1e-4, atol=1e-5)
    again = QNetwork(SIZE, 5, CONFIG, False, np.random.default_rng(9))
    load_arrays(again, {name.removeprefix("network."): a for name, a in q_policy.pack(made, None).items()})
    with pytest.raises(ValueError, match="scores candidates"):
        q_network_to_onnx(q_policy.pack(made, None), {**meta, "action_masks": False}, {})


def test_what_does_not_fit_is_refused():
    def refused(match: str, actions: int = 5, **changes) -> None:
        with pytest.raises(ValueError, match=match):
            DQNConfig(network=replace(CONFIG, **changes)).check(Box(-9, 9, (SIZE,)), Discrete(actions), None)

    refused(r"candidates=5 are scored, and this environment has 6 actions: use agent.network.candidates=6", actions=6)
    refused("context=4 leaves 19 features for 5 candidates", context=4)
    refused(r"groups=\[23\] and candidates=5 exclude each other", groups=[23])
    refused("group_width=9 is not a multiple of heads=2", group_width=9)


def test_memory_counts_the_shared_weights_once():
    config = DQNConfig(network=CONFIG)
    parameters = sum(parameter.numel() for parameter in network().parameters())
    estimate = memory_use.dqn_bytes(config, SIZE, 5)["agent.network.widths"]
    assert 0.8 * parameters * 4 * 5 < estimate < 1.6 * parameters * 4 * 5
