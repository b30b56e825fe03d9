"""The replay buffer that a config of DQN asks for: of one process, or shared with others."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agents.config import DQNConfig
from agents.replay import ReplayBuffer
from agents.shared_replay import SharedReplay

MESSAGE_STEPS = 256  # env steps of a message at least: a call of the server costs as much as many steps


def make_replay(config: DQNConfig, n_envs: int, obs_size: int, folder: Path | None) -> ReplayBuffer | SharedReplay:
    """A buffer for the steps of `n_envs` copies with observations of `obs_size` numbers.

    Args:
        folder: of the memmap, where the config asks for one and names no other; it names what is kept on a server.

    Raises:
        ValueError: the folder or the server cannot be used, or has no room.
    """
    make = partial(
        ReplayBuffer,
        config.buffer_size,
        n_envs,
        (obs_size,),
        gamma=config.gamma,
        n_step=config.n_step,
        priority_alpha=config.priority_alpha if config.prioritized else None,
        storage=config.replay.storage,
    )
    own = make(folder=Path(config.replay.folder) if config.replay.folder is not None else folder)
    if config.agents.processes == 1:
        return own
    from agents.redis_messages import RedisMessages

    messages = RedisMessages(config.replay.storage, folder)
    every = max(MESSAGE_STEPS // n_envs, config.train_every)
    return SharedReplay(own, make, messages, peers=config.agents.processes - 1, every=every, obs_size=obs_size)
