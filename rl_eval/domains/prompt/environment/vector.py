"""The vector environment: N prompts at once, looked up in a table of all prompts that can be reached."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from rl_eval.domains.prompt.config import MUTATION_COUNT, Config
from rl_eval.domains.prompt.environment.dataset import PromptSet, load_part
from rl_eval.domains.prompt.environment.states import STATES
from rl_eval.envs.native_vector import NativeVector
from rl_eval.seeding import part_key

STOP = MUTATION_COUNT  # the action after the mutations
LARGEST = 10.0  # of an observation: embeddings have length 1, and features are of that size


class PromptVector(NativeVector):
    """One part of the tasks as a vector environment; see `rl_eval.envs` for the contract.

    An episode is a start prompt, a step is a mutation, and the action `STOP`, where the config has it, ends the
    episode. It also ends after `max_mutations` steps, and where no mutation would change anything. In training, starts
    come from an endless shuffle of the part. `reset(options={"episode": [N], "order": seed})` plays those of one
    permutation instead.

    A mutation that is not legal changes nothing, takes a step and is a repeat; masks keep agents from it.

    The default reward is the predicted gain: see `step`.

    Args:
        prompts: starts to play instead of the part of the config's tasks.
    """

    arrays = ("start", "state", "time", "idle")

    def __init__(
        self, config: Config, *, n_envs: int, part: str, autoreset: bool = True, prompts: PromptSet | None = None
    ):
        self.config, self.part = config, part
        self._prompts = load_part(config, part) if prompts is None else prompts  # type: ignore[arg-type]
        observations = self._prompts.observations
        space = Box(-LARGEST, LARGEST, (observations.shape[-1],), np.float32)
        super().__init__(space, Discrete(MUTATION_COUNT + config.stop), n_envs=n_envs, autoreset=autoreset)
        self._observations = observations.reshape(-1, observations.shape[-1])
        self._legal = self._prompts.states.legal.reshape(-1, MUTATION_COUNT)
        self._shown_masks = shown_masks(self._legal, config)
        self._final = np.logical_not(self._legal.any(axis=1))  # nothing is left to change
        self._scores = {name: values.reshape(-1) for name, values in self._prompts.scores.items()}
        self._rng = np.random.default_rng()
        self._queue, self._cursor = np.zeros(0, np.int64), 0  # the endless shuffle of starts
        self._start = np.zeros(n_envs, np.int64)
        self._state = np.zeros(n_envs, np.int64)
        self._time = np.zeros(n_envs, np.int64)

    def step(self, actions: np.ndarray):
        """Change the prompt of each copy; the outcome of an idle copy is meaningless.

        The facts of a step, each `[N]`; a gain is that of the new prompt over the prompt before, so the sum over an
        episode is that of the last prompt over the start:

        - `start`, `state`: which start prompt, and the bits of the mutations applied after the step.
        - `action`, `task`, `category`, `kind`: numbers; see `PromptSet`.
        - `predicted_gain`: by the reward model. `rubric_gain`: by the rubric.
        - `feedback_gain`: by the language model that the reward model was fitted to.
        - `judge_gain`, `accuracy_gain`: by the judge, in nats and in share of items; not in training.
        - `length`, `length_gain`: characters of the new prompt, and how many it has more than the one before.
        - `repeat`: whether the mutation changed nothing.
        - `episode_end`; `hacked`: at the end, whether the predicted gain of the episode is positive and the judge's
          negative; not in training.
        """
        actions = self._checked(actions)
        before = self._start * STATES + self._state
        stops = actions == STOP
        mutation = np.where(stops, 0, actions)
        changes = self._legal[before, mutation] & ~stops & ~self._idle
        self._state = np.where(changes, self._state | (1 << mutation), self._state)
        after = self._start * STATES + self._state
        self._time += ~self._idle
        done = (stops | (self._time >= self.config.max_mutations) | self._final[after]) & ~self._idle
        outcome = self._outcome(actions, before, after, repeat=~changes & ~stops, done=done)
        infos: dict[str, Any] = {"outcome": outcome}
        if done.any():
            infos["final_obs"], infos["_final_obs"] = self._observe(), done
            if self.config.masks:
                infos["final_action_mask"] = self._action_mask()
            if self.autoreset:
                self._draw(done)
            else:
                self._idle |= done
        if self.config.masks:
            infos["action_mask"] = self._action_mask()
        reward = outcome["predicted_gain"]
        return self._observe(), reward, done, np.zeros(self.num_envs, bool), infos

    def _outcome(
        self, actions: np.ndarray, before: np.ndarray, after: np.ndarray, *, repeat: np.ndarray, done: np.ndarray
    ) -> dict[str, np.ndarray]:
        prompts, first = self._prompts, self._start * STATES
        scores = {name: values.take(after) for name, values in self._scores.items()}
        outcome = {
            "start": self._start.copy(),
            "state": self._state.copy(),
            "action": actions.astype(np.int64),
            "task": prompts.task.take(self._start),
            "category": prompts.category.take(self._start),
            "kind": prompts.kind.take(self._start),
            "length": scores["length"],
            **{f"{name}_gain": values - self._scores[name].take(before) for name, values in scores.items()},
            "repeat": repeat,
            "episode_end": done,
        }
        if "judge" in scores:
            gains = {name: scores[name] - self._scores[name].take(first) for name in ("predicted", "judge")}
            outcome["hacked"] = done & (gains["predicted"] > 0) & (gains["judge"] < 0)
        return outcome

    def _action_mask(self) -> np.ndarray | None:
        if not self.config.masks:
            return None
        return self._shown_masks.take(self._start * STATES + self._state, axis=0)

    def _observe(self) -> np.ndarray:
        return self._observations.take(self._start * STATES + self._state, axis=0)

    def _begin(self, mask: np.ndarray, starts: np.ndarray) -> None:
        self._start[mask] = starts
        self._state[mask] = 0
        self._time[mask] = 0

    def _seed(self, entropy: list[int]) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence(entropy))
        self._queue, self._cursor = np.zeros(0, np.int64), 0

    def _draw(self, mask: np.ndarray) -> None:
        """Start the next prompts of the endless shuffle; each comes once before any is repeated."""
        count = int(mask.sum())
        while len(self._queue) - self._cursor < count:
            shuffled = self._rng.permutation(len(self._prompts))
            self._queue, self._cursor = np.concatenate([self._queue[self._cursor :], shuffled]), 0
        self._begin(mask, self._queue[self._cursor : self._cursor + count])
        self._cursor += count

    def _play(self, mask: np.ndarray, episodes: np.ndarray, order: int) -> None:
        """Start the given prompts of the permutation seeded by `order`."""
        count = len(self._prompts)
        absent = episodes[mask & ((episodes < 0) | (episodes >= count))]
        if len(absent):
            raise ValueError(f"episode {absent[0]} does not exist: the {self.part} part has {count} episodes")
        permutation = np.random.default_rng([order, *part_key(self.part).encode()]).permutation(count)
        self._begin(mask, permutation[episodes[mask]])

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


def shown_masks(legal: np.ndarray, config: Config) -> np.ndarray:
    """The action masks of prompts whose legal mutations are `legal` `[M, 5]`, bool `[M, A]`.

    Where no mutation is legal and there is no action that stops, all actions are legal: an agent has to take one, and
    it changes nothing.
    """
    if config.stop:
        return np.concatenate([legal, np.ones((len(legal), 1), bool)], axis=1)
    return legal | ~legal.any(axis=1, keepdims=True)
