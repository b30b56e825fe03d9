"""The vector environment: N test cycles at once, one case per step, computed with array operations."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from rl_eval.domains.qase.config import LEVELS, Config
from rl_eval.domains.qase.environment.dataset import CycleSet, budgets_ms, load_dataset
from rl_eval.domains.qase.environment.features import FEATURES
from rl_eval.domains.qase.environment.ranking import (
    apfd,
    apfdc,
    mid_ranks,
    napfd,
    passing_behind,
    ran_within,
    running_order,
)
from rl_eval.envs.native_vector import NativeVector
from rl_eval.hashing import mix64
from rl_eval.seeding import part_key

# Outcome facts of a cycle: set at its last case, 0 before.
CYCLE_FACTS = (
    "apfd", "apfd_unseen", "apfdc", "napfd", "failures", "found", "time_ranked", "security_passed", "bugs",
    "bugs_found",
)  # fmt: skip
# _BEATS[a, b]: whether level a runs before level b (1), after it (-1), or either (0).
_BEATS = np.sign(np.arange(LEVELS)[:, None] - np.arange(LEVELS)).astype(np.float32)


class QaseVector(NativeVector):
    """One part of the data as a vector environment; see `rl_eval.envs` for the contract.

    An episode is a test cycle, a step is one of its cases, the action is the priority level of the case. After the last
    case the cycle runs, highest level first, until the budget is spent. In training, cycles come from an endless
    shuffle of the part and their cases are shuffled, so that ties break at random.
    `reset(options={"episode": [N], "order": seed})` plays cycles of one permutation instead, with cases as listed.

    `rank(scores)` before a step orders the case by its score instead of by its level.

    The default reward is `pairs`: see `step`.

    Args:
        record: cycles to play instead of the part of the config's data.
    """

    arrays = ("episode", "time", "length", "idle", "rows", "scores", "ahead", "time_behind")

    def __init__(
        self, config: Config, *, n_envs: int, part: str, autoreset: bool = True, record: CycleSet | None = None
    ):
        observation = Box(-np.inf, np.inf, (len(FEATURES),), np.float32)
        super().__init__(observation, Discrete(LEVELS), n_envs=n_envs, autoreset=autoreset)
        self.config, self.part = config, part
        self._rng = np.random.default_rng()
        self._queue, self._cursor = np.zeros(0, np.int64), 0  # the endless shuffle of cycles
        self._order = 0  # the seed of the last requested permutation
        self._take_record(load_dataset(config).parts[part] if record is None else record)

    def _take_record(self, record: CycleSet) -> None:
        """Play these cycles from now on; every copy must be reset."""
        n, longest = self.num_envs, int(record.lengths.max())
        self._record = record
        self._budget_ms = budgets_ms(record, self.config.budget)
        failed = np.add.reduceat(record.verdict.astype(np.int64), record.start[:-1])
        passed = record.lengths - failed
        full_ms = np.add.reduceat(record.duration_ms, record.start[:-1])
        self._pair_worth = pair_worth(failed, passed, full_ms, self.config.timed)
        self._failure_share = (failed / record.lengths).astype(np.float32)
        self._episode = np.zeros(n, np.int64)  # index of each copy's cycle
        self._time = np.zeros(n, np.int64)
        self._length = np.ones(n, np.int64)
        self._rows = np.zeros((n, longest), np.int64)  # the executions of each copy's cycle, in the order shown
        self._scores = np.zeros((n, longest), np.float32)
        # [n, v, l]: among levelled cases with verdict v, the number that run after level l minus the number before
        self._ahead = np.zeros((n, 2, LEVELS), np.float32)
        # [n, l]: total time of levelled cases that run after level l minus that of those before
        self._time_behind = np.zeros((n, LEVELS), np.float32)
        self._next_scores: np.ndarray | None = None
        self._zeros = np.zeros(n, np.float32)
        self._zeros.flags.writeable = False

    def rank(self, scores: np.ndarray) -> None:
        """Set scores that order the cases of the next step, `[N]`, highest first, instead of their levels."""
        self._next_scores = np.asarray(scores, np.float32)

    def candidates(self) -> dict[str, np.ndarray]:
        """The cases of the next step for baselines, `[N]`: position in the source, and verdict."""
        rows = self._rows[self._copy, self._time]
        return {"position": rows - self._record.start[self._episode], "verdict": self._record.verdict.take(rows)}

    def step(self, actions: np.ndarray):
        """Give the current case of each copy its priority level; the outcome of an idle copy is meaningless.

        `pairs` of the outcome compares the case with the cases levelled before it. A failing and a passing case count
        1 in the right order, -1 in the wrong order and 0 at equal levels, divided by the number of such pairs in the
        cycle. The sum over a cycle is 2·APFD - 1 of the order by level, stretched to 1 for the best order and -1 for
        the worst.

        If time counts, a pair with a failing case counts the time that the failure waits or does not wait, divided by
        the cycle's time and failures. The sum is 2·APFDc - 1 of the order by level, so that a quick case may run before
        a slow one that fails more often (Smith's rule).
        """
        actions = self._checked(actions)
        record, copy = self._record, self._copy
        rows = self._rows[copy, self._time]
        verdict = record.verdict.take(rows)
        score = actions.astype(np.float32) if self._next_scores is None else self._next_scores
        self._next_scores = None
        self._scores[copy, self._time] = score
        pairs = self._pairs(rows, verdict, actions)
        outcome = {
            "execution": rows,
            "verdict": verdict,
            "level": actions,
            "score": score,
            "security": record.security.take(rows),
            "unseen": record.unseen.take(rows),
            "failure_share": self._failure_share.take(self._episode),
            "pairs": pairs,
        }
        self._time += ~self._idle
        done = (self._time >= self._length) & ~self._idle
        outcome["cycle_end"] = done
        outcome |= dict.fromkeys(CYCLE_FACTS, self._zeros)
        infos: dict[str, Any] = {"outcome": outcome}
        if done.any():
            self._time[done] -= 1  # the final observation is that of the last case
            infos["final_obs"], infos["_final_obs"] = self._observe(), done
            copies = np.flatnonzero(done)
            for name, values in self._run(copies).items():
                outcome[name] = np.zeros(self.num_envs, np.float32)
                outcome[name][copies] = values
            if self.autoreset:
                self._draw(done)
            else:
                self._idle |= done
        return self._observe(), pairs, done, np.zeros(self.num_envs, bool), infos

    def _pairs(self, rows: np.ndarray, verdict: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Value of the case's order against the cases levelled before it, `[N]`; adds the case to them."""
        copy, beats = self._copy, _BEATS.T[level]
        if self.config.timed:
            duration = self._record.duration_ms.take(rows).astype(np.float32)
            gain = verdict * self._time_behind[copy, level] - duration * self._ahead[copy, 1, level]
            self._time_behind += duration[:, None] * beats
        else:
            # a failing case gains from passing cases after it, a passing case from failing cases before it
            gain = self._ahead[copy, 1 - verdict, level]
            gain = np.where(verdict == 1, gain, -gain)
        self._ahead[copy, verdict] += beats
        return gain * self._pair_worth.take(self._episode)

    def _observe(self) -> np.ndarray:
        """Observations `[N, 64]`, a new array that a caller may keep."""
        return self._record.features.take(self._rows[self._copy, self._time], axis=0)

    def _run(self, copies: np.ndarray) -> dict[str, np.ndarray]:
        """The facts `CYCLE_FACTS` of the finished cycles of some copies, each `[K]`."""
        record, episode = self._record, self._episode[copies]
        length = self._length[copies]
        longest = int(length.max())
        real = np.arange(longest) < length[:, None]
        rows, scores = self._rows[copies, :longest], self._scores[copies, :longest]
        failed = (record.verdict[rows] == 1) & real
        ranks = mid_ranks(scores, real)
        unseen = record.unseen[rows] & real
        order = running_order(scores, self._ties(rows), real)
        run_at = np.empty(order.shape, np.int64)
        np.put_along_axis(run_at, order, np.broadcast_to(np.arange(1, longest + 1), order.shape), axis=1)
        ran = ran_within(order, record.duration_ms[rows], self._budget_ms[episode], real)
        return {
            "apfd": apfd(ranks, failed, real),
            "apfd_unseen": apfd(mid_ranks(scores, unseen), failed & unseen, unseen)
            if unseen.any()
            else np.full(len(copies), np.nan),
            "apfdc": apfdc(order, failed, record.duration_ms[rows], real),
            "napfd": napfd(run_at, failed, ran, real),
            "failures": failed.sum(axis=1),
            "found": (failed & ran).sum(axis=1),
            "time_ranked": passing_behind(order, failed, ran, real),
            "security_passed": (ran & ~failed & record.security[rows]).sum(axis=1),
            "bugs": np.zeros(len(copies)),  # recorded data has no seeded bugs
            "bugs_found": np.zeros(len(copies)),
        }

    def _ties(self, rows: np.ndarray) -> np.ndarray:
        """Tie-breaking keys of the same shape as `rows` `[…, L]`; the lowest runs first among equal scores.

        Training shuffles the cases, which breaks ties. A gate shows cases as listed and breaks ties by its seed.
        """
        if self.autoreset:
            return np.broadcast_to(np.arange(rows.shape[-1]), rows.shape)
        return mix64(rows.astype(np.uint64) ^ mix64(np.uint64(self._order)))

    def _begin(self, copies: np.ndarray, episode: np.ndarray) -> None:
        self._episode[copies] = episode
        self._length[copies] = self._record.lengths[episode]
        self._time[copies] = 0
        self._ahead[copies] = 0.0
        self._time_behind[copies] = 0.0
        self._rows[copies] = self._record.start[episode][:, None]

    def _seed(self, entropy: list[int]) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence(entropy))
        self._queue, self._cursor = np.zeros(0, np.int64), 0

    def _draw(self, mask: np.ndarray) -> None:
        """Start the next cycles of the endless shuffle, with shuffled cases."""
        copies = np.flatnonzero(mask)
        episode = self._next_cycles(len(copies))
        self._begin(copies, episode)
        longest = self._rows.shape[1]
        key = self._rng.random((len(copies), longest))
        key[np.arange(longest) >= self._length[copies][:, None]] = 2.0  # padding comes last
        self._rows[copies] += np.minimum(np.argsort(key, axis=1), self._length[copies][:, None] - 1)

    def _next_cycles(self, count: int) -> np.ndarray:
        """`[count]` cycles; each comes once before any is repeated."""
        cycles = self._queue[self._cursor : self._cursor + count]
        self._cursor += len(cycles)
        while len(cycles) < count:
            self._queue = self._rng.permutation(len(self._record))
            self._cursor = min(count - len(cycles), len(self._queue))
            cycles = np.concatenate([cycles, self._queue[: self._cursor]])
        return cycles

    def _play(self, mask: np.ndarray, episodes: np.ndarray, order: int) -> None:
        """Start the given cycles of the permutation seeded by `order`, with cases as listed."""
        absent = episodes[mask & ((episodes < 0) | (episodes >= len(self._record)))]
        if len(absent):
            count = len(self._record)
            raise ValueError(f"episode {absent[0]} does not exist: the {self.part} part has {count} episodes")
        self._order = order
        permutation = np.random.default_rng([order, *part_key(self.part).encode()]).permutation(len(self._record))
        copies = np.flatnonzero(mask)
        self._begin(copies, permutation[episodes[mask]])
        offsets = np.arange(self._rows.shape[1])
        self._rows[copies] += np.minimum(offsets, self._length[copies][:, None] - 1)

    def get_state(self) -> dict[str, Any]:
        """The state that determines all later steps, as arrays and JSON values."""
        rng = self._rng.bit_generator.state
        return {**super().get_state(), "queue": self._queue.copy(), "cursor": self._cursor, "rng": rng}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly where `get_state` was called.

        Raises:
            ValueError: a state of another shape.
        """
        super().set_state(state)
        self._queue, self._cursor = np.array(state["queue"], np.int64), int(state["cursor"])
        self._rng.bit_generator.state = state["rng"]


def pair_worth(failed: np.ndarray, passed: np.ndarray, full_ms: np.ndarray, timed: bool) -> np.ndarray:
    """Weight of one pair in each cycle, float32 `[E]`: 1 / pairs, or 1 / (failures × full time)."""
    total = failed * full_ms if timed else failed * passed
    return np.divide(1.0, total, out=np.zeros(len(total)), where=total > 0).astype(np.float32)
