"""Recording the first observation of every training episode, without changing the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from rl_eval.exposure.fingerprints import BLOCK_ROWS, Fingerprints, fingerprint_observations

# Distinct cases or first observations per part that are kept (20 bytes each); the others are counted.
MAX_ENTRIES = 5_000_000


class FirstObservationRecorder:
    """Collects first observations; draws no random number, and changes nothing that it is given."""

    def __init__(self, limit: int = MAX_ENTRIES):
        self._limit = limit
        self._recorded = Fingerprints.empty()
        self._unrecorded = 0
        self._rows: list[np.ndarray] = []
        self._row_count = 0
        self._hashed: list[tuple[np.ndarray, np.ndarray]] = []
        self._hashed_count = 0

    @property
    def unrecorded(self) -> int:
        """How many first observations are not among `fingerprints`, for lack of room or of a record."""
        self._merge()
        return self._unrecorded

    def add(self, obs: np.ndarray) -> None:
        """Take K first observations `[K, ...]`; the array is kept, so it must not change afterwards."""
        self._rows.append(obs)
        self._row_count += len(obs)
        if self._row_count >= BLOCK_ROWS:
            self._hash()
            # merged only when there is half as much new as recorded, so the total work stays linear
            if self._hashed_count >= max(16 * BLOCK_ROWS, len(self._recorded) // 2):
                self._merge()

    def _hash(self) -> None:
        if self._rows:
            self._hashed.append(fingerprint_observations(np.concatenate(self._rows)))
            self._hashed_count += self._row_count
            self._rows, self._row_count = [], 0

    def _merge(self) -> None:
        self._hash()
        if not self._hashed:
            return
        exact, near = (np.concatenate(parts) for parts in zip(*self._hashed, strict=True))
        self._hashed, self._hashed_count = [], 0
        fresh = Fingerprints.from_hashes(exact, near)
        new = np.flatnonzero(~np.isin(fresh.exact, self._recorded.exact, assume_unique=True))
        without_room = new[max(self._limit - len(self._recorded), 0) :]
        if len(without_room):
            self._unrecorded += int(fresh.counts[without_room].sum())
            has_room = np.ones(len(fresh), bool)
            has_room[without_room] = False
            fresh = Fingerprints(fresh.exact[has_room], fresh.views[has_room], fresh.counts[has_room])
        self._recorded = self._recorded.merge(fresh)

    def fingerprints(self) -> Fingerprints:
        """Everything recorded so far."""
        self._merge()
        return self._recorded

    def state(self) -> dict[str, np.ndarray]:
        """For a resume point; these keys are part of its format."""
        self._merge()
        recorded = self._recorded
        unrecorded = np.array([self._unrecorded], np.int64)
        return {
            "exact": recorded.exact,
            "near": recorded.views.ravel(),
            "times": recorded.counts,
            "left_out": unrecorded,
        }

    @classmethod
    def of_states(cls, states: Sequence[Mapping[str, np.ndarray]]) -> FirstObservationRecorder:
        """One record of what several recorders gave in their `state`."""
        together = cls()
        for state in states:
            one = cls()
            one.load_state(state, episodes=0)
            together._recorded = together._recorded.merge(one._recorded)
            together._unrecorded += one._unrecorded
        return together

    def load_state(self, state: Mapping[str, np.ndarray], episodes: int) -> None:
        """Continue from what `state` gave.

        Args:
            state: empty if the resume point holds no record.
            episodes: begun before that point, which such a resume point cannot list.
        """
        self._rows, self._row_count, self._hashed, self._hashed_count = [], 0, [], 0
        if not state:
            self._recorded, self._unrecorded = Fingerprints.empty(), episodes
            return
        exact, near, counts = (np.array(state[name]) for name in ("exact", "near", "times"))
        self._recorded = Fingerprints(exact, near[:, None], counts)
        self._unrecorded = int(state["left_out"][0])


class RecordFirstObservations(VectorWrapper):
    """Gives a recorder the first observation of every episode of a vector environment that resets on its own."""

    def __init__(self, env: VectorEnv, recorder: FirstObservationRecorder):
        super().__init__(env)
        self.recorder = recorder
        self._next_step = env.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP
        self._ended = np.zeros(env.num_envs, bool)  # in the last step

    def reset(self, *, seed=None, options=None):
        """Start every copy."""
        obs, infos = self.env.reset(seed=seed, options=options)
        self.recorder.add(np.array(obs))
        self._ended = np.zeros(self.num_envs, bool)
        return obs, infos

    def step(self, actions):
        """One step; where an episode ended, in this step or the one before it, the next one begins."""
        result = self.env.step(actions)
        done = result[2] | result[3]
        begins = self._ended if self._next_step else done
        self._ended = done
        if begins.any():
            self.recorder.add(result[0][begins])  # a mask copies
        return result
