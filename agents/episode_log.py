"""Returns and lengths of training episodes, and how many env steps belong to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RECENT_EPISODES = 100
_COUNTERS = ("episodes", "return_finished", "steps_finished", "steps_cut")


@dataclass
class EpisodeLog:
    """Returns and lengths: of the running episodes of N copies, and of the latest that ended."""

    running_return: np.ndarray
    running_length: np.ndarray
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_EPISODES))
    lengths: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_EPISODES))
    episodes: int = 0
    return_finished: float = 0.0  # summed over all episodes that ended
    steps_finished: int = 0  # env steps inside episodes that ended
    steps_cut: int = 0  # env steps of episodes that were given up when the environments were reset

    @classmethod
    def start(cls, n_envs: int) -> EpisodeLog:
        """Before the first step."""
        return cls(np.zeros(n_envs), np.zeros(n_envs, np.int64))

    def step(self, rewards: np.ndarray, done: np.ndarray, valid: np.ndarray | None = None) -> None:
        """Count one step of every copy, or of those where `valid` holds."""
        self.running_return += rewards
        self.running_length += 1 if valid is None else valid
        if np.count_nonzero(done):  # a tenth of the time of `any`
            for i in np.flatnonzero(done):
                self.returns.append(float(self.running_return[i]))
                self.lengths.append(int(self.running_length[i]))
            self.episodes += int(done.sum())
            self.return_finished += float(self.running_return[done].sum())
            self.steps_finished += int(self.running_length[done].sum())
            self.running_return[done] = 0.0
            self.running_length[done] = 0

    def cut(self) -> None:
        """Give up the running episodes."""
        self.steps_cut += int(self.running_length.sum())
        self.running_return[:] = 0.0
        self.running_length[:] = 0

    def metrics(self) -> dict[str, float]:
        """Means over the latest episodes; NaN before the first one."""
        return {
            "episode_return_mean": sum(self.returns) / len(self.returns) if self.returns else float("nan"),
            "episode_length_mean": sum(self.lengths) / len(self.lengths) if self.lengths else float("nan"),
        }

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Everything, as arrays and JSON."""
        arrays = {
            "running_return": self.running_return,
            "running_length": self.running_length,
            "returns": np.array(self.returns, np.float64),
            "lengths": np.array(self.lengths, np.int64),
        }
        return arrays, {name: getattr(self, name) for name in _COUNTERS}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> EpisodeLog:
        """The log that gave a `state`."""
        return cls(
            running_return=np.array(arrays["running_return"]),
            running_length=np.array(arrays["running_length"]),
            returns=deque(arrays["returns"].tolist(), maxlen=RECENT_EPISODES),
            lengths=deque(arrays["lengths"].tolist(), maxlen=RECENT_EPISODES),
            **{name: meta[name] for name in _COUNTERS},
        )
