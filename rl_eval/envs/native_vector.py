"""`NativeVector`: base class of vector environments written in numpy, with their spaces, resets and state."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space


class NativeVector(VectorEnv):
    """N copies over one part of a domain's data.

    Attributes:
        arrays: the names, without underscore, of what `get_state` saves in place.
    """

    backend = "native"
    arrays: tuple[str, ...] = ()

    def __init__(self, observation: Box, action: Discrete, *, n_envs: int, autoreset: bool):
        self.single_observation_space, self.single_action_space = observation, action
        self.observation_space, self.action_space = batch_space(observation, n_envs), batch_space(action, n_envs)
        mode = AutoresetMode.SAME_STEP if autoreset else AutoresetMode.DISABLED
        self.metadata = {"render_modes": [], "autoreset_mode": mode}
        self.num_envs, self.autoreset = n_envs, autoreset
        self._copy, self._idle = np.arange(n_envs), np.ones(n_envs, bool)

    def reset(self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None):
        """Start every copy, or those in `options["reset_mask"]`, on a new episode or on `options["episode"]`.

        Raises:
            ValueError: an episode that the part does not have.
        """
        options = options or {}
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, bool)), bool)
        if options.get("episode") is not None:
            self._play(mask, np.asarray(options["episode"], np.int64), int(options.get("order", 0)))
        else:
            if seed is not None:
                self._seed([seed] if isinstance(seed, int | np.integer) else [int(one) for one in seed])
            self._draw(mask)
        self._idle[mask] = False
        legal = self._action_mask()
        return self._observe(), {} if legal is None else {"action_mask": legal}

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        """Actions `[N]`.

        Raises:
            ValueError: they are not N integers of the action space.
        """
        actions, count = np.asarray(actions), int(self.single_action_space.n)  # type: ignore[attr-defined]
        if actions.shape != (self.num_envs,) or actions.min() < 0 or actions.max() >= count:
            raise ValueError(f"actions must be {self.num_envs} integers from 0 to {count - 1}, not {actions!r}")
        return actions

    def get_state(self) -> dict[str, Any]:
        """Everything that decides what comes next, as arrays and JSON values."""
        return {name: getattr(self, f"_{name}").copy() for name in self.arrays}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly where `get_state` was called, on an environment of the same config.

        Raises:
            ValueError: a state of another shape.
        """
        for name in self.arrays:
            current, saved = getattr(self, f"_{name}"), np.asarray(state[name])
            if current.shape != saved.shape:
                raise ValueError(f"state {name!r} has shape {saved.shape}, but this environment has {current.shape}")
        for name in self.arrays:
            getattr(self, f"_{name}")[...] = state[name]

    def _action_mask(self) -> np.ndarray | None:
        """bool `[N, A]` a fresh array, which actions are legal now; None: always all.

        `reset` puts it into its infos; a subclass with a mask does so in `step`.
        """
        return None

    @abstractmethod
    def _seed(self, entropy: list[int]) -> None:
        """Begin the endless stream of episodes again."""

    @abstractmethod
    def _draw(self, mask: np.ndarray) -> None:
        """Put copies on the next episodes of the endless stream."""

    @abstractmethod
    def _play(self, mask: np.ndarray, episodes: np.ndarray, order: int) -> None:
        """Put copies on named episodes, `episodes` `[N]`, of the permutation that `order` seeds."""

    @abstractmethod
    def _observe(self) -> np.ndarray:
        """`[N, D]` a fresh array, so that a caller may keep it."""
