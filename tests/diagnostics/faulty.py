"""Training runs with one fault each. The faults are in these files, not in the product."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np

from rl_eval import config as configs
from rl_eval.diagnostics import Finding, all_findings, read
from rl_eval.hydra_compose import compose
from rl_eval.run import read_checkpoint, read_run, write_checkpoint
from rl_eval.tracking import open_tracker
from rl_eval.training import train

ROOT = Path(__file__).resolve().parents[2]
CARTPOLE = [
    "env=cartpole",
    "log_every=1024",
    "validation.every=8192",
    "validation.episodes=10",
    "validation.stop_at=null",
]
# No resume points but at the very end of long runs: nothing here is resumed.
THREAT = ["env=threat", "total_steps=131072", "log_every=4096", "validation.every=8192", "agent.lr_schedule=constant"]


def learn(directory: Path, overrides: list[str], *, finishes: bool = True) -> Path:
    """Train in process; returns the run directory."""
    config = configs.load(compose(ROOT / "conf", overrides))
    directory.mkdir(parents=True)
    train(config, directory, tracker=open_tracker(config.tracker, run_dir=directory, config={}))
    assert read_run(directory).finished is finishes
    return directory


def findings_in(directory: Path) -> list[Finding]:
    """The findings of doctor, most important first."""
    return all_findings(read(directory))


def change_info(directory: Path, change: Callable[[dict], None]) -> None:
    """Alter run.json after the run."""
    info = json.loads((directory / "run.json").read_text())
    change(info)
    (directory / "run.json").write_text(json.dumps(info))


def change_snapshot(directory: Path, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> None:
    """Rewrite the judged snapshot with other arrays and matching checksums."""
    snapshot = read_run(directory).judged_snapshot()
    arrays, meta = read_checkpoint(snapshot, "policy")
    shutil.rmtree(snapshot)
    write_checkpoint(
        snapshot, "policy", change(arrays), {k: v for k, v in meta.items() if k not in ("schema", "sha256")}
    )


class MoreColumns(gym.ObservationWrapper):
    """CartPole with one more column, computed from the others."""

    def __init__(self, env: gym.Env, column: Callable[[np.ndarray], float]):
        super().__init__(env)
        self._column = column
        assert isinstance(env.observation_space, gym.spaces.Box)
        low, high = (
            np.append(end, end.dtype.type(sign * 10))
            for end, sign in ((env.observation_space.low, -1), (env.observation_space.high, 1))
        )
        self.observation_space = gym.spaces.Box(low, high, dtype=np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return np.append(observation, np.float32(self._column(observation)))


def _cartpole_with(column: Callable[[np.ndarray], float], **kwargs) -> gym.Env:
    return MoreColumns(gym.make("CartPole-v1", **kwargs), column)


def register() -> None:
    """Register the faulty environments with Gymnasium, in this process only."""
    columns: dict[str, Callable[[np.ndarray], float]] = {
        "CartPoleConstantColumn-v0": lambda observation: 0.0,
        "CartPoleCopiedColumn-v0": lambda observation: float(2.0 * observation[2] + 1.0),
    }
    for name, column in columns.items():
        if name not in gym.registry:
            gym.register(name, functools.partial(_cartpole_with, column), max_episode_steps=500)
