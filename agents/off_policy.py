"""`OffPolicyAgent`: base class of DQN: networks, replay buffer, gradient steps and state, without collection.

The buffer keeps rewards and observations as the environment gave them. They are scaled when they are drawn, by the
statistics of that moment, so nothing in the buffer is on an old scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents import normalize, q_policy
from agents.action_masks import masked
from agents.base_agent import REMEDY, BaseAgent
from agents.checkpoint_arrays import with_prefix, without_prefix
from agents.config import DQNConfig
from agents.elastic_weights import q_network_fisher
from agents.make_replay import make_replay
from agents.networks import arrays_of, load_arrays
from agents.q_learning import QLearning
from agents.q_metrics import UpdateLog, update_metrics
from agents.replay import Batch
from agents.schedules import beta, epsilon, learning_rate, updates_due
from agents.target_cache import TargetCache
from agents.transitions import Transitions, add_to_buffer

DRAWN_ROWS = 2048  # that are drawn at once, where no update changes what the next one draws
CACHE_RATIO = 2  # slots of the target cache at most, for each row that is drawn before the target network changes


@dataclass
class CollectedSteps:
    """T steps of N copies, `[T, N, …]`."""

    obs: np.ndarray
    actions: np.ndarray  # from 0
    rewards: np.ndarray
    done: np.ndarray
    valid: np.ndarray  # which rows are transitions


class OffPolicyAgent(BaseAgent):
    """Learns action values from a replay buffer, and leaves to its subclass what collects the steps in it.

    Args:
        config: the hyper-parameters.
        envs, generators, total_steps, device: as in `BaseAgent`.
        folder: of the memmap, where the config asks for one and names no other; it names what is kept on a server.

    Raises:
        ValueError: the environment does not suit, or the memmap or the server has no room.
    """

    config: DQNConfig
    action_space: gym.spaces.Discrete

    def __init__(
        self,
        config: DQNConfig,
        envs: VectorEnv,
        *,
        generators: Mapping[str, np.random.Generator],
        total_steps: int,
        device: str = "cpu",
        folder: Path | None = None,
    ):
        config.check(envs.single_observation_space, envs.single_action_space, None)
        super().__init__(config, envs, generators=generators, total_steps=total_steps, device=device)
        self.actions = int(self.action_space.n)
        if config.network.body is not None:  # it may draw from torch's own generator
            torch.manual_seed(int(generators["init"].integers(2**31)))
        self.make_networks(generators["init"])
        self.buffer = make_replay(config, envs.num_envs * config.agents.count, self.obs_size, folder)
        # With more slots few are drawn twice before the target changes; and stored values need inputs that stay.
        slots = min(CACHE_RATIO * config.batch_size * config.target_every, self.buffer.size)
        cacheable = config.target == "hard" and not config.normalize_obs and config.agents.processes == 1
        self.cache = TargetCache(slots if cacheable else 0, self.actions)
        self.largest_reward = -np.inf
        self.next_measurement = 0  # env steps at which the health metrics are due

    def make_networks(self, rng: np.random.Generator) -> None:
        """As of `BaseAgent.make_networks`."""
        self.learner = QLearning(self.config, self.input_size, self.actions, rng, self.device)

    def start(self, seeds: list[int], *, cut: bool = False) -> None:
        """Reset every copy with a seed of its own; `cut` gives up the running episodes, in the buffer as truncated."""
        if cut:
            self.buffer.cut(self.obs, self.mask)
        super().start(seeds, cut=cut)
        if self.mask is not None:
            self.buffer.keep_masks(self.actions)

    def expect_masks(self, trained_with_masks: bool) -> None:
        """Before the first `learn_from`: its transitions may have masks; see `BaseAgent.expect_masks`."""
        super().expect_masks(trained_with_masks)
        self.buffer.keep_masks(self.actions)

    @property
    def transitions_needed(self) -> int:
        """The least number of transitions for `learn_from`, so that a gradient step is due."""
        config = self.config
        updates = Fraction(self.gradient_steps + 1) / Fraction(repr(config.updates_per_step))
        return max(math.ceil(updates) + max(config.learning_starts, config.batch_size) - self.env_steps, 1)

    def learn_from(self, columns: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Put steps that were taken elsewhere into the buffer, and take the gradient steps that are due.

        As `iterate` does from its own steps, of one copy; metrics of the updates, NaN if there was none.

        Args:
            columns: those of `Transitions`.

        Raises:
            FloatingPointError: a reward, an observation, a loss or a weight is not finite.
        """
        self.learner.optimizer.lr = learning_rate(self.config, self.env_steps, self.total_steps)
        updates = UpdateLog()
        transitions = Transitions(**columns)
        for rows in self._add(transitions):
            self._update_statistics(
                CollectedSteps(
                    obs=transitions.obs[rows, None],
                    actions=transitions.actions[rows, None],
                    rewards=transitions.rewards[rows, None].astype(np.float64),
                    done=(transitions.ended | transitions.cut)[rows, None],
                    valid=np.ones((rows.stop - rows.start, 1), bool),
                )
            )
            self._learn(updates)
        losses = update_metrics(updates, self.config, self._deviation(), len(self.buffer))
        if updates.td_errors:
            self.check_losses({"value_loss": losses["value_loss"]})
        self.check_parameters(self.learner.flat)
        return {**losses, "replay_fill": len(self.buffer) / self.buffer.size, "lr": self.learner.optimizer.lr}

    def refill(self, columns: Mapping[str, np.ndarray]) -> None:
        """Put transitions that were learned from before into an empty buffer, without learning from them again.

        Args:
            columns: those of `Transitions`.
        """
        env_steps = self.env_steps
        for _ in self._add(Transitions(**columns)):
            pass
        self.env_steps = env_steps

    def _add(self, transitions: Transitions) -> Iterator[slice]:
        """Put steps that were taken elsewhere into the buffer, as those of one copy; rows of `train_every` each."""
        if not (transitions.obs[0] == self.obs[0]).all():
            self.buffer.cut(self.obs, self.mask)
            self.reward_scale = normalize.RewardScale(np.zeros(1), self.reward_scale.moments)
        for start in range(0, len(transitions), self.config.train_every):
            rows = slice(start, min(start + self.config.train_every, len(transitions)))
            add_to_buffer(self.buffer, transitions, rows)
            self.obs = transitions.next_obs[rows][-1:]
            if self.mask is not None:
                masks = transitions.next_masks
                self.mask = np.ones_like(self.mask) if masks is None else masks[rows][-1:]
            self.env_steps += rows.stop - rows.start
            yield rows

    def _update_statistics(self, steps: CollectedSteps) -> None:
        """Take steps into the moments of observations and of discounted returns, and into the largest reward."""
        largest = float(steps.rewards.max(where=steps.valid, initial=-np.inf))
        self.largest_reward = max(self.largest_reward, largest)
        if self.obs_moments is not None and self.learner.elastic is None:  # held weights keep the scale of their inputs
            self.obs_moments = normalize.update(self.obs_moments, steps.obs[steps.valid], "observations")
        if self.config.normalize_reward:
            _, self.reward_scale = normalize.scale_rewards(
                steps.rewards, steps.done, self.reward_scale, self.config.gamma, valid=steps.valid
            )

    def _learn(self, updates: UpdateLog) -> None:
        """The gradient steps that are due."""
        config, rows = self.config, self.config.batch_size
        due = updates_due(config, self.env_steps) - self.gradient_steps
        while due > 0 and len(self.buffer) >= rows:
            at_once = 1 if config.prioritized else max(DRAWN_ROWS // rows, 1)
            at_once = min(due, at_once, len(self.buffer) // rows)
            if config.target == "hard":
                at_once = min(at_once, config.target_every - self.gradient_steps % config.target_every)
            exponent = beta(config, self.env_steps, self.total_steps)
            batch = self.buffer.sample(at_once * rows, self.generators["minibatch"], beta=exponent)
            self._learn_from(batch, updates)
            due -= at_once

    def _learn_from(self, batch: Batch, updates: UpdateLog) -> None:
        """A gradient step on each `batch_size` rows; the target network may change after the last one."""
        config, learner, rows = self.config, self.learner, self.config.batch_size
        inputs = self.inputs(batch.obs)
        returns = batch.returns / np.float32(self._deviation())
        next_inputs = target_q = None
        if config.gamma:
            next_inputs = self.inputs(batch.next_obs)
            # One pass of a hard target network serves all updates until it changes.
            target_q = self._target_q(batch, next_inputs) if config.target == "hard" else None
        for start in range(0, len(returns), rows):
            part = slice(start, start + rows)
            mask = None if batch.masks is None else batch.masks[part]
            targets = returns[part]
            if next_inputs is not None:
                next_q = learner.target_values.q_values(next_inputs[part]) if target_q is None else target_q[part]
                next_mask = None if batch.next_masks is None else batch.next_masks[part]
                targets = learner.targets(targets, batch.discounts[part], next_inputs[part], next_q, next_mask)
            weights = batch.weights[part] if config.prioritized else None
            td_errors, q_values, norm = learner.step(inputs[part], batch.actions[part], targets, weights)
            updates.add(td_errors, targets, masked(q_values, mask), norm)
            self.gradient_steps += 1
            if config.target == "soft":
                learner.sync(config.tau)
            elif self.gradient_steps % config.target_every == 0:
                learner.sync(1.0)
                self.cache.clear()
        updates.add_batch(batch)
        if config.prioritized:  # one gradient step per batch
            if not np.isfinite(td_errors).all():
                raise FloatingPointError(f"a TD error is not finite after {self.env_steps} env steps: {REMEDY}")
            self.buffer.update_priorities(batch.index, td_errors)

    def _target_q(self, batch: Batch, next_inputs: np.ndarray) -> np.ndarray:
        """Q `[B, A]` of the target network on what follows each transition."""
        compute = self.learner.target_values.q_values
        if self.buffer.filled > self.cache.slots:
            return compute(next_inputs)
        return self.cache.q_values(batch.next_index, batch.next_written, next_inputs, compute)

    def _deviation(self) -> float:
        """The divisor of rewards: the deviation of the discounted return, or 1."""
        if not self.config.normalize_reward:
            return 1.0
        return float(np.sqrt(self.reward_scale.moments.variance + 1e-8))

    def margin_gradients(self, obs: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """As of `BaseAgent.gradients_of_margin`, of action values."""
        return self.gradients_of_margin(self.learner.online, obs, masks)

    @property
    def stepped(self) -> QLearning:
        """As of `BaseAgent.stepped`."""
        return self.learner

    def fisher(self, inputs: torch.Tensor, masks: torch.Tensor | None) -> np.ndarray:
        """As of `elastic_weights.q_network_fisher`."""
        return q_network_fisher(self.learner.online, inputs, masks)

    def policy_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Weights and observation statistics, and the metadata that `q_policy.load` and `initialize` need."""
        meta = q_policy.metadata(
            self.observation_space,
            self.action_space,
            self.config,
            self._deviation(),
            epsilon(self.config, self.env_steps, self.total_steps),
            action_masks=self.mask is not None,
        )
        return q_policy.pack(self.learner.online, self.obs_moments, self.encoding), {
            **meta,
            **self.reward_scale_metadata(),
        }

    def initialize(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Take over the weights and statistics of another agent's `policy_checkpoint`, before the first step.

        The online network is copied to the target network. The optimiser, the buffer, the schedules and the random
        states stay new. Reward statistics are new without `reward_scale`.

        Raises:
            ValueError: the weights or the statistics are those of another network.
        """
        self.take_over_encoding(arrays)
        load_arrays(self.learner.online, without_prefix("network", arrays))
        self.learner.sync(1.0)
        self.initialize_statistics(arrays, meta)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything except the environments: arrays, those of the buffer as views, and JSON; see `load_state`."""
        arrays, meta = self.base_state()
        replay, replay_meta = self.buffer.state()
        arrays |= self.policy_checkpoint()[0]
        arrays |= with_prefix("target", arrays_of(self.learner.target))
        arrays |= with_prefix("optimizer", self.learner.optimizer.state())
        arrays |= with_prefix("target_cache", self.cache.state(self.buffer.filled))
        arrays |= with_prefix("replay", replay)
        arrays["largest_reward"] = np.asarray(self.largest_reward)
        if self.config.network.body is not None:
            arrays |= self.torch_state()
        return arrays, {**meta, "next_measurement": self.next_measurement, "replay": replay_meta}

    def state_without_replay(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """`state` without the buffer, which may be large: a caller that has its transitions adds them again."""
        arrays, meta = self.state()
        kept = {name: array for name, array in arrays.items() if not name.startswith(("replay.", "target_cache."))}
        return kept, {name: value for name, value in meta.items() if name != "replay"}

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore what `state` or `state_without_replay` gave; without replay the buffer stays as it is."""
        self.take_over_encoding(arrays)
        load_arrays(self.learner.online, without_prefix("network", arrays))
        load_arrays(self.learner.target, without_prefix("target", arrays))
        self.learner.optimizer.load_state(without_prefix("optimizer", arrays))
        if cache := without_prefix("target_cache", arrays):
            self.cache.load_state(cache)
        if "replay" in meta:
            self.buffer.load_state(without_prefix("replay", arrays), meta["replay"])
        self.largest_reward, self.next_measurement = float(arrays["largest_reward"]), meta["next_measurement"]
        self.load_base_state(arrays, meta)
        if self.config.network.body is not None:
            self.load_torch_state(arrays)
