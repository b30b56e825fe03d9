"""Small settings of DQN, and how tests step it."""

import numpy as np

from agents.config import DQNConfig, QNetworkConfig

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


def joined(batches):
    """One batch of several."""
    columns = zip(*(vars(b).values() for b in batches), strict=True)
    return type(batches[0])(*(None if column[0] is None else np.concatenate(column) for column in columns))


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
