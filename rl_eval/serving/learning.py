"""`Learner`: the agent of a served run, learning from stored transitions as it would from its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rl_eval import config, seeding
from rl_eval.agent_registry import agent
from rl_eval.errors import InputError
from rl_eval.policy import Spaces
from rl_eval.serving.columns import columns
from rl_eval.serving.rows import StoredTransition
from rl_eval.serving.served_policy import ServedPolicy
from rl_eval.serving.source import Source, served, version_of

MAX_TRANSITIONS = 65_536  # of one update
STATE = "learner"  # of a checkpoint's metadata: the agent's state


class NoEnvironment(VectorEnv):
    """Copies of an environment that are stepped elsewhere: it has spaces, and that is all an agent reads of it."""

    def __init__(self, spaces: Spaces, copies: int):
        self.num_envs = copies
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space, self.single_action_space = spaces.observation, spaces.action
        self.observation_space = batch_space(spaces.observation, copies)
        self.action_space = batch_space(spaces.action, copies)


class Learner:
    """An agent that starts from a served policy.

    It is that of a new run with `init=`: the weights and statistics are those of the policy, the optimiser is new. The
    schedules of the run ended with it, so the learning rate is constant, and exploration stays what it is.

    Args:
        source: the run.
        update_after: transitions that an update needs; None: as many as an iteration of training has.
        folder: of a replay buffer on disk.
        changes: hyper-parameters that are not those of the run.
        others: whether it also learns from what other policies chose. PPO and A2C then correct by the logged
            propensities; DQN, which learns about its own policy from anything, does so one step at a time.

    Raises:
        InputError: it cannot learn here; says why.
    """

    def __init__(
        self,
        source: Source,
        update_after: int | None,
        folder: Path,
        *,
        changes: Mapping[str, Any] | None = None,
        others: bool = False,
    ):
        if source.run_config is None:
            raise InputError(f"{source.name} is an ONNX file, which does not learn: serve the run it was exported from")
        run_config = config.without_servers(config.load(source.run_config))
        self._source, self._update_after, self._others = source, update_after, others
        try:
            self._agent_config = _settings(run_config.agent, source.meta, update_after, changes or {}, others)
        except (TypeError, ValueError) as error:
            raise InputError(f"{source.name} cannot learn with {dict(changes or {})}: {error}") from error
        self.on_policy = not hasattr(self._agent_config, "buffer_size")
        generators = {name: seeding.generator(run_config.seed, name) for name in ("init", "policy", "minibatch")}
        copies = self._agent_config.n_envs
        try:
            self.agent = agent(source.meta["agent"]).build(
                self._agent_config,
                NoEnvironment(source.policy.spaces, copies),
                generators=generators,
                total_steps=run_config.total_steps,
                device=config.torch_device(run_config.hardware),
                folder=folder,
            )
            if not hasattr(self.agent, "learn_from"):
                raise InputError(f"agent={source.meta['agent']} has no `learn_from`: it cannot learn from a store")
            if isinstance(source.policy.spaces.action, gym.spaces.Discrete):
                self.agent.expect_masks(source.policy.trained_with_masks)
        except ValueError as error:
            raise InputError(str(error)) from error

    def start(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Go on from a checkpoint of `checkpoint`, or from the policy of a snapshot.

        Raises:
            InputError: it does not fit.
        """
        try:
            if meta.get(STATE) is None:
                self.agent.initialize(arrays, meta)
            else:
                self.agent.load_state({name: np.array(value) for name, value in arrays.items()}, meta[STATE])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise InputError(f"the checkpoint does not fit the agent ({error}): use another one") from error

    def refill(self, transitions: Sequence[StoredTransition]) -> None:
        """Fill the replay buffer again, with what was learned from before."""
        if not self.on_policy and transitions:
            self.agent.refill(self._columns(transitions))

    def hold(
        self,
        strength: float,
        observations: np.ndarray,
        masks: np.ndarray | None = None,
        earlier: np.ndarray | None = None,
        decay: float = 1.0,
    ) -> np.ndarray:
        """Hold the weights where they are by elastic weight consolidation; see `agents.elastic_weights`.

        Args:
            strength: λ.
            observations: `[B, D]` of what was learned before.
            masks: bool `[B, A]`, the actions that were legal; None: all.
            earlier: what the last call returned, `[P]`, for an earlier policy; it remains with the weight `decay`.

        Raises:
            InputError: they do not fit the agent, or it cannot hold its weights.
        """
        if not hasattr(self.agent, "hold_weights"):
            raise InputError(f"agent={self._source.meta['agent']} has no `hold_weights`: set ewc_lambda to 0")
        try:
            return self.agent.hold_weights(strength, observations, masks, earlier=earlier, decay=decay)
        except (ValueError, RuntimeError) as error:
            raise InputError(f"the weights cannot be held ({error}): set ewc_lambda to 0") from error

    @property
    def buffer_size(self) -> int:
        """Transitions that a replay buffer holds; 0: there is none."""
        return 0 if self.on_policy else int(self._agent_config.buffer_size)

    @property
    def buffer_fill(self) -> float | None:
        """The share of the replay buffer that is filled; None: there is none."""
        return None if self.on_policy else len(self.agent.buffer) / self.agent.buffer.size

    @property
    def needed(self) -> int:
        """Transitions that an update needs."""
        if self.on_policy and self._update_after is not None:
            return self._update_after
        return self.agent.transitions_needed

    def learn(self, transitions: Sequence[StoredTransition]) -> dict[str, float]:
        """One update; returns the metrics that are numbers.

        Raises:
            FloatingPointError: a loss or a weight is not finite; the agent cannot be used any more.
        """
        metrics = self.agent.learn_from(self._columns(transitions))
        return {name: float(value) for name, value in metrics.items() if np.isfinite(value)}

    def _columns(self, transitions: Sequence[StoredTransition]) -> dict[str, np.ndarray]:
        return columns(transitions, self._source.policy, propensities=self._others and self.on_policy)

    def checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any], ServedPolicy]:
        """Everything that `start` needs, and the policy as it is now; nothing shares memory with the agent."""
        arrays, meta = self.agent.policy_checkpoint()
        arrays = {name: np.array(value) for name, value in arrays.items()}
        steps = int(self._source.meta.get("env_steps") or 0) + self.agent.env_steps
        meta = {**meta, "agent": self._source.meta["agent"], "env": self._source.meta["env"], "env_steps": steps}
        policy = served(arrays, meta, version_of(arrays), seed=0)
        state, state_meta = self.agent.state_without_replay()
        state = {name: np.array(value) for name, value in state.items()}
        return {**state, **arrays}, {**meta, STATE: state_meta, "version": policy.version}, policy


def _settings(
    agent_config: Any, meta: Mapping[str, Any], update_after: int | None, own: Mapping[str, Any], others: bool
) -> Any:
    """The hyper-parameters of the run, without schedules that ended with it."""
    names = {field.name for field in dataclasses.fields(agent_config)}
    if unknown := sorted(own.keys() - names):
        raise ValueError(f"it has no {unknown[0]}")
    changes: dict[str, Any] = {"lr_schedule": "constant"} if "lr_schedule" in names else {}
    if "buffer_size" in names:  # what is served elsewhere is one copy
        changes["n_envs"] = 1
    if "epsilon_start" in names and meta.get("epsilon") is not None:
        changes |= {"epsilon_start": float(meta["epsilon"]), "epsilon_end": float(meta["epsilon"])}
        changes["exploration"] = "linear"
    if "learning_starts" in names and update_after is not None:
        changes["learning_starts"] = min(agent_config.learning_starts, update_after)
    if "all_actions" in names:  # what followed is known of the action that was taken
        changes["all_actions"] = False
    if "input_bins" in names:  # there is nothing to fit them to: they are those of the policy
        changes["input_bins"] = 0
    if "n_step" in names and others:  # a longer return would be of what the others did
        changes["n_step"] = 1
    return dataclasses.replace(agent_config, **{**changes, **own})
