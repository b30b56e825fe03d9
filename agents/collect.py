"""Steps of N environment copies: one, or T in a row as a rollout.

Environments reset in the step that ends an episode (SAME_STEP), or in the one after it (NEXT_STEP). With NEXT_STEP that
later step ignores its action, so its row is not a transition: nothing is learned from it, and it counts nowhere. Its
observation, though, is what the episode ended on. `valid` marks the rows that are transitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from agents.action_masks import read_final_mask, read_next_mask, refuse_late_mask
from agents.episode_log import EpisodeLog

# From observations [N, D], the step's noise [N, A] and the action mask [N, A] or None to network inputs [N, D], action
# parameters [N, A], network actions [N] or [N, A], and the same actions as the environment takes them.
Act = Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


@dataclass(slots=True)  # made at every step: a frozen one takes three times as long
class Step:
    """One step of N copies."""

    obs: np.ndarray  # [N, D] float32, after it
    rewards: np.ndarray  # [N]; 0 if the row is not valid
    terminated: np.ndarray  # [N]
    truncated: np.ndarray  # [N] where not terminated
    done: np.ndarray  # [N] where an episode ended
    valid: np.ndarray | None  # [N]; None: all
    final_obs: np.ndarray | None  # [N, D] what truncated episodes ended on, with SAME_STEP; None: there are none
    mask: np.ndarray | None  # [N, A] actions that are legal in `obs`; None: all
    final_mask: np.ndarray | None  # [N, A] the same of `final_obs`
    infos: Mapping[str, Any]


def flat(obs: Any, n_envs: int) -> np.ndarray:
    """Observations of N copies as float32 `[N, D]`."""
    return np.asarray(obs, np.float32).reshape(n_envs, -1)


def resets_on_next_step(envs: VectorEnv) -> bool:
    """Whether environments reset in the step after the one that ended an episode.

    Raises:
        ValueError: they do not reset on their own.
    """
    mode = envs.metadata.get("autoreset_mode")
    if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        raise ValueError(
            f"not supported: environments with autoreset mode {mode}; make them with SAME_STEP or NEXT_STEP"
        )
    return mode == AutoresetMode.NEXT_STEP


def step_copies(
    envs: VectorEnv,
    actions: np.ndarray,
    log: EpisodeLog | None,
    resetting: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> Step:
    """Step every copy once.

    Args:
        actions: as the environment takes them.
        log: counts the episodes; changed in place. None: they are counted elsewhere.
        resetting: bool `[N]` of environments with NEXT_STEP autoreset, copies whose episode is over: this step resets
            them; changed in place. None: SAME_STEP.
        mask: bool `[N, A]`, the actions that were legal. None: the environment gives no masks.

    Raises:
        ValueError: an action mask is missing or not valid.
    """
    n_envs = envs.num_envs
    obs, rewards, terminated, truncated, infos = envs.step(actions)
    valid = final_obs = final_mask = None
    done = terminated | truncated
    if np.count_nonzero(done):  # a tenth of the time of `any`
        truncated = truncated & ~terminated
    if resetting is not None:
        valid = ~resetting
        rewards = np.where(valid, rewards, 0.0)
        resetting[:] = done
    elif np.count_nonzero(truncated):
        copies = np.flatnonzero(truncated)
        ends = [np.asarray(infos["final_obs"][i], np.float32).ravel() for i in copies]
        final_obs = np.zeros((n_envs, ends[0].size), np.float32)
        final_obs[copies] = ends
        if mask is not None:
            final_mask = read_final_mask(infos, n_envs, envs.single_action_space, truncated)
    if mask is not None:
        mask = read_next_mask(infos, n_envs, envs.single_action_space, None if valid is None else terminated)
    if log is not None:
        log.step(rewards, done, valid)
    obs = flat(obs, n_envs)
    return Step(obs, rewards, terminated, truncated, done, valid, final_obs, mask, final_mask, infos)


def add_reward_terms(sums: dict[str, float], step: Step) -> None:
    """Add the reward terms of a step's transitions to their sums."""
    for name, values in step.infos.get("reward_terms", {}).items():
        total = float(values.sum() if step.valid is None else values[step.valid].sum())
        sums[name] = sums.get(name, 0.0) + total


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Check what an environment returned.

    Raises:
        FloatingPointError: a number is not finite; says which.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            where = ", ".join(str(int(i)) for i in np.argwhere(~np.isfinite(array))[0])
            raise FloatingPointError(f"the environment returned a number that is not finite: {name}[{where}]")


@dataclass
class Rollout:
    """T steps of N copies, all `[T, N, …]`."""

    obs: np.ndarray  # as the environment gave them
    inputs: np.ndarray  # as the network takes them
    parameters: np.ndarray  # of the distributions that the actions were drawn from
    actions: np.ndarray  # network actions
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray  # where not terminated
    next_obs: np.ndarray  # [N, D] after the last step
    final_obs: np.ndarray  # [K, D] that K truncations ended on; none with NEXT_STEP, where the next row holds them
    valid: np.ndarray | None  # [T, N] which rows are transitions; None: all
    reward_terms: dict[str, float]  # mean over the transitions
    masks: np.ndarray | None = None  # [T, N, A] bool, which actions were legal; None: all
    next_mask: np.ndarray | None = None  # [N, A] after the last step
    rewards_of_actions: np.ndarray | None = None  # [T, N, A] what each action would have earned; None: not asked for
    values: np.ndarray | None = None  # [T, N] the critic's outputs, where they were by-products of acting
    # [T, N] log-probabilities with which another policy chose the actions; None: the policy that learns did.
    log_propensities: np.ndarray | None = None

    @property
    def done(self) -> np.ndarray:
        """Whether an episode ended, `[T, N]`."""
        return self.terminated | self.truncated

    @property
    def size(self) -> int:
        """How many transitions there are."""
        return self.rewards.size if self.valid is None else int(self.valid.sum())

    def transitions(self, array: np.ndarray) -> np.ndarray:
        """Those rows of an array `[T, N, …]` that are transitions, `[B, …]`."""
        return array.reshape(-1, *array.shape[2:]) if self.valid is None else array[self.valid]


def collect(
    envs: VectorEnv,
    obs: np.ndarray,
    act: Act,
    noise: np.ndarray,
    log: EpisodeLog | None,
    resetting: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    rewards_of_actions: Callable[[], np.ndarray] | None = None,
) -> Rollout:
    """Step N copies T times with `act`.

    Args:
        obs: `[N, D]` the observations to start from.
        noise: `[T, N, A]` what `act` draws with, one slice per step.
        log, resetting: as in `step_copies`.
        mask: bool `[N, A]`, the actions that are legal in `obs`. None: the environments give no masks.
        rewards_of_actions: gives `[N, A]`, what each action would have earned in the latest step. None: not asked for.

    Raises:
        FloatingPointError: an observation or a reward is not finite.
        ValueError: an action mask is missing or not valid.
    """
    steps, n_envs, action_size = noise.shape
    size = obs.shape[1]
    discrete = isinstance(envs.single_action_space, gym.spaces.Discrete)
    action_shape = () if discrete else (action_size,)
    rollout = Rollout(
        obs=np.empty((steps, n_envs, size), np.float32),
        inputs=np.empty((steps, n_envs, 0), np.float32),  # the first step says how many there are
        parameters=np.empty((steps, n_envs, action_size), np.float32),
        actions=np.empty((steps, n_envs, *action_shape), np.int64 if discrete else np.float32),
        rewards=np.empty((steps, n_envs), np.float32),
        terminated=np.empty((steps, n_envs), bool),
        truncated=np.empty((steps, n_envs), bool),
        next_obs=obs,
        final_obs=np.empty((0, size), np.float32),
        valid=None if resetting is None else np.empty((steps, n_envs), bool),
        reward_terms={},
        masks=None if mask is None else np.empty((steps, n_envs, action_size), bool),
        rewards_of_actions=None if rewards_of_actions is None else np.empty((steps, n_envs, action_size), np.float32),
    )
    final_obs: list[np.ndarray] = []
    for t in range(steps):
        rollout.obs[t] = obs
        if rollout.masks is not None:
            rollout.masks[t] = mask
        inputs, rollout.parameters[t], rollout.actions[t], env_actions = act(obs, noise[t], mask)
        if not t:
            rollout.inputs = np.empty((steps, *inputs.shape), np.float32)
        rollout.inputs[t] = inputs
        step = step_copies(envs, env_actions, log, resetting, mask)
        obs, mask = step.obs, step.mask
        rollout.rewards[t], rollout.terminated[t], rollout.truncated[t] = step.rewards, step.terminated, step.truncated
        if rollout.valid is not None:
            rollout.valid[t] = step.valid
        if rewards_of_actions is not None:
            rollout.rewards_of_actions[t] = rewards_of_actions()  # type: ignore[index]
        if step.final_obs is not None:
            final_obs.append(step.final_obs[step.truncated])
        add_reward_terms(rollout.reward_terms, step)
    if mask is None:
        refuse_late_mask(step.infos)
    rollout.next_obs, rollout.next_mask = obs, mask
    if final_obs:
        rollout.final_obs = np.concatenate(final_obs)
    rollout.reward_terms = {name: total / max(rollout.size, 1) for name, total in rollout.reward_terms.items()}
    check_finite({"rewards": rollout.rewards, "obs": rollout.obs})
    if rollout.rewards_of_actions is not None:
        check_finite({"rewards_of_actions": rollout.rewards_of_actions})
    return rollout


def next_values(rollout: Rollout, values: np.ndarray, last: np.ndarray, final: np.ndarray) -> np.ndarray:
    """V of the observation each step led to, `[T, N]`; see `agents.advantage`.

    Args:
        values: `[T, N]` of `rollout.inputs`.
        last: `[N]` of `rollout.next_obs`.
        final: `[K]` of `rollout.final_obs`, in the order of its rows.
    """
    after = np.concatenate([values[1:], last[None]])
    if len(final):  # none with NEXT_STEP, where the row after a truncation holds what the episode ended on
        after[rollout.truncated] = final
    after[rollout.terminated] = 0.0
    return after
