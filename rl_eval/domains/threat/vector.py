"""The vector environment: N shifts of flows at once, computed with array operations."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from rl_eval.domains.threat.config import ACTIONS, ALERT, Config
from rl_eval.domains.threat.data import load_dataset
from rl_eval.domains.threat.flow_stream import FlowStream, episode_count, shuffle_flows
from rl_eval.domains.threat.preprocess import CLIP
from rl_eval.envs.native_vector import NativeVector
from rl_eval.seeding import part_key


class ThreatVector(NativeVector):
    """One part of the data as a vector environment; see `rl_eval.envs` for the contract.

    An episode is a block of `shift` flows and ends by truncation. In training, blocks come from an endless shuffle
    of the part. `reset(options={"episode": [N], "order": seed})` plays blocks of one permutation instead; the last
    block may be shorter.

    The default reward is minus the operational cost.
    """

    arrays = ("rows", "time", "length", "idle", "alerts", "alert_count")

    def __init__(self, config: Config, *, n_envs: int, part: str, autoreset: bool = True):
        dataset = load_dataset(config)
        self.config, self.part = config, part
        self.category_names = dataset.category_names
        self._flows = dataset.parts[part]
        self._window = config.alert_window
        columns = self._flows.features.shape[1] + bool(self._window)
        observation = Box(-CLIP, CLIP, (columns,), np.float32)
        super().__init__(observation, Discrete(len(ACTIONS)), n_envs=n_envs, autoreset=autoreset)

        self._costs = np.asarray(config.costs, np.float32).ravel()  # indexed by 4 * label + action
        self._flags = np.isin(np.arange(len(ACTIONS)), config.flag_actions).astype(np.int8)
        self._label4 = (self._flows.label * len(ACTIONS)).astype(np.int8)
        self._stream = FlowStream(self._flows.label, self._flows.category, config.campaigns)
        self._permutation: tuple[int, np.ndarray] | None = None  # the last requested permutation, with its seed
        # The flows of each copy, time first; one more than the shift, for the final observation.
        self._rows = np.zeros((config.shift + 1, n_envs), np.int32)
        self._time = np.zeros(n_envs, np.int64)
        self._length = np.full(n_envs, config.shift)
        self._alerts = np.zeros((self._window, n_envs), np.int8)  # a ring, indexed by time modulo the window
        self._alert_count = np.zeros(n_envs, np.int32)
        self._outcome: dict[str, np.ndarray] = {}  # of the latest step

    def step(self, actions: np.ndarray):
        """Decide on one flow per copy; the outcome of an idle copy is meaningless."""
        actions = self._checked(actions).astype(np.int8)
        rows = self._rows[self._time, self._copy]
        cost = self._costs.take(self._label4.take(rows) + actions)
        outcome = {
            "label": self._flows.label.take(rows),
            "category": self._flows.category.take(rows),
            "action": actions,
            "flagged": self._flags.take(actions),
            "cost": cost,
            "flow": rows,
        }
        if self._flows.posterior is not None:
            outcome["posterior"] = self._flows.posterior.take(rows)
        if self._window:
            outcome["alerts_in_window"] = self._count_alerts(actions)

        self._outcome = outcome
        self._time += ~self._idle
        truncated = (self._time >= self._length) & ~self._idle
        infos: dict[str, Any] = {"outcome": outcome}
        if truncated.any():
            infos["final_obs"], infos["_final_obs"] = self._observe(), truncated
            if self.autoreset:
                self._draw(truncated)
            else:
                self._idle |= truncated
        return self._observe(), -cost, np.zeros(self.num_envs, bool), truncated, infos

    @property
    def knows_all_actions(self) -> bool:
        """Whether an action changes only its own step: alerts that are counted change later ones."""
        return not self._window

    def outcomes_of_actions(self) -> list[dict[str, np.ndarray]]:
        """For each action, the outcome of the latest step, if every copy had taken it."""
        label4 = self._label4.take(self._outcome["flow"])
        return [
            {
                **self._outcome,
                "action": np.full(self.num_envs, action, np.int8),
                "flagged": np.full(self.num_envs, self._flags[action]),
                "cost": self._costs.take(label4 + np.int8(action)),
            }
            for action in range(len(ACTIONS))
        ]

    def _observe(self) -> np.ndarray:
        rows = self._rows[self._time, self._copy]
        features = self._flows.features
        if not self._window:
            return features.take(rows, axis=0)
        obs = np.empty((len(rows), features.shape[1] + 1), np.float32)
        obs[:, :-1] = features[rows]
        obs[:, -1] = self._alert_count / self._window  # a policy needs it to keep to a budget
        return obs

    def _count_alerts(self, actions: np.ndarray) -> np.ndarray:
        """Alerts among the last `alert_window` flows of the episode, including this one, `[N]`."""
        alert = (actions == ALERT).astype(np.int8)
        slot = self._time % self._window, self._copy
        self._alert_count += np.where(self._idle, 0, alert - self._alerts[slot])
        self._alerts[slot] = alert
        return self._alert_count.copy()

    def _begin(self, mask: np.ndarray) -> None:
        self._time[mask] = 0
        self._alerts[:, mask] = 0
        self._alert_count[mask] = 0

    def _seed(self, entropy: list[int]) -> None:
        self._stream.seed(entropy)

    def _draw(self, mask: np.ndarray) -> None:
        """Start the next blocks of the endless stream."""
        self._rows[:, mask] = self._stream.take(int(mask.sum()), self.config.shift)
        self._length[mask] = self.config.shift
        self._begin(mask)

    def _play(self, mask: np.ndarray, episode: np.ndarray, order: int) -> None:
        """Start the given blocks of the permutation seeded by `order`."""
        count = episode_count(len(self._flows), self.config.shift)
        episodes = episode[mask]
        absent = episodes[(episodes < 0) | (episodes >= count)]
        if len(absent):
            raise ValueError(f"episode {absent[0]} does not exist: the {self.part} part has {count} episodes")
        if self._permutation is None or self._permutation[0] != order:
            rng = np.random.default_rng(np.random.SeedSequence([order, *part_key(self.part).encode()]))
            flows = self._flows
            self._permutation = order, shuffle_flows(rng, flows.label, flows.category, self.config.campaigns)
        permutation, shift = self._permutation[1], self.config.shift
        position = episodes * shift + np.arange(shift + 1)[:, None]
        self._rows[:, mask] = permutation.take(position, mode="wrap")
        self._length[mask] = np.minimum(shift, len(permutation) - episodes * shift)
        self._begin(mask)

    def get_state(self) -> dict[str, Any]:
        """The state that determines all later steps, as arrays and JSON values."""
        return {**super().get_state(), "stream": self._stream.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly where `get_state` was called.

        Raises:
            ValueError: a state of another shape.
        """
        super().set_state(state)
        self._stream.set_state(state["stream"])
