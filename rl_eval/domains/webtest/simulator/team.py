"""Several testers of one application: each has a session of its own, they act in turn, and share what they know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space

from rl_eval.domains.webtest.config import Config
from rl_eval.domains.webtest.exploration import Caused, Shown
from rl_eval.domains.webtest.roles import BROWSER, roles_of_turns
from rl_eval.domains.webtest.simulator.tables import COLUMN
from rl_eval.domains.webtest.simulator.vector import LARGEST, SimulatedVector

SESSION = ("page", "history", "quantities", "last_form")  # arrays of the environment that each tester has of its own
LINE = ("state", "since_start", "caused")  # the same of the memory


@dataclass(frozen=True)
class _Step:
    """One step of a round: what it caused, the page that it showed, its facts, and `LINE` from before it."""

    caused: Caused
    shown: Shown
    outcome: dict[str, np.ndarray]
    line: dict[str, np.ndarray]


class TeamVector(SimulatedVector):
    """As `SimulatedVector`, with `env.testers` sessions: a step is one action of one tester, so the budget is theirs.

    A tester may use what its task allows (`roles.py`), or everything legal where nothing on its page is of its task.
    The first T columns of an observation say whose turn it is; the rest is what that tester sees, and what all know.

    In training the infos of a round's last step have `outcomes_without`: for each tester, the outcomes of the other
    testers' steps of the round, if that one had done nothing. What the others did is taken to be the same.
    """

    arrays: tuple[str, ...] = (*SimulatedVector.arrays, "turn")

    def __init__(self, config: Config, *, n_envs: int, part: str, autoreset: bool = True):
        self._turn = np.zeros(n_envs, np.int64)
        self._sessions: dict[str, np.ndarray] = {}  # [T, N, …] of each tester; that of the turn may be out of date
        self._allowed = roles_of_turns(config.testers)
        self._round: list[_Step] = []  # the steps of the round so far
        self._before: dict[str, Any] = {}  # the memory before the round
        super().__init__(config, n_envs=n_envs, part=part, autoreset=autoreset)
        size = config.testers + int(np.prod(self.single_observation_space.shape or ()))
        self.single_observation_space = Box(-LARGEST, LARGEST, (size,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, n_envs)

    def _parts(self) -> dict[str, np.ndarray]:
        """The arrays that belong to the session of a tester, as they are now."""
        own = {name: getattr(self, f"_{name}") for name in SESSION}
        return own | {f"memory_{name}": getattr(self._memory, name) for name in LINE}

    def _begin(self, mask: np.ndarray) -> None:
        super()._begin(mask)
        parts = self._parts()
        if not self._sessions:
            self._sessions = {name: np.stack([part] * self.config.testers) for name, part in parts.items()}
        for name, part in parts.items():
            self._sessions[name][:, mask] = part[mask]
        self._turn[mask] = 0

    def step(self, actions: np.ndarray):
        """One action of the tester whose turn it is; see `SimulatedVector.step`."""
        if self.autoreset:
            if not self._round:
                self._before = self._memory.get_state()
            self._line = {name: getattr(self._memory, name).copy() for name in LINE}
        return super().step(actions)

    def _recorded(self, caused: Caused, outcome: dict[str, np.ndarray]) -> dict[str, Any]:
        """Pass the turn on; at the end of a round in training, the outcomes without each tester."""
        infos: dict[str, Any] = {}
        if self.autoreset:
            self._round.append(_Step(caused, self._shown, outcome, self._line))
            if len(self._round) == self.config.testers:
                infos["outcomes_without"] = self._without_each()
                self._round = []
        active = np.flatnonzero(~self._idle)
        for name, part in self._parts().items():
            self._sessions[name][self._turn[active], active] = part[active]
        self._turn[active] = (self._turn[active] + 1) % self.config.testers
        for name, part in self._parts().items():
            part[active] = self._sessions[name][self._turn[active], active]
        self._shown = self._look()
        return infos

    def _without_each(self) -> list[list[dict[str, np.ndarray]]]:
        """For each tester, the outcomes of the others' steps of the round on the memory that lacks its step."""
        memory, everyone = self._memory, np.ones(self.num_envs, bool)
        after, results = memory.get_state(), []
        for absent in range(self.config.testers):
            memory.set_state(self._before)
            outcomes = []
            for turn, step in enumerate(self._round):
                if turn == absent:
                    memory.time += 1  # doing nothing takes its turn anyway
                    continue
                for name in LINE:
                    getattr(memory, name)[...] = step.line[name]
                outcomes.append({**step.outcome, **memory.record(everyone, step.caused, step.shown)})
            results.append(outcomes)
        memory.set_state(after)
        return results

    def _action_mask(self) -> np.ndarray:
        legal = super()._action_mask()
        role = self._pool.tables.candidates[self._row, self._page][..., COLUMN["role"]].astype(np.int64)
        own = legal & np.take_along_axis(self._allowed[self._turn], role, axis=1)
        has_work = (own & (role != BROWSER)).any(axis=1, keepdims=True)
        return np.where(has_work, own, legal)

    def _observe(self) -> np.ndarray:
        turn = (self._turn[:, None] == np.arange(self.config.testers)).astype(np.float32)
        return np.concatenate([turn, super()._observe()], axis=1)

    def get_state(self) -> dict[str, Any]:
        """The state that determines all later steps; between rounds."""
        return {**super().get_state(), **{f"session_{name}": part.copy() for name, part in self._sessions.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly where `get_state` was called.

        Raises:
            ValueError: a state of another shape.
        """
        for name, part in self._sessions.items():
            saved = np.asarray(state[f"session_{name}"])
            if saved.shape != part.shape:
                raise ValueError(f"sessions have shape {saved.shape}, but those of this environment have {part.shape}")
            part[...] = saved
        super().set_state({key: value for key, value in state.items() if not key.startswith("session_")})
        self._round = []
