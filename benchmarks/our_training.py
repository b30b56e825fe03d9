"""Our side of a benchmark: the config and the training loop of `python train.py`, without scores on validation.

A benchmark checks the policy itself, and this time does not count. Metric rows, snapshots and resume points are written
as always.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rl_eval.config import RunConfig
    from rl_eval.policy import Policy
    from rl_eval.training import Training

ROOT = Path(__file__).resolve().parents[1]
NEVER = 10**12  # env steps


def config_of(overrides: Sequence[str]) -> RunConfig:
    """The config of `python train.py <overrides>`, without scores on the validation part."""
    from rl_eval import config, hydra_compose

    return config.load(
        hydra_compose.compose(
            ROOT / "conf", [*overrides, f"validation.every={NEVER}", "validation.stop_at=null", "tracker=none"]
        )
    )


def training_of(config: RunConfig, directory: Path, on_step: Callable[..., None]) -> Training:
    """A run that has started in an empty directory; `on_step` is called after every iteration."""
    from rl_eval.tracking import open_tracker
    from rl_eval.training import Training

    tracker = open_tracker(config.tracker, run_dir=directory, config=config.to_dict())
    training = Training(config, directory, tracker, on_step)
    training.begin()
    return training


def policy_of(training: Training) -> Policy:
    """The current policy, as a snapshot would hold it."""
    from rl_eval.agent_registry import agent

    return agent(training.config.agent.name).load_policy(*training.agent.policy_checkpoint())
